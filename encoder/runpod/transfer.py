"""The links of a RemoteTask over HTTP. They are secrets: no error and no log tells of one."""

import asyncio
import base64
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path

import httpx
from google.protobuf import json_format
from google.rpc import status_pb2

from apigpu.encoder.v1 import encoder_pb2
from encoder.tasks.inputs import InputSpool, check_size
from servicekit import errors
from servicekit.chunks import CHUNK_BYTES
from servicekit.errors import Cancelled, InvalidArgument, ServiceError, Unavailable

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
ASK_TIMEOUT = httpx.Timeout(5.0)
# Between tries, each give or take a half; the last one again and again.
PAUSES_SECONDS = (0.2, 1.0, 3.0, 9.0, 20.0)
# A gateway may be started anew meanwhile: a finished encode is worth the wait.
PATIENCE_SECONDS = 300.0
MAX_ERROR_BYTES = 64 * 1024
# The gateway, in its own words, asks for patience.
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "api-gpu-encoder"}


class Passing(Exception):
    """A fault that another try may not meet."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error


def check(url: str, what: str) -> None:
    """Raise InvalidArgument for what is not a whole link of http or https."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidArgument(f"{what} must be a whole link of http or https.", reason="BAD_LINK")


class Links:
    """Reads and writes by link. Redirects are not followed. Tries that meet a passing fault are made again, for
    `patience_seconds`."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        pauses_seconds: Sequence[float] = PAUSES_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._client = client
        self._pauses_seconds = pauses_seconds
        self._patience_seconds = patience_seconds

    async def fetch(self, url: str, path: Path, field: str, max_bytes: int) -> None:
        """Read an input into a file. Raises ServiceError: what the gateway says of the input, Cancelled (410),
        ResourceExhausted over `max_bytes`, Unavailable when the link cannot be read."""
        await self._tried(lambda: self._fetch(url, path, field, max_bytes))

    async def put(self, url: str, path: Path, told: encoder_pb2.Summary | encoder_pb2.ResultFile) -> None:
        """Write the first result, which its summary tells of, or a further one. Raises ServiceError: what the gateway
        says, Cancelled (410), Unavailable."""
        digest = base64.b64encode(bytes.fromhex(told.sha256)).decode()
        headers = {
            **HEADERS,
            "Content-Type": told.content_type or "application/octet-stream",
            "Content-Length": str(told.size_bytes),
            "Content-Digest": f"sha-256=:{digest}:",
        }
        if isinstance(told, encoder_pb2.ResultFile):
            headers["Content-Disposition"] = f'attachment; filename="{told.name}"'
        await self._tried(lambda: self._put(url, path, headers))

    async def is_wanted(self, url: str) -> bool:
        """Whether somebody waits for the result; True too while that cannot be asked."""
        try:
            response = await self._client.head(url, headers=HEADERS, timeout=ASK_TIMEOUT)
        except httpx.HTTPError:
            return True
        return response.status_code != HTTPStatus.GONE

    async def _fetch(self, url: str, path: Path, field: str, max_bytes: int) -> None:
        async with self._client.stream("GET", url, headers=HEADERS) as response:
            if response.status_code != HTTPStatus.OK:
                error, is_told = await _refusal(response)
                # What names a field is the input's own fault; the rest is the gateway's.
                is_final = is_told and (error.fields or response.status_code not in BUSY)
                raise Passing(error) if _is_passing(response) and not is_final else error
            length = response.headers.get("content-length", "")
            check_size(field, int(length) if length.isdecimal() else 0, max_bytes)
            spool = InputSpool(path, field, max_bytes)
            try:
                async for data in response.aiter_raw(CHUNK_BYTES):
                    await asyncio.to_thread(spool.add, data)
            finally:
                spool.close()

    async def _put(self, url: str, path: Path, headers: dict[str, str]) -> None:
        async with self._client.stream("PUT", url, headers=headers, content=_read(path)) as response:
            if not response.is_success:
                error, _ = await _refusal(response)
                raise Passing(error) if _is_passing(response) else error

    async def _tried(self, attempt: Callable[[], Awaitable[None]]) -> None:
        until = time.monotonic() + self._patience_seconds
        pauses_seconds = itertools.chain(self._pauses_seconds, itertools.repeat(self._pauses_seconds[-1]))
        while True:
            try:
                await self._once(attempt)
            except Passing as fault:
                if time.monotonic() > until:
                    raise fault.error from fault
            else:
                return
            await asyncio.sleep(next(pauses_seconds) * random.uniform(0.5, 1.5))

    async def _once(self, attempt: Callable[[], Awaitable[None]]) -> None:
        try:
            await attempt()
        except httpx.HTTPError as error:
            text = f"A link to the gateway failed ({type(error).__name__}); is PUBLIC_URL reachable from here?"
            raise Passing(Unavailable(text, reason="LINK_FAILED")) from error


async def _refusal(response: httpx.Response) -> tuple[ServiceError, bool]:
    """The error of an answer, and whether the gateway told it in its own words."""
    if response.status_code == HTTPStatus.GONE:
        return Cancelled("Nobody waits for this task any more.", reason="GONE"), True
    body = b""
    async for data in response.aiter_raw(CHUNK_BYTES):
        body += data
        if len(body) > MAX_ERROR_BYTES:
            break
    try:
        status = json_format.Parse(body, status_pb2.Status(), ignore_unknown_fields=True)
        if status.code:
            return errors.from_status(status), True
    except (json_format.ParseError, UnicodeDecodeError, TypeError):
        pass
    text = f"A link to the gateway answered HTTP {response.status_code}; is PUBLIC_URL the gateway's?"
    return Unavailable(text, reason="LINK_REFUSED"), False


def _is_passing(response: httpx.Response) -> bool:
    return response.is_server_error or response.status_code == HTTPStatus.TOO_MANY_REQUESTS


async def _read(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb", 0) as file:
        while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield data
