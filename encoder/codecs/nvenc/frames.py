"""Frames from a pipe: NV12 pictures with their times, for the worker."""

import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from encoder.codecs.nvenc.order import Raw

Picture = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Frames:
    """Pictures as (PTS in units of `time_base`, array of height · 3/2 rows and width columns); each is valid until the
    next is taken. `close` lets go of what reads them, whether any was taken or not."""

    width: int
    height: int
    time_base: Fraction
    pictures: Iterator[tuple[int, Picture]]
    close: Callable[[], None]


def raw(descriptor: int, form: Raw) -> Frames:
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


def _counted(descriptor: int, form: Raw) -> Generator[tuple[int, Picture]]:
    picture = np.empty((form.height * 3 // 2, form.width), np.uint8)
    whole = picture.data.cast("B")
    number = 0
    while _filled(descriptor, whole):
        yield number, picture
        number += 1


def _filled(descriptor: int, buffer: memoryview) -> bool:
    """Read until the buffer is full; False when the pipe ends before."""
    while buffer:
        count = os.readv(descriptor, [buffer])
        if not count:
            return False
        buffer = buffer[count:]
    return True
