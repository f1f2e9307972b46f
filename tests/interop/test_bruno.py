"""The collection of requests in Bruno, by its own importer: all requests come over, with key, variables and scripts."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.test_postman import COLLECTION
from tests.interop.toolchain import npm_ci, workplace

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def imported() -> Any:
    """What Bruno makes of the collection."""
    folder = workplace("bruno")
    npm_ci(folder)
    command = ["node", "import.mjs", str(COLLECTION)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def requests_of(items: list[Any]) -> Iterator[Any]:
    """Yield the requests in folders."""
    for item in items:
        if item["type"] == "folder":
            yield from requests_of(item["items"])
        else:
            yield item


def test_bruno_takes_all_of_the_collection(imported: Any) -> None:
    ours = json.loads(COLLECTION.read_text())
    assert imported["issues"] == []
    theirs = imported["collection"]
    assert [folder["name"] for folder in theirs["items"]] == [folder["name"] for folder in ours["item"]]
    wanted = {(each["name"], each["request"]["method"]) for folder in ours["item"] for each in folder["item"]}
    assert {(each["name"], each["request"]["method"]) for each in requests_of(theirs["items"])} == wanted
    shared = theirs["root"]["request"]
    key = {"key": "X-API-Key", "value": "{{key}}", "placement": "header"}
    assert (shared["auth"]["mode"], shared["auth"]["apikey"]) == ("apikey", key)
    assert {each["name"] for each in shared["vars"]["req"]} == {each["key"] for each in ours["variable"]}


def test_the_first_steps_hand_on_what_the_next_one_needs(imported: Any) -> None:
    steps = list(requests_of(imported["collection"]["items"][:1]))
    scripts = [each["request"]["script"]["res"] for each in steps]
    assert 'bru.setCollectionVar("job", answer.id)' in scripts[0]
    assert 'bru.setCollectionVar("asset", answer.output.asset)' in scripts[1]
    assert [each["request"]["url"] for each in steps][1:] == [
        "{{baseUrl}}/job/{{job}}",
        "{{baseUrl}}/{{asset}}/content",
    ]
    assert not [script for script in scripts if "pm." in script]
