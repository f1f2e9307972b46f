"""PNG: what stands before the samples of a picture. Source: PNG, third edition, 5.2 and 5.3."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 1000
MAX_HEAD_BYTES = 1024 * 1024
CHUNK = struct.Struct(">I4s")
CHECKSUM_BYTES = 4
# A chunk of samples without any, and the end of a file, each with its checksum.
NO_SAMPLES = bytes.fromhex("00000000 49444154 35af061e 00000000 49454e44 ae426082")


class Chunk(NamedTuple):
    """A chunk of a file: its kind, where its body begins, and the bytes of it."""

    kind: bytes
    start: int
    size: int


def iter_chunks(file: BinaryIO) -> Iterator[Chunk]:
    """Yield the chunks before the samples (IDAT), and then the first of those; none of a file that is no PNG."""
    place = len(SIGNATURE)
    if file.read(place) != SIGNATURE:
        return
    for _ in range(MAX_CHUNKS):
        file.seek(place)
        head = file.read(CHUNK.size)
        if len(head) < CHUNK.size:
            return
        size, kind = CHUNK.unpack(head)
        yield Chunk(kind, place + CHUNK.size, size)
        if kind == b"IDAT":
            return
        place += CHUNK.size + size + CHECKSUM_BYTES


def read_head(path: Path) -> bytes:
    """Return a PNG of the head of one, without samples; b"" for what must be read whole: other files, animations
    (acTL), and heads that are large."""
    with path.open("rb") as file:
        chunks = list(iter_chunks(file))
        if not chunks or chunks[-1].kind != b"IDAT" or any(chunk.kind == b"acTL" for chunk in chunks):
            return b""
        size = chunks[-1].start - CHUNK.size
        file.seek(0)
        return file.read(size) + NO_SAMPLES if size <= MAX_HEAD_BYTES else b""
