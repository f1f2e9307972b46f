"""Unary calls over real HTTP."""

import asyncio
import base64
import hashlib
import json

import grpc
import httpx
import pytest

from apigpu.v1 import assets_pb2, jobs_pb2, system_pb2, video_pb2
from gateway.auth import ApiKeys
from gateway.rest.server import HttpServer, RestSettings, build_app
from servicekit import errors
from servicekit.chunks import MAX_MESSAGE_BYTES
from tests.support.until import within

CAPTION = {"url_video": "https://x/a.mp4", "url_srt": "assets/1"}


def answering(value):
    async def handle(request, context):
        return value

    return handle


async def test_a_call_there_and_back(gateway, http):
    stats = video_pb2.Stats(job_id="j1", delay_time=500, execution_time=89500)
    gateway.handle = answering(
        video_pb2.CaptionResponse(code=200, message="Video caption added successfully", video_url="u", stats=stats)
    )
    answer = await http.post("/video/caption", json=CAPTION)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert gateway.request == video_pb2.CaptionRequest(**CAPTION)
    assert answer.json() == {
        "code": 200,
        "message": "Video caption added successfully",
        "video_url": "u",
        "stats": {"jobId": "j1", "delayTime": 500, "executionTime": 89500},
        "asset": "",
        "warnings": [],
    }


async def test_the_idempotency_key_goes_along(gateway, http):
    seen = []

    async def handle(request, context):
        seen.append(dict(context.invocation_metadata())["idempotency-key"])
        return video_pb2.CaptionResponse()

    gateway.handle = handle
    await http.post("/video/caption", json=CAPTION, headers={"Idempotency-Key": "order-7"})
    assert seen == ["order-7"]


async def test_images_and_the_alias(gateway, http):
    await http.post("/video/img2vid", json={"images": [{"id": "1", "image_url": "u", "duracao": 3}]})
    assert gateway.request.images[0].duracao == 3
    await http.post("/video/adicionaaudio", json={"url_video": "v", "url_audio": "a"})
    assert (gateway.method, gateway.request.url_audio) == ("AddAudio", "a")


async def test_a_digest_of_the_json_is_compared(gateway, http):
    body = json.dumps(CAPTION).encode()
    for content, status in ((body, 200), (body + b" ", 400)):
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers = {"content-digest": f"sha-256=:{digest}:", "content-type": "application/json"}
        assert (await http.post("/video/caption", content=content, headers=headers)).status_code == status
    unreadable = await http.post("/video/caption", content=body, headers={"content-digest": "nonsense"})
    assert unreadable.status_code == 400


async def test_path_and_response_body(gateway, http):
    gateway.handle = answering(jobs_pb2.GetJobResponse(job=jobs_pb2.Job(id="a b", status="IN_QUEUE")))
    answer = await http.get("/job/a%20b")
    assert gateway.request.id == "a b"
    assert answer.json()["id"] == "a b"
    assert answer.json()["status"] == "IN_QUEUE"
    gateway.handle = answering(jobs_pb2.GetJobResponse())
    assert (await http.get("/job/1")).json() is None  # a message that is not there


async def test_query(gateway, http):
    await http.get("/jobs?status=COMPLETED&pageSize=5&page_token=%C3%A9")
    assert gateway.request == jobs_pb2.ListJobsRequest(status="COMPLETED", page_size=5, page_token="é")
    assert (await http.get("/jobs")).json() == {"jobs": [], "nextPageToken": "", "counts": {}}


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/jobs?nope=1", 'Unknown query parameter "nope"'),
        ("GET", "/jobs?page_size=x", "page_size must be an integer"),
        ("GET", "/jobs?page_token=%ff", "not UTF-8"),
        ("GET", "/job/%ff", "not UTF-8"),
        ("POST", "/video/caption?url_video=a", 'Unknown query parameter "url_video"'),
        ("POST", "/jobs?operation.caption.url_video=a", "Unknown query parameter"),
        ("PUT", "/assets?chunk=YQ", 'Unknown query parameter "chunk"'),
    ],
)
async def test_a_wrong_query(http, gateway, method, path, text):
    answer = await http.request(method, path)
    assert answer.status_code == 400
    assert text in answer.json()["message"]
    assert gateway.method == ""


