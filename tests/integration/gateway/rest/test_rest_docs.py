"""The documentation as it is served: pages, the errors page, the index for language models; all of it from here."""

import re
import shutil
from pathlib import PurePosixPath
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from starlette.applications import Starlette

from gateway.rest.docs import guides
from gateway.rest.docs.guides import Guide
from gateway.rest.docs.site import routes
from gateway.rest.openapi.document import document
from gateway.rest.routes import RouteTable, endpoints

LINK = re.compile(r'(?:href|src)="([^"]+)"')


async def test_the_page_of_the_api_needs_no_key_and_has_a_policy_of_its_own(http):
    page = await http.get("/docs", headers={"x-api-key": ""})
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "connect-src 'self'" in policy
    assert "http" not in policy
    assert (await http.post("/docs")).status_code == 405
    assert (await http.get("/docs/")).headers["location"] == "../docs"


async def test_every_link_on_every_page_leads_to_a_page_of_this_service(http):
    waiting, seen = ["/docs", "/docs/contents.html"], {}
    while waiting:
        path = waiting.pop()
        answer = await http.get(path)
        assert answer.status_code == 200, path
        seen[path] = answer.text
        if path.endswith((".html", "docs")):
            for target in LINK.findall(answer.text):
                place = urlsplit(urljoin(f"http://gateway{path}", target))
                if place.netloc == "gateway" and place.path not in (*seen, *waiting) and not target.startswith("data:"):
                    waiting.append(place.path)
    assert {"/docs/swagger-ui-bundle.js", "/docs/docs.js", "/openapi.json", "/docs/reference/reasons.html"} <= set(seen)
    for path, text in seen.items():
        if path.endswith(".html"):
            for target in LINK.findall(text):
                place = urlsplit(urljoin(f"http://gateway{path}", target))
                if place.netloc == "gateway" and place.fragment:
                    assert f'id="{place.fragment}"' in seen[place.path], (path, target)


async def test_the_reasons_are_one_page(http):
    answer = await http.get("/docs/reasons", follow_redirects=True)
    assert answer.status_code == 200
    assert "<code>BAD_SUBTITLES</code>" in answer.text
    assert "<table>" in answer.text


async def test_the_index_and_the_pages_are_served_without_reading_files(tmp_path):
    folder = tmp_path / "docs"
    shutil.copytree(guides.folder(), folder)
    pages = Starlette(routes=routes(document(RouteTable()), lambda scope, headers: "http://gateway", folder))
    shutil.rmtree(folder)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(pages), base_url="http://gateway") as own:
        for path in ("/llms.txt", "/docs/contents.html", "/docs/guides/webhooks.md"):
            assert (await own.get(path)).status_code == 200


async def test_a_page_is_there_as_it_is_written(http):
    answer = await http.get("/docs/guides/webhooks.md")
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text.startswith("# Webhooks")
    tag = answer.headers["etag"]
    assert (await http.get("/docs/guides/webhooks.md", headers={"if-none-match": tag})).status_code == 304


@pytest.mark.parametrize("path", ["nothing.html", "../gateway.py", "static/index.html", "%2e%2e/%2e%2e/pyproject.toml"])
async def test_what_is_no_page_is_not_found(http, path):
    assert (await http.get(f"/docs/{path}")).status_code == 404


async def test_where_the_pages_are_is_told_to_who_looks_for_one(http):
    message = (await http.get("/docs/nothing.html")).json()["message"]
    assert message == "There is no page nothing.html; open /docs/contents.html in a browser."


async def test_the_index_for_language_models_names_operations_and_pages(http, gateway):
    text = (await http.get("/llms.txt", headers={"x-api-key": ""})).text
    assert text.startswith("# api-gpu\n\n> ")
    for endpoint in endpoints():
        if (
            "{upload}" not in endpoint
            and "openapi" not in endpoint
            and "/docs" not in endpoint
            and "llms" not in endpoint
        ):
            assert f"- [{re.sub('{.+?}', '{', endpoint)[:12]}"[:12] in text
    links = re.findall(r"\]\((http[^)]+\.md)\)", text)
    assert len(links) > 30
    for link in links:
        assert link.startswith(gateway.url)
        assert (await http.get(link)).status_code == 200


def test_titles_summaries_and_anchors_are_those_of_the_page():
    known = guides.read(guides.folder())
    assert all(guide.title and len(guide.summary) > 10 and "](" not in guide.summary for guide in known.values())
    text = "# A page\n\nIt is **this**: more. And more.\n\n## `POST /x`, and y\n\n[a](b.md#c) [d](../../e.md) [f](https://g)\n"
    page = Guide(PurePosixPath("guides/a.md"), text)
    assert (page.title, page.summary) == ("A page", "It is this: more.")
    assert '<h2 id="post-x-and-y">' in page.html
    assert '<a href="b.html#c">a</a>' in page.html
    assert "<a>d</a>" in page.html
    assert '<a href="https://g">f</a>' in page.html


async def test_a_newcomer_is_shown_the_quickstart_first(http):
    text = (await http.get("/docs/contents.html")).text
    pages = LINK.findall(text[text.index("<h2") :])
    assert [page.rpartition("/")[2] for page in pages[:2]] == ["quickstart.html", "troubleshooting.html"]
    assert text.index("quickstart.html") < text.index("operations/caption.html") < text.index("decisions.html")
