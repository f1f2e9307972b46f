"""Files on their way in: streamed as they come, finished only when they came whole."""

import asyncio
import base64
import hashlib
import json

import psutil
import pytest

from gateway.rest.server import RestSettings
from servicekit import errors
from tests.support.missing import need
from tests.support.until import within

DATA = bytes(range(256)) * 8000
SHA256 = hashlib.sha256(DATA)
DIGEST = base64.b64encode(SHA256.digest()).decode()
OTHER = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("method", "path", "filename"),
    [
        ("PUT", "/assets", ""),
        ("POST", "/assets?filename=b%20c.mp4", "b c.mp4"),
        ("POST", "/assets?header.filename=d.mp4", "d.mp4"),
        ("PUT", "/assets/%C3%A9.mp4", "é.mp4"),
        ("PUT", "/assets/a.mp4?filename=b.mp4", "a.mp4"),
    ],
)
async def test_upload(gateway, http, method, path, filename):
    answer = await http.request(method, path, content=DATA)
    assert answer.status_code == 200
    assert answer.json()["filename"] == filename
    assert answer.json()["sizeBytes"] == len(DATA)
    assert (gateway.request.filename, gateway.request.size_bytes) == (filename, len(DATA))
    assert gateway.uploads == ["header", *["chunk"] * 4, "finish"]
    assert gateway.uploaded.sha256 == SHA256.hexdigest()


async def test_a_chunked_body_has_no_size_beforehand(gateway, http):
    async def pieces():
        yield DATA[:1000]
        yield DATA[1000:]

    answer = await http.put("/assets/a", content=pieces())
    assert answer.status_code == 200
    assert not gateway.request.HasField("size_bytes")
    assert gateway.uploaded.size_bytes == len(DATA)


async def test_an_empty_file(gateway, http):
    answer = await http.put("/assets/a", content=b"")
    assert (answer.status_code, answer.json()["sizeBytes"]) == (200, 0)
    assert gateway.uploads == ["header", "finish"]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-digest": f"sha-256=:{DIGEST}:"},
        {"content-digest": f"sha-512=:AAAA:, sha-256=:{DIGEST}:"},
        {"repr-digest": f"sha-256=:{DIGEST}:"},
        {"digest": f"SHA-256={DIGEST}"},
    ],
)
async def test_a_digest_travels_in_the_header(gateway, http, headers):
    assert (await http.put("/assets/a", content=DATA, headers=headers)).status_code == 200
    assert gateway.request.sha256 == SHA256.hexdigest()


@pytest.mark.parametrize("name", ["content-digest", "repr-digest", "digest"])
@pytest.mark.parametrize(
    "value", ["sha-256=:AAAA:", "sha-256=:=:", "sha-256=nonsense", "sha-512=:AAAA:", "nonsense", "", f"{DIGEST}"]
)
async def test_a_digest_that_cannot_be_read_is_refused(gateway, http, name, value):
    answer = await http.put("/assets/a", content=DATA, headers={name: value})
    assert (answer.status_code, gateway.uploads) == (400, [])
    assert name in answer.json()["message"]


async def test_a_digest_in_the_query_does_not_hide_another_in_the_header(gateway, http):
    headers = {"content-digest": f"sha-256=:{DIGEST}:"}
    same = await http.put(f"/assets/a?sha256={SHA256.hexdigest()}", content=DATA, headers=headers)
    other = await http.put(f"/assets/a?sha256={'0' * 64}", content=DATA, headers=headers)
    assert (same.status_code, other.status_code) == (200, 400)


async def send_raw(gateway, head, body=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head + b"\r\n\r\n" + body)
    await writer.drain()
    return reader, writer


PUT = b"PUT /assets/a HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\n"
TRUNCATED = [
    (PUT + b"Content-Length: 2000000", DATA[:1_200_000]),
    (PUT + b"Transfer-Encoding: chunked", b"124F80\r\n" + DATA[:1_200_000] + b"\r\n"),
    (PUT + b"Content-Length: 2000000", b""),
]


