"""The links of a RemoteTask over HTTP. They are secrets: no error and no log names one."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
from google.protobuf import json_format
from google.rpc import status_pb2

from apigpu.encoder.v1 import encoder_pb2
from encoder.tasks.inputs import InputSpool, check_size
from servicekit import errors
from servicekit.backoff import Backoff
from servicekit.chunks import CHUNK_BYTES
from servicekit.errors import Cancelled, InvalidArgument, ServiceError, Unavailable

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
POLL_TIMEOUT = httpx.Timeout(5.0)
BACKOFF = Backoff(first_seconds=0.3, max_seconds=30.0, jitter=2 / 3)
# A gateway may be started anew meanwhile: a finished encode is worth the wait.
RETRY_SECONDS = 300.0
MAX_ERROR_BYTES = 64 * 1024
# The gateway itself asks for another attempt.
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "api-gpu-encoder"}


class TransientError(Exception):
    """An error that another attempt may not meet."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error


def check_link(url: str, what: str) -> None:
    """Raise InvalidArgument for what is not a whole link of http or https."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidArgument(f"{what} must be a whole link of http or https.", reason="BAD_LINK")


@dataclass(frozen=True)
class Links:
    """Reads and writes by link. Redirects are not followed. Transient errors are retried for `retry_seconds`."""

    client: httpx.AsyncClient
    backoff: Backoff = BACKOFF
    retry_seconds: float = RETRY_SECONDS

    async def fetch(self, url: str, path: Path, field: str, max_bytes: int) -> None:
        """Read an input into a file. Raises ServiceError: what the gateway says of the input, Cancelled (410),
        ResourceExhausted over `max_bytes`, Unavailable when the link cannot be read."""
        await self._retry(lambda: self._fetch(url, path, field, max_bytes))

    async def put(self, url: str, path: Path, result: encoder_pb2.Summary | encoder_pb2.ResultFile) -> None:
        """Write the first result, with its summary, or a further one. Raises ServiceError: what the gateway says,
        Cancelled (410), Unavailable."""
        digest = base64.b64encode(bytes.fromhex(result.sha256)).decode()
        headers = {
            **HEADERS,
            "Content-Type": result.content_type or "application/octet-stream",
            "Content-Length": str(result.size_bytes),
            "Content-Digest": f"sha-256=:{digest}:",
        }
        if isinstance(result, encoder_pb2.ResultFile):
            headers["Content-Disposition"] = f'attachment; filename="{result.name}"'
        await self._retry(lambda: self._put(url, path, headers))

    async def is_wanted(self, url: str) -> bool:
        """Return True if somebody waits for the result, or when that cannot be found out."""
        try:
            response = await self.client.head(url, headers=HEADERS, timeout=POLL_TIMEOUT)
        except httpx.HTTPError:
            return True
        return response.status_code != HTTPStatus.GONE

    async def _fetch(self, url: str, path: Path, field: str, max_bytes: int) -> None:
        async with self.client.stream("GET", url, headers=HEADERS) as response:
            if response.status_code != HTTPStatus.OK:
                error, is_status = await _refusal(response)
                # What names a field is the input's own fault; the rest is the gateway's.
                is_final = is_status and (error.fields or response.status_code not in BUSY)
                raise TransientError(error) if _is_transient(response) and not is_final else error
            length = response.headers.get("content-length", "")
            check_size(field, int(length) if length.isdecimal() else 0, max_bytes)
            spool = InputSpool(path, field, max_bytes)
            try:
                async for data in response.aiter_raw(CHUNK_BYTES):
                    await asyncio.to_thread(spool.add, data)
            finally:
                spool.close()

    async def _put(self, url: str, path: Path, headers: dict[str, str]) -> None:
        async with self.client.stream("PUT", url, headers=headers, content=_read(path)) as response:
            if not response.is_success:
                error, _ = await _refusal(response)
                raise TransientError(error) if _is_transient(response) else error

    async def _retry(self, attempt: Callable[[], Awaitable[None]]) -> None:
        until, failures = time.monotonic() + self.retry_seconds, 0
        while True:
            try:
                await _translate_http_errors(attempt)
            except TransientError as failure:
                if time.monotonic() > until:
                    raise failure.error from failure
            else:
                return
            failures += 1
            await asyncio.sleep(self.backoff.pause_seconds(failures))


async def _translate_http_errors(attempt: Callable[[], Awaitable[None]]) -> None:
    """Await an attempt. Raises TransientError for an error of httpx."""
    try:
        await attempt()
    except httpx.HTTPError as error:
        text = f"A link to the gateway failed ({type(error).__name__}); is PUBLIC_URL reachable from here?"
        raise TransientError(Unavailable(text, reason="LINK_FAILED")) from error


async def _refusal(response: httpx.Response) -> tuple[ServiceError, bool]:
    """Return the error of a response, and True if it is a status that the gateway made."""
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


def _is_transient(response: httpx.Response) -> bool:
    return response.is_server_error or response.status_code == HTTPStatus.TOO_MANY_REQUESTS


async def _read(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb", 0) as file:
        while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield data