async def test_the_path_wins(gateway, http):
    await http.get("/job/mine?id=yours")
    assert gateway.request.id == "mine"
    await http.post("/job/mine/cancel", json={"id": "yours"})
    assert gateway.request.id == "mine"


@pytest.mark.parametrize("body", [b"", b"  \n"])
async def test_an_empty_body_is_an_empty_message(gateway, http, body):
    assert (await http.post("/video/caption", content=body)).status_code == 200
    assert gateway.request == video_pb2.CaptionRequest()


async def test_body_of_one_field(gateway, http):
    answer = await http.post("/jobs", json={"caption": CAPTION})
    assert gateway.request.operation.caption.url_srt == "assets/1"
    assert answer.json()["id"] == "j/1"
    await http.post("/jobs")
    assert gateway.request.HasField("operation")  # that which is the body is there, though nothing is said


async def test_bad_json_says_where(http):
    answer = await http.post("/video/caption", content=b'{"url_video": }')
    assert answer.status_code == 400
    assert "line 1, column 15" in answer.json()["message"]
    assert answer.json()["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit(http, chunked):
    async def pieces():
        for _ in range(70):
            yield b" " * 65536

    answer = await http.post("/video/caption", content=pieces() if chunked else b" " * (MAX_MESSAGE_BYTES + 1))
    assert answer.status_code == 413
    assert f"over {MAX_MESSAGE_BYTES} bytes" in answer.json()["message"]
    assert answer.json()["status"] == "RESOURCE_EXHAUSTED"


async def test_as_many_words_as_a_request_may_have(gateway, http):
    words = [{"text": "international", "start": n / 3, "end": n / 3 + 0.25} for n in range(50_000)]
    answer = await http.post("/video/caption", json={**CAPTION, "words": words})
    assert answer.status_code == 200
    assert len(gateway.request.words) == 50_000


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/video/caption", {"content-encoding": "gzip"}),
        ("/video/caption", {"content-type": "multipart/form-data; boundary=x"}),
        ("/assets", {"content-encoding": "gzip"}),
        ("/assets", {"content-type": "multipart/mixed; boundary=x"}),
    ],
)
async def test_wrapped_bodies(http, path, headers):
    answer = await http.post(path, content=b"{}", headers=headers)
    assert answer.status_code == 415
    assert answer.json()["error"] == "Unsupported Media Type"


async def test_errors_of_the_service(gateway, http):
    gateway.handle = answering(errors.NotFound("Job ID does not exist", reason="JOB_NOT_FOUND"))
    answer = await http.get("/job/1")
    assert answer.status_code == 404
    body = answer.json()
    assert (body["error"], body["message"]) == ("Job not found", "Job ID does not exist")
    assert (body["code"], body["status"]) == (5, "NOT_FOUND")
    assert body["details"][0]["reason"] == "JOB_NOT_FOUND"
    gateway.handle = answering(errors.FailedPrecondition("Job is already completed", reason="CANCEL_REFUSED"))
    body = (await http.post("/job/1/cancel")).json()
    assert (body["error"], body["message"]) == ("Failed to cancel job", "Job is already completed")
    gateway.handle = answering(errors.Unauthenticated("An API key is required.", reason="NO_KEY"))
    answer = await http.get("/jobs")
    assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")
    assert "www-authenticate" in answer.headers


@pytest.mark.parametrize(("method", "path"), [("POST", "/video/caption"), ("POST", "/jobs"), ("PUT", "/assets/a.mp4")])
async def test_without_a_key_no_body_is_read(gateway, method, path):
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head.encode() + b"{bad")
    answer = await within(reader.readuntil(b"}"))
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'"An API key is required; give it as X-API-Key."' in answer
    assert b'"NO_KEY"' in answer
    assert not gateway.method


@pytest.mark.parametrize("name", ["x-api-key", "authorization", "grpc-metadata-x-api-key"])
async def test_a_key_may_have_any_form(gateway, name):
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60) as client:
        answer = await client.post("/video/caption", json=CAPTION, headers={name: "k"})
    assert (answer.status_code, gateway.method) == (200, "Caption")


