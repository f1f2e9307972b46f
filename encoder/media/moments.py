"""Moments: a file of tiny pictures whose times are all that matters, for filters that go by them."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av

DEMUXER = "nut"
TIME_BASE = Fraction(1, 1000)
SIDE, FORM = 2, "gray"
# Who goes by two streams begins and ends with the one that is shorter: these moments reach so far before and behind.
LEAD_MS = 1000


def write_moments(path: Path, milliseconds: Iterable[int], until: float) -> None:
    """Write a file with a picture LEAD_MS after each of these times, sorted, one at 0, and one well behind `until`, in
    seconds."""
    with av.open(str(path), "w", format=DEMUXER) as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width = stream.height = SIDE
        stream.pix_fmt = FORM
        stream.time_base = stream.codec_context.time_base = TIME_BASE
        for moment in (0, *(time + LEAD_MS for time in milliseconds), int(until * 1000) + 2 * LEAD_MS):
            packet = av.Packet(bytes(SIDE * SIDE))
            packet.stream, packet.time_base = stream, TIME_BASE
            packet.pts = packet.dts = moment
            packet.is_keyframe = True
            container.mux(packet)
