"""RemoteTask: its inputs are read by link, its result is written by link, and it ends soon when nobody waits for it any
more. Links are secrets: no error and no log names one."""

import asyncio
import base64
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from google.protobuf import json_format
from google.rpc import status_pb2

from apigpu.encoder.v1 import encoder_pb2
from encoder.ffmpeg.command import ExtraFile
from encoder.media.info import Source
from encoder.tasks.executor import Report, TaskExecutor, Work
from encoder.tasks.inputs import InputSpool, by_field, check_size
from encoder.tasks.results import ResultStream
from servicekit import errors, media_types, tracing
from servicekit.backoff import Backoff
from servicekit.chunks import BESIDE_FURTHER, CHUNK_BYTES, HOLE, ChunkPlacement, parse_holes
from servicekit.errors import Cancelled, DeadlineExceeded, InvalidArgument, ServiceError, Unavailable
from servicekit.tasks import cancel_and_wait, run_to_completion

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
POLL_TIMEOUT = httpx.Timeout(5.0)
BACKOFF = Backoff(first_seconds=0.3, max_seconds=30.0, jitter=2 / 3)
# A gateway may be started anew meanwhile: a finished encode is worth the wait.
RETRY_SECONDS = 300.0
MAX_ERROR_BYTES = 64 * 1024
# The gateway itself asks for another attempt.
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
WATCH_SECONDS = 1.0
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "api-gpu-encoder"}


@dataclass(frozen=True)
class Fetched:
    """What is said of an input that was read by link: its encoding, and whether it is an outline."""

    charset: str
    has_hole: bool


