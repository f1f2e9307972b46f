"""Timelines: when the packets of a file are shown, in seconds, as the program FFmpeg has it.

Its libraries, and PyAV with them, give times as they are in the file. In what is recorded or joined (MPEG-TS, MPEG-PS,
Ogg) they can jump, which the program puts right, by the rules that are followed here. It also has such a file begin
with the first of the streams that it reads; any other begins with the first of all its streams.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.format import ContainerFormat, Flags
from av.packet import Packet
from av.stream import Stream

# A time of decoding that is so far from what is due, or so much before the last one, is by another clock.
JUMP_SECONDS = 10.0
BACK_SECONDS = 0.1
# Pictures that stand no longer show what is drawn on them soon enough.
LONG_SECONDS = 0.1


def may_jump(form: ContainerFormat) -> bool:
    """Return True if times can jump in files of a format."""
    return bool(Flags(form.flags) & Flags.ts_discont)


def is_steady(stream: Stream) -> bool:
    """Return True if an index has packets in short steps alone, as they are decoded; they are shown so, too."""
    times = np.fromiter((entry.timestamp for entry in stream.index_entries), np.int64)
    if len(times) < max(stream.frames, 2) or stream.time_base is None:
        return False
    return float(np.diff(times).max() * stream.time_base) <= LONG_SECONDS


def start_time(container: InputContainer, streams: Sequence[Stream] = ()) -> Fraction:
    """Return where the file begins, by its own clock, when these streams of it are read."""
    begin = Fraction(container.start_time or 0, av.time_base)
    if not may_jump(container.format):
        return begin
    clocks = ((stream.start_time, stream.time_base) for stream in streams)
    starts = [time * base for time, base in clocks if time is not None and base is not None]
    return max(begin, min(starts, default=begin))


def iter_packets(container: InputContainer, streams: Sequence[Stream]) -> Iterator[tuple[int, float, float]]:
    """Yield the stream, start and end of each packet that has a time, in the order of the file, when these streams of
    it are read."""
    begin = float(start_time(container, streams))
    clock = PacketClock() if may_jump(container.format) else None
    for packet in container.demux(*streams):
        offset = clock.offset(packet) if clock is not None else 0.0
        if packet.pts is not None:
            time = packet.pts * float(packet.time_base) - begin + offset
            yield packet.stream.index, time, time + (packet.duration or 0) * float(packet.time_base)


class PacketClock:
    """Follows the times of a file's packets, and has them go on where they jump."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._last: float | None = None
        # By the index of the stream: when its last packet was to be decoded, and when the next one is.
        self._decoded: dict[int, float] = {}
        self._due: dict[int, float] = {}

    def offset(self, packet: "Packet[Stream]") -> float:
        """Return the seconds to add to the times of the next packet."""
        index = packet.stream.index
        if packet.dts is not None:
            time = packet.dts * float(packet.time_base) + self._offset
            gap = self._gap(index, time)
            self._offset -= gap
            self._last = self._decoded[index] = time - gap
        elif index in self._due:
            self._decoded[index] = self._due[index]
        if index in self._decoded:
            self._due[index] = self._decoded[index] + _length(packet)
        return self._offset

    def _gap(self, index: int, time: float) -> float:
        """Return how far a time is from where the clock goes on; 0 when it goes on by that."""
        due = self._due.get(index, self._last)
        if due is None:
            return 0.0
        back = index in self._decoded and time + BACK_SECONDS < self._decoded[index]
        return time - due if back or abs(time - due) > JUMP_SECONDS else 0.0


def _length(packet: "Packet[Stream]") -> float:
    """Return the seconds from the decoding of a packet to that of the next."""
    stream = packet.stream
    if isinstance(stream, AudioStream) and stream.codec_context.sample_rate:
        return stream.codec_context.frame_size / stream.codec_context.sample_rate
    return (packet.duration or 0) * float(packet.time_base)
