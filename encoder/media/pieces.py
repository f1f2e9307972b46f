"""Pieces of a film as files of their own, which keep its clock, so that one after the other they are the film.

They are MP4 in fragments, each of which tells its time. Their clock is ahead of the film's: sound may begin before the
film, as encoders need some to begin with, and so does the decoding of its first pictures; and no fragment can.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream as AvStream
from av.video.stream import VideoStream as AvVideo

from encoder.media.containers import MP4_DEMUXER, open_container
from encoder.media.info import Source, bad_input

CLOCK_SECONDS = 10
MUXER: Mapping[str, str] = {
    "movflags": "+empty_moov+default_base_moof+frag_keyframe+frag_discont",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}
FRAGMENTS: Mapping[str, str] = {"f": "mp4", **MUXER}
# What means something in a list of files that FFmpeg reads.
SPECIAL, ESCAPED = re.compile(r"[\\'\s]"), r"\\\g<0>"
NOT_THERE = "it is not the file any more that it was when the job began, or it is damaged; submit the job again."


@dataclass(frozen=True)
class PacketSpan:
    """Packets of a stream that follow each other: its index, when the first is decoded by its clock, and how many."""

    stream: int
    first_dts: int
    count: int


@dataclass(frozen=True)
class CutIndex:
    """A file that is the index of the packets of spans alone; see cut_index.py. Of the whole file it tells when it
    begins, in seconds by its own clock, and the bits in a second of each stream."""

    path: Path
    start: Fraction
    bit_rates: Sequence[int]


def cut_out(
    source: Source, spans: Sequence[PacketSpan], path: Path, index: CutIndex | None = None
) -> tuple[Fraction, Fraction]:
    """Write packets of a file, the first span of its picture, as a file of these streams alone; return when the
    pictures begin and end, in seconds of the film. Where they have an `index` of their own, that of the file need not
    be there. Raises InvalidArgument where they are not there."""
    # By an index of their own streams are in the order of spans, and begin at 0.
    earlier = {number: span.first_dts for number, span in enumerate(spans)} if index else {}
    if index is not None:
        spans = [replace(span, stream=number, first_dts=0) for number, span in enumerate(spans)]
    with _opened(source, index) as container:
        streams = {
            span.stream: container.streams[span.stream] for span in spans if span.stream < len(container.streams)
        }
        if len(streams) < len(spans):
            raise bad_input(source, NOT_THERE)
        start = index.start if index else Fraction(container.start_time or 0, av.time_base)
        picture = streams[spans[0].stream]
        scale = str(picture.time_base.denominator) if picture.time_base else "0"
        shown: list[tuple[int, int]] = []
        with av.open(str(path), "w", format="mp4", options={**MUXER, "video_track_timescale": scale}) as written:
            written.metadata.update(container.metadata)
            outputs = {span.stream: _template(written, streams[span.stream]) for span in spans}
            for number, rate in enumerate(index.bit_rates if index else ()):
                outputs[number].codec_context.bit_rate = rate
            for packet in _packets(source, container, spans, list(streams.values())):
                _move(packet, earlier.get(packet.stream_index, 0))
                if packet.stream_index == spans[0].stream:
                    shown.append((packet.pts or 0, packet.duration or 0))
                _move(packet, _clock_ticks(packet.time_base, start))
                packet.stream = outputs[packet.stream_index]
                written.mux(packet)
    first, last = min(shown), max(shown)
    base = picture.time_base or Fraction(1)
    return first[0] * base - start, sum(last) * base - start


def _opened(source: Source, index: CutIndex | None) -> AbstractContextManager[InputContainer]:
    if index is None:
        return open_container(source, (MP4_DEMUXER,))
    # Of the protocols that put files together, the one that takes any name.
    listed = index.path.with_suffix(".list")
    lines = (f"{SPECIAL.sub(ESCAPED, str(path))}\n" for path in (index.path, source.path))
    listed.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
    both = replace(source, path=Path(f"concatf:{listed}"))
    return open_container(both, (MP4_DEMUXER,), more={"protocol_whitelist": "concatf,file"})


def _template(written: OutputContainer, stream: AvStream) -> Any:
    made: Any = written.add_stream_from_template(stream)
    made.time_base = stream.time_base
    made.metadata.update(stream.metadata)
    made.disposition = stream.disposition
    if isinstance(stream, AvVideo) and stream.sample_aspect_ratio:  # the container's, before that of the codec
        made.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio
    return made


def _packets(
    source: Source, container: InputContainer, spans: Sequence[PacketSpan], streams: Sequence[AvStream]
) -> Iterator["Packet[Any]"]:
    """Yield the packets of spans, in the order of their times. Raises InvalidArgument where some are missing."""
    wanted = {span.stream: span for span in spans}
    taken = dict.fromkeys(wanted, 0)
    missing = sum(span.count for span in spans)
    picture = container.streams[spans[0].stream]
    # Sound may begin before the first picture, and would be passed over.
    if picture.index_entries and picture.index_entries[0].timestamp < spans[0].first_dts:
        container.seek(spans[0].first_dts, stream=picture)
    for packet in container.demux(*streams):
        span = wanted[packet.stream_index]
        is_before = packet.dts is None or packet.pts is None or packet.dts < span.first_dts
        if is_before or taken[span.stream] == span.count:
            continue
        if not taken[span.stream] and packet.dts != span.first_dts:
            break
        taken[span.stream] += 1
        missing -= 1
        yield packet
        if not missing:
            return
    raise bad_input(source, NOT_THERE)


def _clock_ticks(base: Fraction, start: Fraction) -> int:
    """Return by how much the clock of pieces is ahead of that of a file, which begins at `start`, in seconds."""
    return int(CLOCK_SECONDS / base) - round(start / base)


def _move(packet: "Packet[Any]", ticks: int) -> None:
    assert packet.pts is not None
    assert packet.dts is not None
    packet.pts += ticks
    packet.dts += ticks
