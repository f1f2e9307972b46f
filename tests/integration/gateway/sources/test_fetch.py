"""Downloads from real servers: what comes, and what is refused, cut off or translated."""

import asyncio
import inspect
import os
import socket

import httpx
import pytest

from gateway.sources import http_get
from gateway.sources.fetch import http_errors
from servicekit.chunks import CHUNK_BYTES
from servicekit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)
from tests.support.until import until
from tests.support.web_server import answer, fixed


async def get(fetcher, url):
    async with fetcher.open(url) as source:
        return b"".join([chunk async for chunk in source.chunks()])


async def settled(web):
    """Wait until the server has no connection left."""
    await until(lambda: web.open_connections == 0)


async def open_only(fetcher, url):
    async with fetcher.open(url):
        pass


async def test_a_file_comes_whole_and_in_chunks(serve, fetching):
    body = os.urandom(3 * CHUNK_BYTES + 5)
    web = await serve({"/v/clip%20one.mp4?token=secret": answer(body)})
    async with fetching().open(web.url("/v/clip%20one.mp4?token=secret#part")) as source:
        assert (source.filename, source.size_bytes) == ("clip one.mp4", len(body))
        chunks = [chunk async for chunk in source.chunks()]
    assert b"".join(chunks) == body
    assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES] * 3 + [5]


async def test_the_request_says_what_it_should_and_nothing_more(serve, fetching):
    web = await serve({"/a": answer(b"x", Set_Cookie="a=b; Path=/")})
    fetcher = fetching()
    await get(fetcher, web.url("/a"))
    await get(fetcher, web.url("/a"))
    assert len(web.requests) == 2
    for head in web.requests:
        assert head.splitlines() == [
            "GET /a HTTP/1.1",
            f"Host: 127.0.0.1:{web.port}",
            "User-Agent: api-gpu",
            "Accept: */*",
            "Accept-Encoding: identity",
            "Connection: close",
            "",
        ]


async def test_proxies_of_the_environment_are_not_used(serve, fetching, monkeypatch):
    web = await serve({"/a": answer(b"x")})
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert await get(fetching(), web.url("/a")) == b"x"


@pytest.mark.parametrize(
    ("header", "filename"),
    [
        ('attachment; filename="my \\"clip\\".mp4"', 'my "clip".mp4'),
        ("attachment; filename*=UTF-8''f%C3%A9rias.srt", "férias.srt"),
        ('inline; filename="../../etc/passwd"', "passwd"),
        ("inline", "path.mp4"),
    ],
)
async def test_the_server_may_name_the_file(serve, fetching, header, filename):
    web = await serve({"/path.mp4": answer(b"x", Content_Disposition=header)})
    async with fetching().open(web.url("/path.mp4")) as source:
        assert source.filename == filename


@pytest.mark.parametrize(
    "parameters",
    [
        "filename*=nonsense''%ff%zz; filename=",
        "filename*=idna''x",
        "filename*=undefined''x",
        "filename*=a; filename*0=b",
        f"filename*{'9' * 5000}=b",
    ],
)
async def test_a_header_that_is_nonsense_is_no_error(serve, fetching, parameters):
    web = await serve({"/a": answer(b"x", Content_Disposition=f"attachment; {parameters}")})
    assert await get(fetching(), web.url("/a")) == b"x"


async def test_without_a_length_the_end_of_chunks_or_of_the_connection_counts(serve, fetching):
    async def until_closed(writer):
        writer.write(answer(b"abc", Content_Length=None))

    chunked = answer(b"3\r\nabc\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")
    both = answer(b"3\r\nabc\r\n0\r\n\r\n", Content_Length=99, Transfer_Encoding="chunked")
    web = await serve({"/chunked": chunked, "/closed": until_closed, "/both": both})
    for target in ("/chunked", "/closed", "/both"):
        async with fetching().open(web.url(target)) as source:
            assert source.size_bytes is None
            assert [chunk async for chunk in source.chunks()] == [b"abc"]


async def test_an_empty_file_is_a_file(serve, fetching):
    web = await serve({"/": answer()})
    assert await get(fetching(), web.url()) == b""


