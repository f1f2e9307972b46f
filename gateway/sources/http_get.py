"""One HTTP/1.1 request over a connection of its own, to an address that was checked before.

An origin is foreign: its head, interim answers, framing and speed are bounded, and a byte of it costs the same whether
it comes in large chunks or in chunks of one byte, which is why llhttp parses them and no parser in Python.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httptools

from servicekit.tasks import cancel_and_wait

READ_BYTES = 64 * 1024
# What may come before the end of the head: it, and interim answers (1xx).
MAX_HEAD_BYTES = 64 * 1024
HEAD_READ_BYTES = 16 * 1024
MAX_HEADERS = 256
MAX_INTERIM = 16
# What may come around a body of n bytes (sizes of chunks, their extensions, trailers): so much, and an eighth of n.
FRAMING_BYTES = 1024 * 1024
FRAMING_SHARE = 8
# Small reads are rare from an honest origin. After some of them the connection is left alone for a moment, in which
# the system collects what comes: each read costs the event loop as much as one of 64 KiB.
SMALL_READ_BYTES = 1024
FREE_SMALL_READS = 16
SMALL_READ_PAUSE_SECONDS = 0.005
# Of the parser, for what other clients take: bare line feeds, a length beside chunks, blanks after their sizes.
LENIENCIES = {
    "lenient_chunked_length": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
}


class ConnectFailed(Exception):
    """No connection came about; the cause is an OSError, or a TimeoutError."""


class BrokenOff(Exception):
    """The connection ended before the answer did."""


class NotHttp(Exception):
    """The answer does not keep to HTTP."""


class Wasteful(Exception):
    """The answer has far more around its body than in it, or a head or interim answers without end."""


class TooSlow(Exception):
    """The body comes slower than a download must."""


ERRORS = (ConnectFailed, BrokenOff, NotHttp, Wasteful, TooSlow)


@dataclass(frozen=True)
class Target:
    """What is connected to: address and port, and the name that the certificate must have (None without TLS)."""

    address: str
    port: int
    tls: ssl.SSLContext | None
    server_name: str


@dataclass
class SpeedLimit:
    """Counts what comes in the time that is spent waiting for it, so that a slow reader is not the origin's fault.

    In every `window_seconds` of waiting, at least `bytes_per_second` must come on average.
    """

    window_seconds: float
    bytes_per_second: float
    _waited_seconds: float = 0.0
    _bytes: int = 0

    def add(self, waited_seconds: float, size_bytes: int) -> None:
        """Count a read. Raises TooSlow."""
        self._waited_seconds += waited_seconds
        self._bytes += size_bytes
        if self._waited_seconds < self.window_seconds:
            return
        if self._bytes < self.bytes_per_second * self._waited_seconds:
            raise TooSlow
        self._waited_seconds, self._bytes = 0.0, 0


@dataclass(eq=False)
class _Message:
    """What the parser tells of the answer. Interim answers are counted and dropped, trailers dropped."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    has_head: bool = False
    is_complete: bool = False
    interim: int = 0
    fields: int = 0
    parts: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.parser.set_dangerous_leniencies(**LENIENCIES)

    def feed(self, data: bytes) -> bytes:
        """Parse what came; return what of it is body. Raises NotHttp, Wasteful."""
        if not self.is_complete:
            try:
                self.parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                if not self.is_complete:  # bytes after the end are nobody's
                    raise NotHttp(str(error)) from error
        if self.interim > MAX_INTERIM or self.fields > MAX_HEADERS:
            raise Wasteful("a head, or interim answers, without end")
        body = b"".join(self.parts)
        self.parts.clear()
        return body

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            return
        self.fields += 1
        if self.fields <= MAX_HEADERS:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        if self.has_head:
            return
        self.status = self.parser.get_status_code()
        if self.status < 200:
            self.interim += 1
            self.headers.clear()
        else:
            self.has_head = True

    def on_body(self, data: bytes) -> None:
        if not self.is_complete:
            self.parts.append(data)

    def on_message_complete(self) -> None:
        self.is_complete = self.has_head

    @property
    def ends_with_connection(self) -> bool:
        """True if nothing but the end of the connection ends the body."""
        return self.has_head and not {"content-length", "transfer-encoding"} & self.headers.keys()


