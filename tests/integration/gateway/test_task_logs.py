"""The logs of a real pair: each line about a request, a job, a task or an attempt says so, in both services."""

import base64
import json
import secrets
from pathlib import Path
from typing import Any

import httpx

from tests.support.until import until_sync
from tools.pair import Pair
from tools.samples import make_images


def lines_of(pair: Pair, service: str, **facts: str) -> list[dict[str, Any]]:
    """The lines of a service that have these facts."""
    text = (pair.data_dir / "logs" / f"{service}.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if facts.items() <= line.items()]


def made(pair: Pair, image: bytes, request_id: str, trace_id: str = "") -> httpx.Response:
    """Have a clip made of an image, by HTTP, as a part of a trace where there is one."""
    source = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    wanted = {"images": [{"id": "a", "image_url": source, "duracao": 0.2}], "frame_rate": 10}
    headers = {"X-API-Key": pair.key, "X-Request-Id": request_id}
    headers |= {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"} if trace_id else {}
    return httpx.post(f"{pair.http_url}/video/img2vid", json=wanted, headers=headers, timeout=60)


def ended(pair: Pair, request_id: str) -> list[dict[str, Any]]:
    """The lines of a gateway about a request, once it has ended."""
    until_sync(lambda: [line["event"] for line in lines_of(pair, "gateway", request_id=request_id)][-1:] == ["request"])
    return lines_of(pair, "gateway", request_id=request_id)


def told(pair: Pair, job: str) -> list[dict[str, Any]]:
    """The lines of an encoder about a job of one task, once its call has ended, which the gateway does not wait for."""
    until_sync(lambda: [line["event"] for line in lines_of(pair, "encoder", job=job)][-1:] == ["call"])
    return lines_of(pair, "encoder", job=job)


def test_each_line_about_a_task_says_what_it_is_about(pair: Pair, tmp_path: Path) -> None:
    request_id, image = f"test-{secrets.token_hex(8)}", make_images(tmp_path)[0].read_bytes()
    trace_id = secrets.token_hex(16)
    answer = made(pair, image, request_id, trace_id).raise_for_status().json()
    job = answer["stats"]["jobId"]
    lines = ended(pair, request_id)
    by_event = {line["event"]: line for line in lines}
    assert by_event.keys() >= {"job queued", "task started", "task completed", "job ended", "call", "request"}
    assert {(line["job"], line["trace_id"]) for line in lines} == {(job, trace_id)}
    of_task = [line for line in lines if "task" in line]
    assert {line["event"] for line in of_task} >= {"task started", "task completed"}
    started, completed = by_event["task started"], by_event["task completed"]
    assert {(line["task"], line["attempt"]) for line in of_task} == {(f"{job}.0", started["attempt"])}
    assert (completed["codec"], completed["frames"]) == ("x264", 2)
    assert by_event["job ended"]["status"] == "COMPLETED"

    mine = told(pair, job)
    own = {line["event"]: line for line in mine}
    assert own.keys() >= {"task started", "task completed", "call"}
    ids = {(line["task"], line["attempt"], line["request_id"], line["trace_id"]) for line in mine}
    assert ids == {(f"{job}.0", started["attempt"], request_id, trace_id)}
    assert own["task completed"]["bytes"] == completed["bytes"] > 0
    assert own["task completed"]["input_bytes"] == len(image)
    for service in ("gateway", "encoder"):
        assert all(line.get("job") == job for line in lines_of(pair, service) if job in json.dumps(line))


def test_the_job_tells_the_id_of_its_request(pair: Pair, tmp_path: Path) -> None:
    request_id, image = f"test-{secrets.token_hex(8)}", make_images(tmp_path)[0].read_bytes()
    job = made(pair, image, request_id).raise_for_status().json()["stats"]["jobId"]
    found = httpx.get(f"{pair.http_url}/job/{job}", headers={"X-API-Key": pair.key}).raise_for_status().json()
    assert found["requestId"] == request_id


def test_a_task_that_fails_is_told_of_by_both(pair: Pair) -> None:
    request_id = f"test-{secrets.token_hex(8)}"
    assert made(pair, b"no image", request_id).is_client_error
    (failed,) = [line for line in ended(pair, request_id) if line["event"] == "task failed"]
    (other,) = lines_of(pair, "encoder", event="task failed", attempt=failed["attempt"])
    assert failed["code"] == other["code"] == "INVALID_ARGUMENT"
    assert failed["error"]
    assert other["error"]
