"""Animated WebP: its frames and their times, by its chunks. The libraries that probe know only stills of WebP, FFmpeg
decodes both. Source: WebP Container Specification, "Extended File Format" and "Animation"."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 30
ANIMATION, ALPHA = 0x02, 0x10
CHUNK = struct.Struct("<4sI")
FIRST_CHUNK = 12
FRAME, DURATION_PLACE = b"ANMF", 12
MAX_CHUNKS = 100_000
# FFmpeg shows a frame without a length for so long.
DEFAULT_MILLISECONDS = 100


@dataclass(frozen=True)
class Animation:
    """Pixels across and down, and whether parts are transparent."""

    width: int
    height: int
    transparent: bool


def describe(head: bytes) -> Animation | None:
    """Return what the first HEAD_BYTES of a file say; None when it is no animated WebP."""
    if head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or len(head) < HEAD_BYTES or not head[20] & ANIMATION:
        return None
    width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    return Animation(width, height, bool(head[20] & ALPHA))


def frame_times(path: Path) -> Iterator[tuple[float, float]]:
    """Yield start and end of each frame that is whole, seconds from the beginning."""
    end, milliseconds = path.stat().st_size, 0
    with path.open("rb") as file:
        place = FIRST_CHUNK
        for _ in range(MAX_CHUNKS):
            file.seek(place)
            head = file.read(CHUNK.size)
            if len(head) < CHUNK.size:
                return
            kind, size = CHUNK.unpack(head)
            place += CHUNK.size + size + size % 2
            if kind != FRAME or place > end + 1:
                continue
            body = file.read(DURATION_PLACE + 3)
            length = int.from_bytes(body[DURATION_PLACE:], "little") or DEFAULT_MILLISECONDS
            yield milliseconds / 1000, (milliseconds + length) / 1000
            milliseconds += length