@pytest.mark.parametrize(("head", "body"), TRUNCATED)
@pytest.mark.parametrize("abruptly", [True, False])
async def test_a_truncated_body_is_never_finished(gateway, head, body, abruptly):
    _, writer = await send_raw(gateway, head, body)
    while "header" not in gateway.uploads or (body and "chunk" not in gateway.uploads):
        await asyncio.sleep(0.01)
    writer.transport.abort() if abruptly else writer.close()
    await within(gateway.ended.wait())
    assert "finish" not in gateway.uploads


async def test_bytes_arrive_while_the_client_still_sends(gateway):
    _, writer = await send_raw(gateway, PUT + b"Content-Length: 2000000", DATA[:700_000])
    while "chunk" not in gateway.uploads:
        await asyncio.sleep(0.01)
    assert gateway.uploaded.size_bytes == 512 * 1024
    writer.close()


async def test_a_body_that_stalls(start):
    async with start(RestSettings(body_idle_seconds=0.2)) as gateway:
        reader, writer = await send_raw(gateway, PUT + b"Content-Length: 100", b"abc")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408")
        await within(gateway.ended.wait())
        assert "finish" not in gateway.uploads
        writer.close()


async def refuse(request, context):
    raise errors.ResourceExhausted("The file is larger than allowed.", reason="ASSET_TOO_LARGE")


async def test_a_refusal_comes_while_the_client_still_waits_to_send(gateway):
    gateway.handle = refuse
    reader, writer = await send_raw(gateway, PUT + b"Content-Length: 2000000\r\nExpect: 100-continue")
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_continue(gateway):
    reader, writer = await send_raw(gateway, PUT + b"Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    writer.write(b"abc")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    assert gateway.uploaded.size_bytes == 3
    writer.close()


async def test_a_refusal_reaches_a_client_that_keeps_sending(gateway, http):
    gateway.handle = refuse
    answer = await http.put("/assets/a", content=bytes(20_000_000))
    assert answer.status_code == 413
    assert answer.json()["details"][0]["reason"] == "ASSET_TOO_LARGE"


async def test_a_refusal_comes_although_nothing_is_sent(gateway):
    """A client that stalls hears of the failure at once, not when its body times out."""
    gateway.handle = refuse
    reader, writer = await send_raw(gateway, PUT + b"Content-Length: 2000000")
    line = await within(reader.readuntil(b"\r\n"))
    assert line.startswith(b"HTTP/1.1 413")
    writer.close()


async def test_memory_does_not_grow_with_a_file_that_nobody_takes(gateway):
    """Back-pressure: while the servicer reads nothing, the client cannot send more than the buffers on the way hold."""
    go_on = asyncio.Event()

    gateway.before_reading = go_on.wait
    process = psutil.Process()
    before = process.memory_info().rss
    _, writer = await send_raw(gateway, PUT + b"Transfer-Encoding: chunked")
    writer.transport.set_write_buffer_limits(high=0)
    piece, sent = b"100000\r\n" + bytes(1 << 20) + b"\r\n", 0
    for _ in range(300):
        writer.write(piece)
        try:
            await asyncio.wait_for(writer.drain(), 0.5)
        except TimeoutError:
            break
        sent += 1
    assert sent < 40
    assert process.memory_info().rss - before < 60 << 20
    go_on.set()
    writer.transport.abort()
    await within(gateway.ended.wait())


async def test_curl(gateway, tmp_path):
    """curl announces a large body with Expect: 100-continue, and names the file itself after a slash."""
    need("curl")
    file = tmp_path / "my video.mp4"
    file.write_bytes(DATA)
    process = await asyncio.create_subprocess_exec(
        *(
            "curl",
            "-sS",
            "-T",
            str(file),
            "-H",
            f"Content-Digest: sha-256=:{DIGEST}:",
            "-H",
            "X-API-Key: k",
            f"{gateway.url}/assets/",
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(out)["filename"] == "my video.mp4"
    assert gateway.uploaded.sha256 == SHA256.hexdigest()
