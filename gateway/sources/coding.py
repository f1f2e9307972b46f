"""Content codings of downloads: what a server compresses though it was asked not to is unpacked as it comes.

Foreign bytes grow by it, so each step, and what comes of the whole, is bounded. Source: RFC 9110, section 8.4.
"""

import zlib
from collections.abc import Iterator

# What servers put where a coding belongs, though they send the file as it is.
PLAIN = frozenset({"", "identity", "none", "binary", "utf-8", "aws-chunked"})
GZIP, DEFLATE = ("gzip", "x-gzip"), "deflate"
CODINGS = (*GZIP, DEFLATE)
_MEMBER = b"\x1f"  # the first byte of gzip's members, of which a file may have several
_WBITS_GZIP, _WBITS_ZLIB, _WBITS_RAW = 31, 15, -15
# What one step may yield.
STEP_BYTES = 256 * 1024
# So much may come of any few bytes; beyond it, no more than this many times as much as was sent.
FREE_BYTES = 16 * 1024 * 1024
MAX_RATIO = 100


class BadCoding(Exception):
    """The bytes are not of the coding that the server names, or end in the middle of it."""


class Overpacked(Exception):
    """So much comes of so few bytes that no honest file is like it."""


class Unpacker:
    """Unpacks a download of one of CODINGS, part by part."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: zlib._Decompress | None = None
        self._has_ended = self._is_over = False
        self._packed_bytes = self._unpacked_bytes = 0

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield what comes of the next part, in pieces of STEP_BYTES at most. Raises BadCoding, Overpacked."""
        self._packed_bytes += len(data)
        while data and not self._is_over:
            if self._has_ended and (self._coding == DEFLATE or not data.startswith(_MEMBER)):
                self._is_over = True  # what is behind the end is nobody's
                return
            stream = self._stream = self._stream or self._begin(data)
            self._has_ended = False
            yield from self._pieces(stream, data)
            data = stream.unused_data
            if stream.eof:
                self._stream, self._has_ended = None, True

    def finish(self) -> None:
        """Hold that the bytes are whole. Raises BadCoding."""
        if self._stream is not None:
            raise BadCoding("the bytes end in the middle")

    def _begin(self, data: bytes) -> "zlib._Decompress":
        if self._coding in GZIP:
            return zlib.decompressobj(_WBITS_GZIP)
        # Servers disagree on whether "deflate" has zlib's head, whose first byte ends in 8.
        return zlib.decompressobj(_WBITS_ZLIB if data[0] & 0x0F == 8 else _WBITS_RAW)

    def _pieces(self, stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        is_full = True
        # A full piece may have left something inside. After the end the tail may be what is behind it.
        while (data or is_full) and not stream.eof:
            try:
                piece = stream.decompress(data, STEP_BYTES)
            except zlib.error as error:
                raise BadCoding(str(error)) from error
            data, is_full = stream.unconsumed_tail, len(piece) == STEP_BYTES
            self._unpacked_bytes += len(piece)
            if self._unpacked_bytes > max(FREE_BYTES, MAX_RATIO * self._packed_bytes):
                raise Overpacked(f"over {MAX_RATIO} times as much")
            if piece:
                yield piece
