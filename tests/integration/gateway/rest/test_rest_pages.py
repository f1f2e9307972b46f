"""The console as it is served: to browsers alone at "/", with a policy of its own, from memory."""

import httpx
import pytest

from gateway import console
from gateway.rest.pages import TYPES

FILES = sorted(
    path.relative_to(console.FOLDER).as_posix() for path in console.FOLDER.rglob("*") if path.suffix in TYPES
)
BROWSERS = {
    "Chrome": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Firefox": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Safari": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "by hand": "Text/HTML",
}
OTHERS = {
    "curl": "*/*",
    "axios": "application/json, text/plain, */*",
    "Java": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    "jQuery": "application/json, text/javascript, */*; q=0.01",
    "rather JSON": "application/json, text/html;q=0.9, application/xhtml+xml;q=0.9",
    "no HTML": "application/xhtml+xml, text/html;q=0",
    "nothing": "",
}


@pytest.fixture
async def visitor(gateway):
    """A client without a key."""
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60) as client:
        yield client


@pytest.mark.parametrize("accept", BROWSERS.values(), ids=BROWSERS)
async def test_browsers_get_the_console(visitor, accept):
    answer = await visitor.get("/", headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "accept" in answer.headers["vary"].lower()
    head = await visitor.head("/", headers={"accept": accept})
    assert (head.status_code, head.headers["content-type"], head.content) == (200, "text/html; charset=utf-8", b"")


@pytest.mark.parametrize("accept", OTHERS.values(), ids=OTHERS)
async def test_everyone_else_gets_json(visitor, accept):
    answer = await visitor.get("/", headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert (await visitor.post("/", headers={"accept": BROWSERS["Chrome"]})).status_code == 405


@pytest.mark.parametrize("path", FILES)
async def test_its_files_come_with_type_and_policy_and_are_asked_for_once(visitor, path):
    answer = await visitor.get(f"/console/{path}")
    assert answer.content == (console.FOLDER / path).read_bytes()
    assert answer.headers["content-type"] == TYPES[f".{path.rpartition('.')[2]}"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    again = await visitor.get(f"/console/{path}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["", "no.js", "__init__.py", "../__init__.py", "%2e%2e/__init__.py", "jobs"])
async def test_nothing_else_is_served(visitor, path):
    answer = await visitor.get(f"/console/{path}")
    assert (answer.status_code, answer.json()["status"]) == (404, "NOT_FOUND")


async def test_files_are_only_read(visitor):
    answer = await visitor.post("/console/app.js")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
