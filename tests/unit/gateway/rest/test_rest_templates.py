import pytest

from gateway.rest.routes import Template


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/", "/", {}),
        ("/", "/x", None),
        ("/health", "/health", {}),
        ("/health", "/health/", None),
        ("/health", "/healthy", None),
        ("/job/{id}", "/job/a1", {"id": "a1"}),
        ("/job/{id}", "/job/", None),
        ("/job/{id}", "/job", None),
        ("/job/{id}", "/job/a/b", None),
        ("/job/{id}", "/job/a%2Fb%20%C3%A9", {"id": "a/b é"}),
        ("/job/{id}/cancel", "/job/a/cancel", {"id": "a"}),
        ("/assets/{header.filename}", "/assets/a.mp4", {"header.filename": "a.mp4"}),
        ("/{name=assets/*}", "/assets/a1", {"name": "assets/a1"}),
        ("/{name=assets/*}", "/things/a1", None),
        ("/{name=assets/*}", "/assets/", None),
        ("/{name=assets/*}", "/assets/a%2fb%20c", {"name": "assets/a%2fb c"}),
        ("/{name=assets/*}/content", "/assets/a1/content", {"name": "assets/a1"}),
        ("/{name=assets/*}/content", "/assets/a1", None),
        ("/v1/{path=**}", "/v1", {"path": ""}),
        ("/v1/{path=**}", "/v1/a/b%20c", {"path": "a/b c"}),
        ("/v1/{path=a/**}", "/v1/a/x/y", {"path": "a/x/y"}),
        ("/v1/**", "/v1/anything/at/all", {}),
        ("/v1/*/x", "/v1/y/x", {}),
        ("/v1/{id}:cancel", "/v1/a:b:cancel", {"id": "a:b"}),
        ("/v1/{id}:cancel", "/v1/a", None),
        ("/v1/{id}", "/v1/a:cancel", {"id": "a:cancel"}),
        ("/v1/{path=**}:undo", "/v1/a/b:undo", {"path": "a/b"}),
        ("/v1/{a=x/*/y}/{b}", "/v1/x/1/y/2", {"a": "x/1/y", "b": "2"}),
        ("/caf%C3%A9", "/caf%c3%a9", {}),
    ],
)
def test_match(template, path, expected):
    assert Template.parse(template).match(path) == expected


@pytest.mark.parametrize(
    "text", ["", "job", "/job//x", "/job/", "/{id", "/{}", "/{a b}", "/{a=**}/x", "/{a}/{a}", "/{a={b}}", "/x:", "/a*b"]
)
def test_what_is_no_template(text):
    with pytest.raises(ValueError, match="no path template"):
        Template.parse(text)


def test_a_value_must_be_utf8():
    with pytest.raises(ValueError):
        Template.parse("/job/{id}").match("/job/%ff")


def test_expand_and_show():
    template = Template.parse("/v1/{name=assets/*}/{header.id}:run")
    assert str(template) == "/v1/assets/{asset}/{id}:run"
    assert str(Template.parse("/{name=shelves/*/books/*}")) == "/shelves/{shelve}/books/{book}"
    assert str(Template.parse("/{a.id}/{b.id}/*/{path=**}")) == "/{id}/{id_1}/{segment}/{path}"
    assert Template.parse("/job/{id}").expand({"id": "a/b c"}) == "/job/a%2Fb%20c"


def test_the_more_exact_comes_first():
    texts = ["/{a=**}", "/x/{b}", "/x/y", "/x/{b}:go", "/*/y"]
    assert sorted(texts, key=lambda text: Template.parse(text).rank) == [
        "/x/{b}:go",
        "/x/y",
        "/x/{b}",
        "/*/y",
        "/{a=**}",
    ]
