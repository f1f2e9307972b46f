"""Counting packets: how long streams are, and whether they end as they should, by reading a file to its end."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import av.logging
from av.container import InputContainer
from av.stream import Stream

from encoder.media import timeline, wholeness
from encoder.media.info import Source
from encoder.media.info import Stream as MediaStream

# Of four hours and more.
MAX_TIMED = 1_000_000
# What FFmpeg's libraries say of a file that ends within a packet.
CUT_OFF_WORDS = ("File ended prematurely", "partial file")


@dataclass(frozen=True)
class PacketCount:
    """Of each stream, by its index: the number of its packets that have a time, and seconds from the file's start to
    its end; whether the file ends within a packet; and when the packets of the `timed` stream begin, the first
    MAX_TIMED of them, in the order of the file."""

    packets: Mapping[int, int]
    ends: Mapping[int, float]
    is_cut_off: bool
    starts: Sequence[float] = ()


def count_packets(container: InputContainer, streams: Sequence[Stream], timed: int | None = None) -> PacketCount:
    """Read streams to their end. `timed` is the index of the one whose times are wanted."""
    packets = {stream.index: 0 for stream in streams}
    ends = {stream.index: 0.0 for stream in streams}
    starts = array("d")
    with _heard() as said:
        for index, start, end in timeline.iter_packets(container, streams):
            packets[index] += 1
            ends[index] = max(ends[index], end)
            if index == timed and len(starts) < MAX_TIMED:
                starts.append(start)
    is_cut_off = any(word in words for _, _, words in said for word in CUT_OFF_WORDS)
    return PacketCount(packets, ends, is_cut_off, starts)


def ends_early(
    source: Source, demuxer: str, streams: Sequence[MediaStream] = (), count: PacketCount | None = None
) -> bool:
    """Return True for a file that ends before it should: by its head; where the packets of `streams` were counted, also
    where it ends within one, or they end well before the length that the head promises."""
    is_cut_off = wholeness.is_cut_off(source.path, demuxer)
    if is_cut_off or count is None:
        return is_cut_off
    promised_seconds = max(stream.duration_seconds for stream in streams)
    return count.is_cut_off or wholeness.falls_short(source.path, demuxer, promised_seconds, max(count.ends.values()))


@contextmanager
def _heard() -> Iterator[list[tuple[int, str, str]]]:
    """Collect what FFmpeg's libraries say while the block is run, which else nobody hears."""
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as said:
            yield said
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips)
