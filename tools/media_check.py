"""Facts of a video, found by decoding it."""

from dataclasses import dataclass
from pathlib import Path

import av

SMALL = (480, 270)
CHANGE_LEVELS = 40


@dataclass(frozen=True)
class Footage:
    """Frames decoded, pixels, seconds of the picture, and of the sound where there is one."""

    frames: int
    width: int
    height: int
    seconds: float
    audio_seconds: float | None

    @property
    def size(self) -> str:
        """Pixels across and down."""
        return f"{self.width}×{self.height}"


def footage(path: Path) -> Footage:
    """Decode every frame of a video. Raises av.FFmpegError for what cannot be decoded."""
    frames, end = 0, 0.0
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            frames += 1
            end = max(end, (frame.time or 0.0) + float(1 / (stream.average_rate or 25)))
        return Footage(frames, stream.width, stream.height, end, sound_seconds(path))


def sound_seconds(path: Path) -> float | None:
    """Decode the sound of a file and return its seconds, None where there is none."""
    with av.open(path) as container:
        if not container.streams.audio:
            return None
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def changed_share(path: Path, other: Path, seconds: float, other_seconds: float | None = None) -> float:
    """Return the share of the pixels, 0 to 1, that clearly differ between two videos, compared at 480×270 in gray: at
    `seconds` in the first and at `other_seconds`, or the same, in the second."""
    late = seconds if other_seconds is None else other_seconds
    pairs = list(zip(_gray(path, seconds), _gray(other, late), strict=True))
    return sum(abs(one - two) > CHANGE_LEVELS for one, two in pairs) / len(pairs)


def _gray(path: Path, seconds: float) -> bytes:
    with av.open(path) as container:
        stream = container.streams.video[0]
        container.seek(int(seconds * av.time_base))
        for frame in container.decode(stream):
            if (frame.time or 0.0) >= seconds:
                plane = frame.reformat(width=SMALL[0], height=SMALL[1], format="gray").planes[0]
                rows, data = range(SMALL[1]), bytes(plane)
                return b"".join(data[row * plane.line_size : row * plane.line_size + SMALL[0]] for row in rows)
    raise ValueError(f"{path} has no frame at {seconds} s")
