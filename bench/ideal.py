"""The ideal Ken Burns clip, and the ideal film of some: every frame resampled from the whole picture in float with
Lanczos, nothing rounded but the end. Slow; what clips are held against."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

Plane = np.ndarray[Any, np.dtype[np.float32]]

LOBES = 3
ZOOM = 0.324
GREY = 128


def luma(image: Path) -> Plane:
    """The first frame of an image as BT.709 luma of limited range (ITU-R BT.709, 3 and 4), float."""
    with av.open(str(image)) as container:
        rgb = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.float32)
    made: Plane = 16 + 219 / 255 * (rgb @ np.array([0.2126, 0.7152, 0.0722], np.float32))
    return made


def zoomed(picture: Plane, width: int, height: int, frames: int) -> Iterator[Plane]:
    """Frames n = 0 … N−1 of z(n) = 1 + 0.324·n/N about the center; the picture must have the shape of the clip."""
    for number in range(frames):
        zoom = 1 + ZOOM * number / frames
        rows = _resampled(picture, height, zoom)
        yield _resampled(rows.T, width, zoom).T


def crossfaded(images: Sequence[Path], width: int, height: int, frames: int, fade: int) -> Iterator[Plane]:
    """Frames of clips that lead into each other: frame k of the `fade` ones is k / fade of the next clip."""
    current = zoomed(luma(images[0]), width, height, frames)
    for number, image in enumerate(images[1:]):
        yield from islice(current, frames - fade * (2 if number else 1))
        following = zoomed(luma(image), width, height, frames)
        for step, one in enumerate(current):
            yield one * (1 - step / fade) + next(following) * (step / fade)
        current = following
    yield from current


def write(path: Path, frames: Iterable[Plane]) -> None:
    """Frames as a raw file of yuv420p without color."""
    with path.open("wb") as file:
        for frame in frames:
            file.write(np.clip(np.rint(frame), 0, 255).astype(np.uint8).tobytes())
            file.write(bytes([GREY]) * (frame.size // 2))


def _resampled(picture: Plane, length: int, zoom: float) -> Plane:
    """`length` rows taken from the middle 1/zoom of a picture's rows: Lanczos, widened where rows are skipped."""
    given = picture.shape[0]
    step = given / zoom / length
    wide = max(step, 1.0)
    places = (given - given / zoom) / 2 + (np.arange(length) + 0.5) * step - 0.5
    taps = np.arange(-int(LOBES * wide), int(LOBES * wide) + 2)
    rows = np.floor(places)[:, None] + taps
    distance = (rows - places[:, None]) / wide
    weights = np.where(np.abs(distance) < LOBES, np.sinc(distance) * np.sinc(distance / LOBES), 0)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    found = np.clip(rows, 0, given - 1).astype(np.intp)
    made = np.zeros((length, picture.shape[1]), np.float32)
    for tap in range(len(taps)):
        made += weights[:, tap, None] * picture[found[:, tap]]
    return made
