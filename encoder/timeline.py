"""Timelines: when the packets of a file are shown, in seconds from where FFmpeg has it begin."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Stream


def start(container: InputContainer) -> Fraction:
    """Where the file begins, by its own clock."""
    return Fraction(container.start_time or 0, av.time_base)


def shown(container: InputContainer, taken: Sequence[Stream]) -> Iterator[tuple[int, float, float]]:
    """Stream, start and end of each packet of the streams `taken` that has a time, in the order of the file."""
    begin = start(container)
    for packet in container.demux(*taken):
        if packet.pts is not None:
            time = packet.pts * packet.time_base - begin
            yield packet.stream.index, float(time), float(time + (packet.duration or 0) * packet.time_base)