Attempt = Callable[[], Awaitable[ServiceError | None]]
"""Returns an error that another attempt may not meet, and raises any other."""


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

    async def fetch(self, url: str, path: Path, field: str, max_bytes: int) -> Fetched:
        """Read an input into a file, and return what is said of it. Raises ServiceError: what the gateway says of the
        input, Cancelled (410), ResourceExhausted over `max_bytes`, Unavailable when the link cannot be read."""
        found: list[Fetched] = []
        await self._retry(lambda: self._fetch(url, path, field, max_bytes, found))
        return found[-1]

    async def put(self, url: str, path: Path, result: encoder_pb2.Summary | encoder_pb2.ResultFile) -> None:
        """Write the first result, with its summary, or a further one. Raises ServiceError: what the gateway says,
        Cancelled (410), Unavailable."""
        digest = base64.b64encode(bytes.fromhex(result.sha256)).decode()
        content_type = result.content_type or "application/octet-stream"
        if isinstance(result, encoder_pb2.Summary) and result.further:
            content_type = BESIDE_FURTHER
        headers = {
            **HEADERS,
            "Content-Type": content_type,
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

    async def _fetch(
        self, url: str, path: Path, field: str, max_bytes: int, found: list[Fetched]
    ) -> ServiceError | None:
        async with self.client.stream("GET", url, headers=HEADERS) as response:
            if response.status_code != HTTPStatus.OK:
                error, is_status = await _refusal(response)
                # What names a field is the input's own fault; the rest is the gateway's.
                is_final = is_status and (error.fields or response.status_code not in BUSY)
                if _is_transient(response) and not is_final:
                    return error
                raise error
            length = response.headers.get("content-length", "")
            check_size(field, int(length) if length.isdecimal() else 0, max_bytes)
            placement = ChunkPlacement(parse_holes(response.headers.get(HOLE, "")))
            with contextlib.closing(InputSpool(path, field, max_bytes)) as spool:
                async for data in response.aiter_raw(CHUNK_BYTES):
                    for offset, part in placement.place(data):
                        await run_to_completion(asyncio.to_thread(spool.add, part, offset))
                for offset, part in placement.finish():
                    await run_to_completion(asyncio.to_thread(spool.add, part, offset))
            charset = media_types.charset(response.headers.get("content-type", ""))
            found.append(Fetched(charset, spool.has_hole))
        return None

    async def _put(self, url: str, path: Path, headers: dict[str, str]) -> ServiceError | None:
        async with self.client.stream("PUT", url, headers=headers, content=_read(path)) as response:
            if response.is_success:
                return None
            error, _ = await _refusal(response)
            if _is_transient(response):
                return error
            raise error

    async def _retry(self, attempt: Attempt) -> None:
        until = time.monotonic() + self.retry_seconds
        for failures in itertools.count(1):
            try:
                error = await attempt()
            except httpx.HTTPError as failure:
                text = f"A link to the gateway failed ({type(failure).__name__}); is PUBLIC_URL reachable from here?"
                error = Unavailable(text, reason="LINK_FAILED")
                error.__cause__ = failure
            if error is None:
                return
            if time.monotonic() > until:
                raise error
            await asyncio.sleep(self.backoff.pause_seconds(failures))


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


@dataclass(frozen=True)
class RemoteTasks:
    """Runs RemoteTasks in an executor."""

    executor: TaskExecutor
    links: Links
    watch_seconds: float = WATCH_SECONDS

    async def run(self, remote: encoder_pb2.RemoteTask, report: Report) -> encoder_pb2.RemoteResult:
        """Run one to its end. Raises ServiceError; Cancelled when nobody waits any more. Leaves nothing behind, also
        when it is cancelled."""
        if len(remote.input_urls) != len(remote.task.inputs):
            raise InvalidArgument("The task needs a link for each of its inputs.", reason="BAD_LINK")
        for name, urls in {"inputUrls": remote.input_urls, "fileUrls": remote.file_urls}.items():
            for number, url in enumerate(urls):
                check_link(url, f"{name}[{number}]")
        check_link(remote.result_url, "resultUrl")
        seconds = self.executor.settings.max_task_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._run_while_wanted(remote.result_url, self._run(remote, report))
        except TimeoutError as error:
            raise DeadlineExceeded(f"The task took longer than {seconds:g} s.", reason="TASK_TIMEOUT") from error

    async def _run(self, remote: encoder_pb2.RemoteTask, report: Report) -> encoder_pb2.RemoteResult:
        async with self.executor.reserve(remote.task) as reservation:
            folder = reservation.folder
            with tracing.span("receive inputs", inputs=len(remote.input_urls)):
                sources = await self._fetch_inputs(remote, folder.path)
            # The results are counted and digested only; they are sent from their files, so that they can be resent.
            stream = ResultStream(_discard, _discard, is_live=False)
            summary = await self.executor.run(Work(remote.task, sources, reservation, report, stream))
            # The first result comes last: where it is, all are.
            for url, file in zip(remote.file_urls, summary.files, strict=False):
                await self.links.put(url, ExtraFile(file.name, file.content_type).path(folder.result), file)
            if summary.size_bytes:
                await self.links.put(remote.result_url, folder.result, summary)
            return encoder_pb2.RemoteResult(summary=summary)

    async def _fetch_inputs(self, remote: encoder_pb2.RemoteTask, folder: Path) -> dict[str, Source]:
        paths, found = [], []
        for number, (item, url) in enumerate(zip(remote.task.inputs, remote.input_urls, strict=True)):
            paths.append(folder / f"input{number}")
            most = self.executor.settings.max_input_bytes
            found.append(await self.links.fetch(url, paths[-1], item.field, most))
        charsets, holes = [one.charset for one in found], [one.has_hole for one in found]
        return by_field(remote.task.inputs, paths, charsets, holes, [""] * len(paths))

    async def _run_while_wanted(
        self, url: str, work: Coroutine[Any, Any, encoder_pb2.RemoteResult]
    ) -> encoder_pb2.RemoteResult:
        working, watching = asyncio.ensure_future(work), asyncio.ensure_future(self._wait_unwanted(url))
        try:
            await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise Cancelled("Nobody waits for this task any more.", reason="GONE")
        finally:
            await cancel_and_wait(working, watching)

    async def _wait_unwanted(self, url: str) -> None:
        """Return once nobody waits for the result."""
        while True:
            if not await self.links.is_wanted(url):
                return
            await asyncio.sleep(self.watch_seconds)


async def _discard(*_: object) -> None:
    pass
