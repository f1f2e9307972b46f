"""Paths of the older API: served by today's methods, or told what to use instead."""

import pytest

from gateway.rest.legacy import paths
from gateway.rest.routes import RouteTable
from gateway.rest.status import MethodNotAllowed
from servicekit.errors import NotFound
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/gpu/video/img2vid", "Img2Vid"),
        ("/gpu/video/caption_style", "Caption"),
        ("/gpu/video/addaudio/", "AddAudio"),
        ("/runpod/video/concatenate", "Concat"),
        ("/vps/video/img2vid", "Img2Vid"),
        ("/runpod/video/trilhasonora", "AddAudio"),
        ("/video/concatenate", "Concat"),
        ("/caption_style", "Caption"),
    ],
)
def test_what_is_served(path, method):
    assert paths.find("POST", path).rpc_path == f"/apigpu.v1.VideoService/{method}"
    with pytest.raises(MethodNotAllowed):
        paths.find("GET", path)


@pytest.mark.parametrize("beginning", paths.NOT_SERVED)
def test_what_is_not_served_is_told(beginning):
    for path in (beginning, f"{beginning}/", f"{beginning}/x"):
        with pytest.raises(NotFound, match="of the older API is not served") as refused:
            paths.find("POST", path)
        assert paths.NOT_SERVED[beginning] in refused.value.message


@pytest.mark.parametrize("path", ["/nope", "/", "", "//", "/gpu", "/gpu/video", "/gpu/video/x", "/queues", "/video"])
def test_other_paths_are_none_of_it(path):
    assert paths.find("POST", path) is None


def test_no_older_path_hides_one_of_today():
    today = {str(route.template) for route in RouteTable().routes}
    assert not [path for path in today for beginning in paths.NOT_SERVED if path.startswith(beginning)]


def test_every_older_path_is_documented_in_both_languages():
    for page in ("guides/migrate.md", "pt-BR/migrar.md"):
        text = (ROOT / "docs" / page).read_text()
        names = {path.rpartition("/")[2] for path in (*paths.SERVED, *paths.NOT_SERVED)}
        assert {name for name in names if name not in text} == set(), page