class OriginResponse:
    """The answer to a request; `open` yields one whose head has come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._message = _Message()
        self._first = b""
        self._small_reads = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        target: Target,
        request: bytes,
        *,
        connect_seconds: float,
        head_seconds: float,
        body: AsyncIterator[bytes] | None = None,
        idle_seconds: float = 0.0,
    ) -> "AsyncIterator[OriginResponse]":
        """Connect, send the request, then `body` as long as no answer comes and some of it is taken every
        `idle_seconds`, and read the head. Raises ConnectFailed, TimeoutError, OSError, the errors of this module, and
        what `body` raises."""
        reader, writer = await _connect(target, connect_seconds)
        try:
            response = cls(reader, writer)
            async with asyncio.timeout(head_seconds):
                writer.write(request)
                await writer.drain()
            await response._take_answer(body, head_seconds, idle_seconds)
            yield response
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def abort(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self._message.status

    def header(self, name: str) -> str:
        """Return a header by its lower-case name; "" without it, with commas between several."""
        return self._message.headers.get(name, "")

    async def body(self, idle_seconds: float, speed: SpeedLimit) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes. Raises TimeoutError after `idle_seconds` of silence, OSError, and the errors of
        this module."""
        message, part = self._message, self._first
        body_bytes = framing_bytes = 0
        while True:
            body_bytes += len(part)
            if part:
                yield part
            if message.is_complete:
                return
            began = time.monotonic()
            async with asyncio.timeout(idle_seconds):
                data = await self._read(READ_BYTES)
            if not data:
                if message.ends_with_connection:
                    return
                raise BrokenOff
            part = message.feed(data)
            speed.add(time.monotonic() - began, len(part))
            framing_bytes += len(data) - len(part)
            if not message.is_complete and framing_bytes > FRAMING_BYTES + body_bytes // FRAMING_SHARE:
                raise Wasteful("more around the body than in it")

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their lower-case names."""
        return self._message.headers

    async def _take_answer(self, body: AsyncIterator[bytes] | None, head_seconds: float, idle_seconds: float) -> None:
        heading = asyncio.create_task(self._read_head())
        try:
            if body is not None:
                with contextlib.suppress(ConnectionError):  # whoever refuses a body closes; the answer may be here
                    await self._send(body, heading, idle_seconds)
            async with asyncio.timeout(head_seconds):
                await heading
        finally:
            await cancel_and_wait(heading)

    async def _send(self, body: AsyncIterator[bytes], heading: "asyncio.Task[None]", idle_seconds: float) -> None:
        async for part in body:
            if heading.done():
                return
            self._writer.write(part)
            draining = asyncio.create_task(self._writer.drain())
            try:
                await asyncio.wait({heading, draining}, timeout=idle_seconds, return_when=asyncio.FIRST_COMPLETED)
                if draining.done():
                    draining.result()
                elif not heading.done():
                    raise TimeoutError
            finally:
                await cancel_and_wait(draining)

    async def _read_head(self) -> None:
        size_bytes = 0
        while not self._message.has_head:
            if size_bytes > MAX_HEAD_BYTES:
                raise Wasteful("a head without end")
            data = await self._read(HEAD_READ_BYTES)
            if not data:
                raise BrokenOff
            size_bytes += len(data)
            self._first += self._message.feed(data)

    async def _read(self, max_bytes: int) -> bytes:
        if self._small_reads > FREE_SMALL_READS:
            transport: Any = self._writer.transport  # typed for writing, and a transport for both
            transport.pause_reading()
            await asyncio.sleep(SMALL_READ_PAUSE_SECONDS)
            transport.resume_reading()
        data = await self._reader.read(max_bytes)
        self._small_reads += len(data) < SMALL_READ_BYTES
        return data


async def _connect(target: Target, seconds: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = target.server_name if target.tls else None
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.open_connection(
                target.address, target.port, ssl=target.tls, server_hostname=name, limit=2 * READ_BYTES
            )
    except OSError as error:  # TimeoutError is one
        raise ConnectFailed from error