@pytest.mark.parametrize(
    "cut",
    [
        answer(b"12345", Content_Length=9),
        answer(b"5\r\nab", Content_Length=None, Transfer_Encoding="chunked"),
        answer(b"5\r\nabcde\r\n", Content_Length=None, Transfer_Encoding="chunked"),
    ],
)
async def test_a_body_that_is_cut_is_an_error(serve, fetching, cut):
    async def cut_off(writer):
        writer.write(cut)

    web = await serve({"/a": cut_off})
    with pytest.raises(Unavailable, match="broke"):
        await get(fetching(), web.url("/a"))


async def test_a_file_too_large_by_its_own_account_is_not_begun(serve, fetching):
    web = await serve({"/a": answer(b"x" * 101)})
    with pytest.raises(ResourceExhausted, match="larger than the 100 bytes") as caught:
        await open_only(fetching(max_bytes=100), web.url("/a"))
    assert caught.value.reason == "INPUT_TOO_LARGE"
    assert await get(fetching(max_bytes=101), web.url("/a")) == b"x" * 101


async def test_an_endless_body_is_cut_at_the_limit(serve, fetching):
    sent = 0

    async def endless(writer):
        nonlocal sent
        writer.write(answer(Content_Length=None))
        while True:
            writer.write(bytes(65536))
            sent += 65536
            await writer.drain()

    web = await serve({"/a": endless})
    received = 0

    async def count():
        nonlocal received
        async with fetching(max_bytes=3_000_000).open(web.url("/a")) as source:
            async for chunk in source.chunks():
                received += len(chunk)

    with pytest.raises(ResourceExhausted) as caught:
        await count()
    assert caught.value.reason == "INPUT_TOO_LARGE"
    assert received <= 3_000_000
    assert sent < 30_000_000


async def test_a_server_that_goes_silent_is_given_up(serve, fetching):
    async def silent(writer):
        writer.write(answer(b"abc", Content_Length=1000))
        await asyncio.sleep(30)

    async def mute(writer):
        await asyncio.sleep(30)

    web = await serve({"/silent": silent, "/mute": mute})
    for target in ("/silent", "/mute"):
        with pytest.raises(DeadlineExceeded, match="stopped sending"):
            await get(fetching(idle_seconds=0.2), web.url(target))


async def test_a_server_that_trickles_is_given_up(serve, fetching):
    async def trickle(writer):
        writer.write(answer(Content_Length=1000))
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def trickle_head(writer):
        for number in range(1000):
            writer.write(b"HTTP/1.1 200 OK\r\n" if number == 0 else b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    web = await serve({"/body": trickle, "/head": trickle_head})
    for target in ("/body", "/head"):
        with pytest.raises(DeadlineExceeded, match="longer than a download may"):
            await get(fetching(total_seconds=0.5, idle_seconds=30), web.url(target))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("404 Not Found", NotFound),
        ("410 Gone", NotFound),
        ("401 Unauthorized", FailedPrecondition),
        ("403 Forbidden", FailedPrecondition),
        ("429 Too Many Requests", Unavailable),
        ("500 Oops", Unavailable),
        ("503 Busy", Unavailable),
        ("599 Odd", Unavailable),
        ("204 No Content", FailedPrecondition),
        ("206 Partial Content", FailedPrecondition),
        ("302 Found", FailedPrecondition),
    ],
)
async def test_answers_that_are_not_the_file(serve, fetching, status, kind):
    web = await serve({"/a?signature=secret": answer(b"", status)})
    with pytest.raises(kind) as caught:
        await get(fetching(), web.url("/a?signature=secret"))
    assert type(caught.value) is kind
    assert f"HTTP status {status[:3]}" in caught.value.message
    assert web.url("/a") in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("encoding", ["gzip", "br", "x-unknown", "gzip, identity"])
async def test_an_encoded_body_is_refused(serve, fetching, encoding):
    web = await serve({"/a": answer(b"x", Content_Encoding=encoding), "/b": answer(b"x", Content_Encoding="Identity")})
    with pytest.raises(FailedPrecondition, match="compressed"):
        await get(fetching(), web.url("/a"))
    assert await get(fetching(), web.url("/b")) == b"x"


@pytest.mark.parametrize(
    "nonsense", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"]
)
async def test_what_is_no_http_is_refused(serve, fetching, nonsense):
    async def talk(writer):
        writer.write(nonsense)

    web = await serve({"/a": talk})
    with pytest.raises(Unavailable):
        await get(fetching(), web.url("/a"))


async def test_endless_headers_are_cut(serve, fetching):
    async def endless(writer):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: " + b"y" * 8000 + b"\r\n")
            await writer.drain()

    web = await serve({"/a": endless})
    with pytest.raises(FailedPrecondition):
        await get(fetching(), web.url("/a"))