async def test_text_of_unexpected_errors_stays_inside(gateway, http):
    async def handle(request, context):
        raise RuntimeError("secret")

    gateway.handle = handle
    answer = await http.get("/health")
    assert answer.status_code == 500
    assert answer.json()["error"] == "Processing failed"
    assert "secret" not in answer.text


async def test_a_gateway_that_is_not_there(start):
    async with start() as gateway, grpc.aio.insecure_channel("unix:/nonexistent/socket") as channel:
        app = build_app(channel, ApiKeys([]), gateway.assets, gateway.links, RestSettings(), gateway.transfers)
        server = HttpServer(app, "127.0.0.1", 0)
        port = await server.start()
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/health")
        await server.drain(0)
    assert answer.status_code == 503
    assert "socket" not in answer.text
    assert answer.json()["message"].startswith("The service cannot answer")


@pytest.mark.parametrize("trailing", [False, True])
async def test_http_code_of_the_servicer(gateway, http, trailing):
    async def handle(request, context):
        if trailing:
            context.set_trailing_metadata((("x-http-code", "503"), ("x-request-id", "r")))
        else:
            await context.send_initial_metadata((("x-http-code", "503"),))
        return system_pb2.GetRunpodHealthResponse(status="unhealthy", error="none")

    gateway.handle = handle
    answer = await http.get("/runpod/health")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unhealthy", "error": "none"}
    assert "x-http-code" not in answer.headers


async def test_metadata_in(gateway, http):
    headers = {
        "authorization": "Bearer t",
        "x-api-key": "k",
        "x-request-id": "my-id",
        "grpc-metadata-tenant": "blue",
        "grpc-metadata-raw-bin": "AAH/",
        "grpc-metadata-x-apigpu-base-url": "https://evil",
        "grpc-metadata-x-apigpu-keep-job": "0",
        "grpc-metadata-x-request-id": "other",
        "grpc-metadata-grpc-timeout": "1n",
        "x-apigpu-base-url": "https://evil",
        "cookie": "c=1",
        "x-other": "1",
    }
    answer = await http.get("/jobs", headers=headers)
    assert answer.status_code == 200
    assert gateway.metadata == {
        "authorization": "Bearer t",
        "x-api-key": "k",
        "x-request-id": "my-id",
        "tenant": "blue",
        "raw-bin": b"\x00\x01\xff",
        "x-apigpu-base-url": gateway.url,
        "x-apigpu-keep-job": "1",
    }
    assert answer.headers["x-request-id"] == "my-id"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "kä"},
        {"grpc-metadata-a-bin": "!!"},
        {"grpc-metadata-a$b": "1"},
        {"grpc-timeout": "5"},
        {"grpc-timeout": "-5S"},
        {"grpc-timeout": "123456789S"},
        {"host": "evil/../x"},
    ],
)
async def test_headers_that_cannot_be_passed_on(http, headers):
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await http.get("/jobs", headers=raw)
    assert answer.status_code == 400, answer.text


async def test_metadata_out(gateway, http):
    async def handle(request, context):
        await context.send_initial_metadata((("tenant", "blue"), ("raw-bin", b"\x00\x01\xff")))
        context.set_trailing_metadata((("cost", "3"),))
        return jobs_pb2.ListJobsResponse()

    gateway.handle = handle
    answer = await http.get("/jobs")
    assert answer.headers["grpc-metadata-tenant"] == "blue"
    assert answer.headers["grpc-metadata-raw-bin"] == "AAH/"
    assert answer.headers["grpc-trailer-cost"] == "3"


async def test_a_request_id_is_made_and_used_everywhere(gateway, http):
    one = (await http.get("/jobs")).headers["x-request-id"]
    assert gateway.metadata["x-request-id"] == one
    assert (await http.get("/nope")).headers["x-request-id"] not in ("", one)
    assert (await http.get("/jobs", headers={"x-request-id": "a b"})).headers["x-request-id"] != "a b"


async def test_deadline(gateway, http):
    async def handle(request, context):
        await asyncio.sleep(30)

    gateway.handle = handle
    answer = await http.get("/jobs", headers={"grpc-timeout": "100m"})
    assert (answer.status_code, answer.json()["status"]) == (504, "DEADLINE_EXCEEDED")
    gateway.handle = None
    await http.get("/jobs", headers={"grpc-timeout": "2M"})
    assert 100 < gateway.seconds_left < 122  # gRPC rounds up


