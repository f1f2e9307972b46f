"""JSON responses: tags, compression, preferences, and what stays inside."""

import gzip
import json

import httpx
import pytest

from apigpu.v1 import jobs_pb2
from servicekit import errors
from servicekit.chunks import ACCEPTED

MANY = jobs_pb2.ListJobsResponse(jobs=[jobs_pb2.Job(id=f"{n:032x}") for n in range(1000)])


def answering(response):
    async def handle(request, context):
        return response

    return handle


async def raw(http, path, headers):
    """Headers and body of an answer, the body as it came over the wire."""
    request = http.build_request("GET", path, headers=headers)
    answer = await http.send(request, stream=True)
    body = b"".join([data async for data in answer.aiter_raw()])
    await answer.aclose()
    return answer, body


@pytest.mark.parametrize("path", ["/jobs", "/openapi.json"])
async def test_large_json_is_compressed_for_who_takes_it(gateway, http, path):
    gateway.handle = answering(MANY)
    plain, whole = await raw(http, path, {"accept-encoding": "identity"})
    zipped, body = await raw(http, path, {"accept-encoding": "br, gzip;q=0.5"})
    assert ("content-encoding" in plain.headers, zipped.headers["content-encoding"]) == (False, "gzip")
    assert gzip.decompress(body) == whole
    assert len(body) < len(whole) / 3
    assert plain.headers["etag"] == zipped.headers["etag"]
    assert "accept-encoding" in plain.headers["vary"].lower()
    json.loads(whole)


@pytest.mark.parametrize("accept", ["", "br", "gzip;q=0", "*;q=0", "gzip;q=x", "gzip; q=0, *"])
async def test_who_does_not_take_it_gets_it_plain(gateway, http, accept):
    gateway.handle = answering(MANY)
    assert "content-encoding" not in (await raw(http, "/jobs", {"accept-encoding": accept}))[0].headers


async def test_small_json_streams_and_errors_are_not_compressed(gateway, http):
    async def watch(request, context):
        for _ in range(100):
            yield jobs_pb2.WatchJobResponse(queued=jobs_pb2.Queued(place=2))

    gateway.watch = watch
    accept = {"accept-encoding": "gzip"}
    assert "content-encoding" not in (await raw(http, "/health", accept))[0].headers
    assert "content-encoding" not in (await raw(http, "/job/1/watch", accept))[0].headers
    gateway.handle = answering(errors.InvalidArgument("a" * 5000))
    assert "content-encoding" not in (await raw(http, "/jobs", accept))[0].headers


async def test_the_size_of_a_compressed_response_says_little(gateway, http):
    gateway.handle = answering(MANY)
    sizes = {len((await raw(http, "/jobs", {"accept-encoding": "gzip"}))[1]) for _ in range(20)}
    assert len(sizes) > 1


@pytest.mark.parametrize("path", ["/job/1", "/jobs", "/openapi.json"])
@pytest.mark.parametrize("form", ["{}", 'W/"x", {}', "*"])
async def test_who_has_it_already_is_told_so(gateway, http, path, form):
    first = await http.get(path)
    answer = await http.get(path, headers={"if-none-match": form.format(first.headers["etag"])})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == first.headers["etag"]
    assert (await http.get(path, headers={"if-none-match": '"other"'})).content == first.content


async def test_an_answer_that_changed_has_another_tag(gateway, http):
    first = await http.get("/job/1")
    gateway.handle = answering(jobs_pb2.GetJobResponse(job=jobs_pb2.Job(id="1", status="COMPLETED")))
    answer = await http.get("/job/1", headers={"if-none-match": first.headers["etag"]})
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")


async def test_what_is_done_by_a_call_has_no_tag(gateway, http):
    assert "etag" not in (await http.post("/job/1/cancel", headers={"if-none-match": "*"})).headers


@pytest.mark.parametrize("path", ["/jobs/", "/job/1/", "/health/", "/openapi.json/"])
async def test_a_slash_at_the_end(gateway, http, path):
    assert (await http.get(path)).status_code == 200


async def test_a_slash_at_the_end_of_what_takes_other_methods(gateway, http):
    answer = await http.delete("/jobs/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert (await http.get("/nothing/")).status_code == 404
    assert (await http.get("/jobs//")).status_code == 404


async def test_metadata_between_services_and_proxy_stay_inside(gateway, http):
    async def handle(request, context):
        await context.send_initial_metadata(((ACCEPTED, "1"), ("x-apigpu-job", "7"), ("x-mine", "8")))
        return jobs_pb2.GetJobResponse()

    upload = await http.put("/assets/a", content=b"x")
    gateway.handle = handle
    answer = await http.get("/job/1")
    assert answer.headers["grpc-metadata-x-mine"] == "8"
    for found in (upload, answer):
        assert not [name for name in found.headers if "x-accepted" in name or "x-apigpu" in name]


@pytest.mark.parametrize(
    ("prefer", "status", "applied"),
    [
        ("respond-async", 202, "respond-async"),
        ("wait=0", 202, "wait=0"),
        ('respond-async, wait="0"', 202, "respond-async, wait=0"),
        ("foo; bar, RESPOND-ASYNC;x=1", 202, "respond-async"),
        ("wait=5", 200, "wait=5"),
        ("wait=100000", 200, "wait=300"),
        ("wait=soon", 200, None),
        ("wait=-1", 200, None),
        ("return=minimal", 200, None),
    ],
)
async def test_preferences_of_an_operation(gateway, http, prefer, status, applied):
    answer = await http.post("/video/caption", json={"url_video": "a", "url_srt": "b"}, headers={"prefer": prefer})
    assert (answer.status_code, answer.headers.get("preference-applied")) == (status, applied)
    assert gateway.method == ("SubmitJob" if status == 202 else "Caption")


@pytest.mark.parametrize(("path", "method"), [("/job/1", "GetJob"), ("/jobs/1", "GetJob")])
async def test_a_job_is_waited_for(gateway, http, path, method):
    answer = await http.get(path, headers={"prefer": "wait=7"})
    assert (gateway.method, gateway.request.wait_seconds) == (method, 7)
    assert answer.headers["preference-applied"] == "wait=7"


async def test_a_submitted_job_is_waited_for(gateway, http):
    answer = await http.post("/jobs", json={"caption": {"url_video": "a"}}, headers={"prefer": "wait=7"})
    assert (gateway.request.wait_seconds, gateway.request.operation.caption.url_video) == (7, "a")
    assert answer.headers["preference-applied"] == "wait=7"


async def test_an_operation_that_fails_while_it_is_waited_for(gateway, http):
    gateway.handle = answering(errors.FailedPrecondition("No.", reason="TOO_LONG"))
    answer = await http.post("/video/caption", json={}, headers={"prefer": "wait=7"})
    assert (answer.status_code, answer.json()["message"]) == (400, "No.")


async def test_a_page_of_another_origin_may_read_what_was_applied(gateway):
    headers = {"origin": "https://elsewhere", "prefer": "wait=1", "x-api-key": "k"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=60) as http:
        exposed = (await http.get("/job/1")).headers["access-control-expose-headers"]
    assert {"ETag", "Preference-Applied", "Retry-After"} <= set(exposed.split(", "))
