"""Heads of requests: what HTTP asks of them beside what the parser checks, and the bounds of each of their parts.

The parser passes on what it has read piece by piece, so that a head is refused in the middle of one read.
"""

from collections.abc import Sequence

from gateway.rest.status import HeadTooLarge, MalformedHttp, TargetTooLong
from servicekit.errors import ServiceError

# Every request costs some work for each of its headers and for each byte of its path, before its key is known.
MAX_HEADERS = 128
MAX_TARGET_BYTES = 8 * 1024
# One read may hold thousands of requests, of which each takes memory until those before it are answered.
MAX_PIPELINED = 32
# "name: value\r\n".
HEADER_FRAMING_BYTES = 4
VERSIONS = ("1.0", "1.1")


class HeadRefused(Exception):
    """The head is refused: raised through the parser, which stops."""


class HeadMeter:
    """Counts what has come of one head, and of its trailers, and judges it.

    Its methods raise HeadRefused; `fault` is then the error to respond with.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = self._target_bytes = self._headers = 0
        self.fault: ServiceError | None = None

    def add_target(self, part: bytes) -> None:
        """Count a part of the request's target: path and query."""
        self._target_bytes += len(part)
        if self._target_bytes > MAX_TARGET_BYTES:
            raise self._refused(TargetTooLong(f"Path and query are over {MAX_TARGET_BYTES} bytes."))
        self._add_bytes(len(part))

    def add_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        if self._headers > MAX_HEADERS:
            raise self._refused(HeadTooLarge(f"The request has over {MAX_HEADERS} headers."))
        self._add_bytes(len(name) + len(value) + HEADER_FRAMING_BYTES)

    def check(self, version: str, headers: Sequence[tuple[bytes, bytes]], waiting: int) -> None:
        """Hold a whole head against RFC 9112: a wrong one may mean something else to a proxy in front.

        `waiting` is the number of requests before it on its connection that wait to be answered.
        """
        if waiting >= MAX_PIPELINED:
            raise self._refused(MalformedHttp(f"Over {MAX_PIPELINED} requests wait on this connection."))
        if version not in VERSIONS:
            text = f"HTTP/1.1 and HTTP/1.0 are served on a connection like this; the request says {version}."
            raise self._refused(MalformedHttp(text))
        hosts = sum(name == b"host" for name, _ in headers)
        if hosts > 1 or (version == "1.1" and not hosts):
            text = f"A request of HTTP/1.1 has one Host header; this one has {hosts or 'none'}."
            raise self._refused(MalformedHttp(text))
        codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
        if codings and (version == "1.0" or codings != [b"chunked"]):
            raise self._refused(MalformedHttp("Transfer-Encoding may be chunked, in HTTP/1.1, and nothing else."))

    @property
    def too_large(self) -> HeadTooLarge:
        """Return the error of a head that is over the limit."""
        return HeadTooLarge(f"The head of the request is over {self._max_bytes} bytes.")

    def _add_bytes(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self._max_bytes:
            raise self._refused(self.too_large)

    def _refused(self, error: ServiceError) -> HeadRefused:
        self.fault = error
        return HeadRefused(error.message)
