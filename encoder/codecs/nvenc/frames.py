"""Frames from a pipe: NV12 pictures with their times, for the worker."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from encoder.codecs.nvenc.request import RawVideo

# Pictures that are read before they are taken; a 4K one has 12 MB.
AHEAD = 3

Picture = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Frames:
    """Pictures as (PTS in units of `time_base`, array of height · 3/2 rows and width columns); each is valid until
    AHEAD more were taken. `close` lets go of what reads them, whether any was taken or not."""

    width: int
    height: int
    time_base: Fraction
    pictures: Iterator[tuple[int, Picture]]
    close: Callable[[], None]


def raw(descriptor: int, form: RawVideo) -> Frames:
    """Frames that follow each other without anything between them."""
    pictures = _counted(descriptor, form)
    return Frames(form.width, form.height, 1 / form.rate, pictures, pictures.close)


def contained(descriptor: int) -> Frames | None:
    """Frames in the container NUT, which keeps their times; None when there is not one."""
    try:
        container = av.open(f"pipe:{descriptor}", format="nut")
    except av.FFmpegError:
        return None
    stream = container.streams.video[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    assert stream.time_base is not None

    def pictures() -> Iterator[tuple[int, Picture]]:
        for packet in container.demux(stream):
            if packet.size:
                assert packet.pts is not None
                yield packet.pts, np.frombuffer(memoryview(packet), np.uint8).reshape(height * 3 // 2, width)

    return Frames(width, height, stream.time_base, pictures(), container.close)


def ahead(pictures: Iterator[tuple[int, Picture]]) -> Generator[tuple[int, Picture]]:
    """The same, read on a thread, up to AHEAD before they are taken: a fifth more frames a second."""
    reader = ThreadPoolExecutor(1, "frames")
    try:
        following = deque(reader.submit(next, pictures, None) for _ in range(AHEAD))
        while (picture := following.popleft().result()) is not None:
            following.append(reader.submit(next, pictures, None))
            yield picture
    finally:
        reader.shutdown(cancel_futures=True)


def _counted(descriptor: int, form: RawVideo) -> Generator[tuple[int, Picture]]:
    pictures = [np.empty((form.height * 3 // 2, form.width), np.uint8) for _ in range(AHEAD + 1)]
    number = 0
    while _filled(descriptor, pictures[number % len(pictures)].data.cast("B")):
        yield number, pictures[number % len(pictures)]
        number += 1


def _filled(descriptor: int, buffer: memoryview) -> bool:
    """Read until the buffer is full; False when the pipe ends before."""
    while buffer:
        count = os.readv(descriptor, [buffer])
        if not count:
            return False
        buffer = buffer[count:]
    return True
