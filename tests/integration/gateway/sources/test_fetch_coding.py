"""Servers that compress though they were asked not to: their files are unpacked, within bounds, or refused by name."""

import gzip
import os
import zlib

import pytest

from gateway.sources.coding import FREE_BYTES
from servicekit.errors import FailedPrecondition, ResourceExhausted
from tests.support.web_server import answer

BODY = os.urandom(1000) * 900
PACKED = {
    "gzip": gzip.compress(BODY),
    "GZIP": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "identity": BODY,
    "none": BODY,
    "utf-8": BODY,
    "aws-chunked": BODY,
}


async def get(fetcher, url):
    async with fetcher.open(url) as source:
        return source.size_bytes, b"".join([chunk async for chunk in source.chunks()])


@pytest.mark.parametrize("encoding", PACKED)
async def test_a_file_comes_as_it_was(serve, fetching, encoding):
    web = await serve({"/a.srt": answer(PACKED[encoding], Content_Encoding=encoding)})
    size_bytes, body = await get(fetching(), web.url("/a.srt"))
    assert body == BODY
    assert size_bytes == (len(BODY) if PACKED[encoding] is BODY else None)
    assert "Accept-Encoding: identity" in web.requests[0]


async def test_a_body_in_chunks_is_unpacked_too(serve, fetching):
    packed = PACKED["gzip"]
    halves = [packed[:500], packed[500:]]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(half), half) for half in halves) + b"0\r\n\r\n"
    made = answer(chunks, Content_Encoding="gzip", Transfer_Encoding="chunked", Content_Length=None)
    web = await serve({"/a": made})
    assert (await get(fetching(), web.url("/a")))[1] == BODY


@pytest.mark.parametrize(
    ("encoding", "body", "error"),
    [
        ("br", b"x", "is sent compressed \\(br\\)"),
        ("gzip, gzip", b"x", "is sent compressed"),
        ("gzip", b"plain text", "is not compressed as its server says"),
        ("gzip", PACKED["gzip"][:-9], "or ends too early"),
        ("gzip", gzip.compress(b"\0" * (FREE_BYTES + 1_000_000)), "compressed to far less"),
    ],
)
async def test_what_cannot_be_unpacked_is_told(serve, fetching, encoding, body, error):
    web = await serve({"/a": answer(body, Content_Encoding=encoding)})
    with pytest.raises(FailedPrecondition, match=error) as refused:
        await get(fetching(), web.url("/a"))
    assert refused.value.reason == "ENCODED_RESPONSE"


async def test_the_limit_holds_for_what_comes_out(serve, fetching):
    web = await serve({"/a": answer(PACKED["gzip"], Content_Encoding="gzip")})
    with pytest.raises(ResourceExhausted) as refused:
        await get(fetching(max_bytes=len(BODY) - 1), web.url("/a"))
    assert refused.value.reason == "INPUT_TOO_LARGE"
    assert (await get(fetching(max_bytes=len(BODY)), web.url("/a")))[1] == BODY
