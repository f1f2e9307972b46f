"""Origins that answer without end, wastefully or slowly: each is cut off early, and honest oddities pass."""

import asyncio
import contextlib
import socket
import threading
import time

import pytest

from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.callers import DEFAULT_TENANT
from gateway.sources import Sources
from gateway.sources.guard import MAX_LOOKUPS, OriginBusy, OwnEndpoints, resolve_by_system
from servicekit.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, PermissionDenied, ServiceError
from tests.support.until import until
from tests.support.web_server import answer

CHUNKED = answer(Content_Length=None, Transfer_Encoding="chunked")
BLOCK = 64 * 1024


async def get(fetcher, url):
    async with fetcher.open(url) as source:
        return b"".join([chunk async for chunk in source.chunks()])


def endless(start, piece):
    """A route that sends `start` and then `piece` for as long as somebody reads."""

    async def route(writer):
        writer.write(start)
        block = piece * (BLOCK // len(piece) + 1)
        while True:
            writer.write(block)
            await writer.drain()

    return route


ENDLESS = {
    "/interim": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "/hints": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "/headers": endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "/one-header": endless(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "/one-value": endless(b"HTTP/1.1 200 OK\r\n", b"a"),
    "/reason": endless(b"HTTP/1.1 200 ", b"O"),
    "/bytes": endless(CHUNKED, b"1\r\nx\r\n"),
    "/extensions": endless(CHUNKED, b"1;" + b"e" * 200 + b"\r\nx\r\n"),
    "/one-extension": endless(CHUNKED + b"1;", b"e"),
    "/padded-sizes": endless(CHUNKED, b"0001\r\nx\r\n"),
    "/trailers": endless(CHUNKED + b"0\r\n", b"X: y\r\n"),
    "/one-trailer": endless(CHUNKED + b"0\r\nX: ", b"y"),
}


@pytest.mark.parametrize("target", ENDLESS)
async def test_what_has_no_end_is_cut_off_after_little_work(serve, fetching, target):
    web = await serve(ENDLESS)
    began = time.process_time()
    with pytest.raises(ServiceError):
        await get(fetching(), web.url(target))
    # The server's work counts too, as it runs in this process; parsing in Python took ten times as long.
    assert time.process_time() - began < 3
    await until(lambda: web.open_connections == 0)


@pytest.mark.parametrize("target", ["/interim", "/headers", "/bytes", "/trailers"])
async def test_it_is_not_tried_again(serve, fetching, target):
    web = await serve(ENDLESS)
    with pytest.raises(FailedPrecondition) as caught:
        await get(fetching(), web.url(target))
    assert caught.value.reason == "BAD_ORIGIN"


async def test_the_work_for_a_byte_does_not_depend_on_the_size_of_chunks(serve, fetching):
    """One chunk a byte, as far as it is borne at all, costs at most some times what one chunk in all costs."""
    body = bytes(150_000)
    small = CHUNKED + b"1\r\n\0\r\n" * len(body) + b"0\r\n\r\n"
    large = CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    web = await serve({"/small": small, "/large": large})
    took = {}
    for target in ("/large", "/small"):
        began = time.process_time()
        assert await get(fetching(), web.url(target)) == body
        took[target] = time.process_time() - began
    assert took["/small"] < took["/large"] + 0.5


async def test_segments_of_a_byte_are_collected(serve, fetching):
    async def bytewise(writer):
        writer.write(answer(Content_Length=400))
        for _ in range(400):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0)

    web = await serve({"/a": bytewise})
    assert await get(fetching(), web.url("/a")) == b"x" * 400


async def test_an_origin_that_is_too_slow_is_given_up(serve, fetching):
    async def trickle(writer):
        writer.write(answer(Content_Length=1_000_000))
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async def slows_down(writer):
        writer.write(answer(bytes(500_000), Content_Length=None))
        while True:
            writer.write(b"x" * 20)
            await writer.drain()
            await asyncio.sleep(0.01)

    web = await serve({"/trickle": trickle, "/slows-down": slows_down})
    for target in ("/trickle", "/slows-down"):
        with pytest.raises(DeadlineExceeded, match="too slowly") as caught:
            await get(fetching(idle_seconds=0.4, total_seconds=60), web.url(target))
        assert caught.value.reason == "FETCH_TOO_SLOW"


async def test_what_could_never_end_in_time_is_given_up(serve, fetching):
    """Three kilobytes a second are enough for a small file, and not for one of 90 megabytes."""

    async def steady(writer, size):
        writer.write(answer(Content_Length=size))
        for _ in range(0, size, 100):
            writer.write(b"x" * 100)
            await writer.drain()
            await asyncio.sleep(0.03)

    web = await serve({"/small": lambda w: steady(w, 3000), "/large": lambda w: steady(w, 90_000_000)})
    fetcher = fetching(idle_seconds=0.5, total_seconds=60)
    assert await get(fetcher, web.url("/small")) == b"x" * 3000
    with pytest.raises(DeadlineExceeded, match="too slowly"):
        await get(fetcher, web.url("/large"))


async def test_a_reader_that_is_slow_is_not_the_origins_fault(serve, fetching):
    web = await serve({"/a": answer(bytes(5_000_000))})
    async with fetching(idle_seconds=0.3).open(web.url("/a")) as source:
        received = 0
        async for chunk in source.chunks():
            received += len(chunk)
            await asyncio.sleep(0.05)
    assert received == 5_000_000


async def test_a_slow_head_is_given_up(serve, fetching):
    async def trickle(writer):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    web = await serve({"/a": trickle})
    with pytest.raises(DeadlineExceeded, match="stopped sending"):
        await get(fetching(idle_seconds=0.3), web.url("/a"))


async def test_downloads_from_one_origin_are_limited_and_others_go_on(serve, fetching):
    async def hang(writer):
        writer.write(answer(Content_Length=9))
        await asyncio.sleep(30)

    slow, fast = await serve({"/a": hang}), await serve({"/a": answer(b"x")})
    fetcher = fetching(max_per_origin=3)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(fetcher.open(slow.url("/a")))
        with pytest.raises(OriginBusy):
            await get(fetcher, slow.url("/a"))
        assert await get(fetcher, fast.url("/a")) == b"x"
    async with fetcher.open(slow.url("/a")):
        pass


async def test_honest_oddities_pass(serve, fetching):
    routes = {
        "/early": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer(b"x"),
        "/feeds": b"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        "/old": b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "/no-reason": b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx",
        "/more": answer(b"x") + b"and more",
        "/trailer": CHUNKED + b"1\r\nx\r\n0\r\nX-Checksum: y\r\n\r\n",
    }
    web = await serve(routes)
    for target in routes:
        assert await get(fetching(), web.url(target)) == b"x"


@pytest.mark.parametrize("encoding", ["gzip", "gzip, chunked", "deflate"])
async def test_a_transfer_coding_is_refused(serve, fetching, encoding):
    web = await serve({"/a": answer(b"1\r\nx\r\n0\r\n\r\n", Transfer_Encoding=encoding, Content_Length=None)})
    with pytest.raises(FailedPrecondition) as caught:
        await get(fetching(), web.url("/a"))
    assert caught.value.reason == "ENCODED_RESPONSE"


async def test_a_redirect_of_great_length_is_refused(serve, fetching):
    web = await serve({"/a": answer(b"", "302 Found", Location="/" + "x" * 50_000)})
    with pytest.raises(InvalidArgument, match="redirects to what is no valid URL"):
        await get(fetching(), web.url("/a"))


async def test_nothing_is_fetched_from_this_service_itself(serve, fetching):
    web, part, free = [await serve({"/a": answer(b"x")}) for _ in range(3)]
    own = OwnEndpoints({web.port}, [lambda: [("localhost", part.port)]])
    fetcher = fetching(own=own)
    for url in (web.url("/a"), web.url("/a", "127.1.2.3"), web.url("/a", "0.0.0.0"), part.url("/a")):
        with pytest.raises(PermissionDenied) as caught:
            await get(fetcher, url)
        assert caught.value.reason in ("OWN_ADDRESS", "ADDRESS_NOT_PUBLIC")
    redirecting = await serve({"/a": answer(b"", "302 Found", Location=web.url("/a"))})
    with pytest.raises(PermissionDenied, match="own ports"):
        await get(fetcher, redirecting.url("/a"))
    assert web.requests == part.requests == []
    assert await get(fetcher, free.url("/a")) == b"x"


async def test_a_signed_link_of_ours_is_opened_without_a_download(fetching, tmp_path):
    store, links = AssetStore(str(tmp_path), retention_seconds=60, max_bytes=100), LinkSigner(b"s" * 16, 60)
    async with store.create("clip.mp4") as writer:
        await writer.write(b"data")
        asset = await writer.commit()
    sources = Sources(fetching(allow_cidrs=()), store, links)
    link = links.sign_file(asset.id, "clip.mp4")
    for host in ("http://127.0.0.1:3000", "https://api.example/base"):
        async with sources.open(host + link, DEFAULT_TENANT) as source:
            assert b"".join([chunk async for chunk in source.chunks()]) == b"data"
    for forged in (link[:-1] + "0", LinkSigner(b"t" * 16, 60).sign_file(asset.id, "clip.mp4")):
        if forged != link:
            with pytest.raises(PermissionDenied, match="not a public one"):
                async with sources.open("http://127.0.0.1:3000" + forged, DEFAULT_TENANT):
                    pass
    expired = LinkSigner(b"s" * 16, -60).sign_file(asset.id, "clip.mp4")
    with pytest.raises(PermissionDenied, match="expired"):
        sources.open("http://127.0.0.1:3000" + expired, DEFAULT_TENANT)


async def test_name_servers_that_never_answer_hold_up_nothing_else(fetching, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.wait() and [])
    try:
        asked = [asyncio.create_task(resolve_by_system(f"{number}.example", 80)) for number in range(MAX_LOOKUPS)]
        await asyncio.sleep(0)
        with pytest.raises(OriginBusy):
            await get(fetching(), "http://one.more.example/")
        assert await asyncio.to_thread(lambda: "files are read") == "files are read"
    finally:
        answers.set()
    await asyncio.gather(*asked)