async def test_a_port_that_nobody_listens_on(fetching):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable, match="cannot be connected to"):
            await get(fetching(), f"http://127.0.0.1:{taken.getsockname()[1]}/a")


async def test_the_next_address_is_tried(serve, fetching):
    web = await serve({"/a": answer(b"x")})
    fetcher = fetching(resolve=fixed("127.0.0.2", "127.0.0.3", "127.0.0.1"))
    assert await get(fetcher, web.url("/a", "media.example")) == b"x"
    assert f"Host: media.example:{web.port}" in web.requests[0]


async def test_leaving_early_closes_the_connection(serve, fetching):
    async def endless(writer):
        writer.write(answer(Content_Length=None))
        while True:
            writer.write(bytes(65536))
            await writer.drain()
            await asyncio.sleep(0.001)  # not faster than the limit on sizes lets pass in this time

    web = await serve({"/a": endless})
    fetcher = fetching()
    async with fetcher.open(web.url("/a")) as source:
        chunks = source.chunks()
        await anext(chunks)
        assert web.open_connections == 1
    await settled(web)
    task = asyncio.create_task(get(fetcher, web.url("/a")))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settled(web)


async def test_twenty_at_once(serve, fetching):
    bodies = {f"/{number}": os.urandom(400_000 + number) for number in range(20)}
    web = await serve({target: answer(body) for target, body in bodies.items()})
    fetcher = fetching()
    assert await asyncio.gather(*(get(fetcher, web.url(target)) for target in bodies)) == list(bodies.values())


@pytest.mark.parametrize("error", [cls for _, cls in inspect.getmembers(http_get) if inspect.isclass(cls)])
def test_every_error_of_a_request_is_translated(error):
    if not issubclass(error, Exception):
        return
    with pytest.raises(ServiceError) as caught, http_errors(httpx.URL("http://h/a?secret")):
        raise error("internals")
    assert caught.value.message.startswith("http://h/a ")
    assert "internals" not in caught.value.message


@pytest.mark.parametrize("error", [OSError("internals"), TimeoutError(), ConnectionResetError()])
def test_errors_of_the_system_are_translated(error):
    kind = DeadlineExceeded if isinstance(error, TimeoutError) else Unavailable
    with pytest.raises(kind), http_errors(httpx.URL("http://h/a")):
        raise error


async def test_a_name_that_does_not_exist(fetching):
    async def nobody(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "no")

    async def later(host, port):
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    async def never(host, port):
        await asyncio.sleep(30)

    with pytest.raises(NotFound, match=r"no host 'media\.example'"):
        await get(fetching(resolve=nobody), "http://media.example/a")
    with pytest.raises(NotFound):
        await get(fetching(resolve=fixed()), "http://media.example/a")
    with pytest.raises(NotFound):
        await get(fetching(), f"http://{'a' * 70}.example/a")
    for resolve in (later, never):
        with pytest.raises(Unavailable, match="looked up"):
            await get(fetching(resolve=resolve, connect_seconds=0.2), "http://media.example/a")


async def test_what_is_no_url_is_refused_before_anything_else(fetching):
    resolve = fixed("127.0.0.1")
    fetcher = fetching(resolve=resolve)
    for url in ("file:///etc/passwd", "http://u:p@h/", "clip.mp4"):
        with pytest.raises(InvalidArgument):
            await get(fetcher, url)
    assert resolve.asked == []


async def test_an_address_that_is_not_allowed_is_never_connected_to(serve, fetching):
    web = await serve({"/a": answer(b"x")})
    with pytest.raises(PermissionDenied, match="FETCH_ALLOW_CIDRS") as caught:
        await get(fetching(allow_cidrs=()), web.url("/a?token=secret"))
    assert caught.value.reason == "ADDRESS_NOT_PUBLIC"
    assert "secret" not in caught.value.message
    assert web.requests == []


async def test_the_encoding_that_a_server_names_is_told(serve, fetching):
    named = answer(b"x", Content_Type='text/plain; charset="windows-1251"')
    web = await serve({"/named": named, "/plain": answer(b"x", Content_Type="text/plain")})
    for path, charset in {"/named": "windows-1251", "/plain": ""}.items():
        async with fetching().open(web.url(path)) as source:
            assert source.charset == charset