async def test_base_url(start):
    async with (
        start(RestSettings(public_url="https://video.example/")) as gateway,
        httpx.AsyncClient(timeout=60) as client,
    ):
        await client.get(f"{gateway.url}/jobs", headers={"x-api-key": "k"})
        assert gateway.metadata["x-apigpu-base-url"] == "https://video.example"


async def test_base_url_behind_a_proxy(gateway, http):
    await http.get("/jobs", headers={"host": "video.example", "x-forwarded-proto": "https"})
    assert gateway.metadata["x-apigpu-base-url"] == "https://video.example"


async def test_respond_async(gateway, http):
    headers = {"prefer": "handling=lenient, respond-async"}
    answer = await http.post("/video/caption", json=CAPTION, headers=headers)
    assert answer.status_code == 202
    assert gateway.method == "SubmitJob"
    assert gateway.request.operation.caption == video_pb2.CaptionRequest(**CAPTION)
    assert answer.headers["location"] == "/job/j%2F1"
    assert answer.headers["preference-applied"] == "respond-async"
    assert (answer.json()["id"], answer.json()["status"]) == ("j/1", "IN_QUEUE")
    # What is no operation is not queued.
    answer = await http.post("/job/1/cancel", headers=headers)
    assert (answer.status_code, gateway.method) == (200, "CancelJob")


async def test_a_job_outlives_its_client(gateway, http):
    started, ended, outcome = asyncio.Event(), asyncio.Event(), []

    async def handle(request, context):
        started.set()
        try:
            await asyncio.sleep(0.3)
            outcome.append("done")
            return video_pb2.CaptionResponse()
        finally:
            ended.set()

    gateway.handle = handle
    waiting = asyncio.create_task(http.post("/video/caption", json=CAPTION))
    await started.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await within(ended.wait())
    assert outcome == ["done"]
    gateway.handle = None
    assert (await http.get("/health")).status_code == 200


async def test_head(gateway, http):
    whole, head = await http.get("/"), await http.head("/")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(whole.content))
    gone = await http.head("/nope")
    assert (gone.status_code, gone.content) == (404, b"")


async def test_unknown_paths_and_wrong_methods_answer_in_json(http):
    answer = await http.get("/nope")
    assert (answer.status_code, answer.json()["error"]) == (404, "Not Found")
    answer = await http.request("PATCH", "/job/1")
    assert (answer.status_code, answer.json()["error"]) == (405, "Method Not Allowed")
    assert answer.headers["allow"] == "GET, HEAD"
    for path in ("/openapi.json", "/files/a/b"):
        answer = await http.post(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert answer.json()["status"] == "UNIMPLEMENTED"


async def test_security_headers(http):
    for path in ("/", "/nope", "/openapi.json"):
        headers = (await http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == ("no-cache" if path == "/openapi.json" else "no-store")
        assert "server" not in headers


async def test_cors(start, gateway, http):
    answer = await http.get("/nope", headers={"origin": "https://a.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    asked = {
        "origin": "https://a.example",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "x-api-key, grpc-timeout",
    }
    answer = await http.options("/assets", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert "x-api-key" in answer.headers["access-control-allow-headers"]


async def test_cors_for_some_origins(start):
    settings = RestSettings(cors_allow_origins=("https://a.example",))
    async with start(settings) as gateway, httpx.AsyncClient(base_url=gateway.url, timeout=60) as client:
        good = await client.get("/", headers={"origin": "https://a.example"})
        bad = await client.get("/", headers={"origin": "https://b.example"})
    assert good.headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in bad.headers


async def test_assets_by_name(gateway, http):
    gateway.handle = answering(assets_pb2.GetAssetResponse(asset=assets_pb2.Asset(name="assets/7", size_bytes=2**40)))
    answer = await http.get("/assets/7")
    assert gateway.request.name == "assets/7"
    assert answer.json()["sizeBytes"] == 2**40
    gateway.handle = None
    answer = await http.delete("/assets/7")
    assert (answer.json(), gateway.method) == ({}, "DeleteAsset")
    assert json.loads(answer.content) == {}
