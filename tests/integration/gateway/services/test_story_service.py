"""A story as its callers see it: over gRPC and as JSON, in front of an encoder that follows a script."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from servicekit.errors import InvalidArgument
from tests.support import whole_gateway
from tests.support.whole_gateway import Served

FAULTS = {"scenes[1].image_url": "is no picture", "scenes[4].image_url": "is no picture"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with whole_gateway.opened(tmp_path) as made:
        yield made


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.http_url, headers={"X-API-Key": "key"}, timeout=60) as client:
        yield client


async def still(http: httpx.AsyncClient) -> dict[str, Any]:
    """A scene of 1 s, whose still is an asset."""
    asset = (await http.put("/assets/still.png", content=b"picture")).json()["name"]
    return {"image_url": asset, "duracao": 1}


def violations(body: dict[str, Any]) -> dict[str, str]:
    """The fields that an answer blames."""
    found = [detail["fieldViolations"] for detail in body["details"] if "fieldViolations" in detail]
    return {one["field"]: one["description"] for one in found[0]}


async def test_the_scenes_that_an_encoder_finds_bad_are_told_by_field(served: Served, http: httpx.AsyncClient) -> None:
    scene = await still(http)
    served.encoder.script = [InvalidArgument("Two scenes are bad.", reason="BAD_INPUT", fields=FAULTS)] * 2
    answer = await http.post("/video/story", json={"scenes": [scene] * 5})
    assert (answer.status_code, violations(answer.json())) == (400, FAULTS)
    job = (await http.post("/jobs", json={"story": {"scenes": [scene] * 5}})).json()
    job = (await http.get(f"/job/{job['id']}", headers={"Prefer": "wait=60"})).json()
    assert (job["status"], job["error"]["fields"]) == ("FAILED", FAULTS)


async def test_all_sources_that_cannot_be_read_are_told_in_one_answer(http: httpx.AsyncClient) -> None:
    scene, gone = await still(http), {"image_url": f"assets/{'a' * 26}", "duracao": 1}
    body = {
        "scenes": [scene, gone, scene, gone | {"url_audio": f"assets/{'b' * 26}"}],
        "url_audio": f"assets/{'c' * 26}",
    }
    answer = await http.post("/video/story", json=body)
    assert answer.status_code == 404
    assert list(violations(answer.json())) == [
        *("scenes[1].image_url", "scenes[3].image_url", "scenes[3].url_audio", "url_audio")
    ]


async def test_bad_scenes_are_told_before_an_encoder_is_asked(served: Served, http: httpx.AsyncClient) -> None:
    scene = await still(http)
    answer = await http.post("/video/story", json={"scenes": [scene, {"duracao": 1}, scene, scene | {"duracao": -1}]})
    assert (answer.status_code, list(violations(answer.json()))) == (400, ["scenes[1].image_url", "scenes[3].duracao"])
    assert served.encoder.tasks == 0


async def test_subtitles_in_the_request_reach_the_encoder_as_a_file(served: Served, http: httpx.AsyncClient) -> None:
    text = "1\n00:00:00,000 --> 00:00:01,000\nČau\n"
    await http.post("/video/story", json={"scenes": [await still(http)], "srt_text": text})
    assert [data.decode("utf-8-sig") for data in served.encoder.inputs] == ["picture", text]


async def test_when_a_job_is_to_be_done_is_in_its_record(http: httpx.AsyncClient) -> None:
    story = {"scenes": [await still(http)]}
    for path, body in (("/video/story", story), ("/jobs", {"story": story})):
        answer = await http.post(path, json=body | {"deadline_seconds": 600}, headers={"Prefer": "respond-async"})
        job = (await http.get(f"/jobs/{answer.json()['id']}")).json()
        due, created = (datetime.fromisoformat(job[name]) for name in ("deadline", "createTime"))
        assert (due - created).total_seconds() == 600
        answer = await http.post(path, json=body | {"deadline_seconds": -1})
        assert list(violations(answer.json())) == ["deadline_seconds"]
