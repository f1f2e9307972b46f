"""Answers of providers, read under bounds of size and time: what they say is worked with in memory."""

import asyncio
import zlib
from typing import Any

import httpx

# Our workers write some kilobytes into a status of RunPod; a page of Vast.ai, or a catalog, has some hundreds.
MAX_ANSWER_BYTES = 2 * 1024 * 1024
# Of a whole answer: the time-outs of the client are of each read.
MAX_ANSWER_SECONDS = 120.0


class AnswerOverBounds(httpx.HTTPError):
    """The body goes on past a bound."""


async def request(client: httpx.AsyncClient, method: str, path: str, **options: Any) -> httpx.Response:
    """Make a call, and return its whole answer. Raises httpx.HTTPError, AnswerOverBounds among them."""
    try:
        async with (
            asyncio.timeout(MAX_ANSWER_SECONDS),
            client.stream(method, path, headers={"Accept-Encoding": "gzip"}, **options) as response,
        ):
            body = await _body(response)
    except TimeoutError as error:
        raise AnswerOverBounds(f"the answer was not whole after {MAX_ANSWER_SECONDS:g} s") from error
    return httpx.Response(response.status_code, headers=_plain(response.headers), content=body)


async def _body(response: httpx.Response) -> bytes:
    """Return the body. It is unpacked here: a few packed bytes can be a thousand times as many."""
    unpack = zlib.decompressobj(wbits=31) if response.headers.get("content-encoding") == "gzip" else None
    body = bytearray()
    async for data in response.aiter_raw():
        try:
            body += unpack.decompress(data, MAX_ANSWER_BYTES + 1) if unpack else data
        except zlib.error as error:
            raise httpx.DecodingError("the answer is no gzip") from error
        if len(body) > MAX_ANSWER_BYTES or (unpack and unpack.unconsumed_tail):
            raise AnswerOverBounds(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _plain(headers: httpx.Headers) -> list[tuple[str, str]]:
    """Return the headers of a body that is unpacked and whole."""
    encoding = ("content-encoding", "content-length", "transfer-encoding")
    return [(name, value) for name, value in headers.items() if name not in encoding]
