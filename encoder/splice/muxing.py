"""Puts a film together: the untouched packets of its source, and between them those of encoded runs.

The packets of a run have the times of those that they take the place of: the same pictures are shown, in the same
order; so are the times of decoding, as far as the order of the new packets allows."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream as AvVideo

from encoder.ffmpeg.command import TrackFit
from encoder.media.containers import MP4_DEMUXER, open_container
from encoder.media.info import MediaInfo, Source, VideoStream
from encoder.media.pieces import CLOCK_SECONDS, MUXER
from encoder.splice import hevc
from encoder.splice.bits import BadBitstream
from encoder.splice.h264 import DecoderRecord, SequenceParameters
from encoder.splice.pictures import Times
from encoder.splice.scan import LENGTH_BYTES, ScannedTrack, ranks
from encoder.splice.segments import Segment
from encoder.splice.syntax import SYNTAXES
from servicekit.errors import InvalidArgument

# By so much the times of a run may differ from those that were planned: containers round.
NEAR_SECONDS = 1e-3


class PartMismatch(ValueError):
    """An encoded run is not what was planned; the text says why, for people."""


def mux(
    source: Source,
    info: MediaInfo,
    video: VideoStream,
    track: ScannedTrack,
    segments: Sequence[Segment],
    parts: Sequence[Source],
    result: Path,
    *,
    is_piece: bool = False,
) -> None:
    """Write the film of these segments, video alone, from the start of its file on; `parts` are the encoded ones, and
    behind them what else shares their parameter sets. A piece is written by the clock of pieces. Raises PartMismatch,
    also for what a container or a decoder would not take."""
    try:
        _write_film(source, info, video, track, segments, parts, result, is_piece)
    except (OSError, MemoryError):  # which FFmpeg has too, and for which all frames would not do either
        raise
    except (av.FFmpegError, BadBitstream, InvalidArgument) as error:  # the source was read whole before
        raise PartMismatch(f"its runs cannot be put together: {error}") from error


def _write_film(
    source: Source,
    info: MediaInfo,
    video: VideoStream,
    track: ScannedTrack,
    segments: Sequence[Segment],
    parts: Sequence[Source],
    result: Path,
    is_piece: bool,
) -> None:
    record = track.record.with_sets(common_record(parts, track.parameters, track.fit())) if parts else track.record
    parts = parts[: len(list(_encoded(segments)))]
    times = [_part_times(part, track, segment) for part, segment in zip(parts, _encoded(segments), strict=True)]
    options = {**(MUXER if is_piece else {}), "video_track_timescale": str(track.clock.denominator)}
    begin = track.begin - (int(CLOCK_SECONDS / track.clock) if is_piece else 0)
    with (
        av.open(str(result), "w", format="mp4", options=options) as made,
        open_container(source, (info.demuxer,)) as given,
    ):
        read = given.streams[video.index]
        assert isinstance(read, AvVideo)
        writer = _Writer(made, read, track, record, begin)
        packets = (packet for packet in given.demux(read) if packet.size)
        waiting = iter(zip(parts, times, strict=True))
        held: Packet[AvVideo] | None = None
        for segment in segments:
            if segment.is_encoded:
                part, (shown, decoded) = next(waiting)
                writer.write_part(part, shown, decoded, segment)
                held = _skip(packets, segment, track.places.moved.get(segment.end))
                continue
            first = segment.first
            if held is not None:
                writer.write(_broken_link(held), int(track.shown[first]), int(track.decoded[first]))
                held, first = None, first + 1
            for number, packet in zip(range(first, segment.end), packets, strict=False):
                writer.write(packet, int(track.shown[number]), int(track.decoded[number]))


def _skip(packets: "Iterator[Packet[AvVideo]]", segment: Segment, moved: int | None) -> "Packet[AvVideo] | None":
    """Read over the packets that a run takes the place of; return that of the CRA picture behind it, which is moved
    from its place among them, where there is one."""
    held, end = None, segment.end + (moved is not None)
    for number, packet in zip(range(segment.first, end), packets, strict=False):
        held = packet if number == moved else held
    return held


def _broken_link(packet: "Packet[AvVideo]") -> "Packet[Any]":
    """Return the packet of a CRA picture as it stands behind what its source has not."""
    made: Packet[Any] = Packet(hevc.broken_link(bytes(packet), LENGTH_BYTES))
    made.is_keyframe, made.duration = True, packet.duration
    return made


def _encoded(segments: Sequence[Segment]) -> Iterator[Segment]:
    return (segment for segment in segments if segment.is_encoded)


class _Writer:
    """Writes packets into one track of MP4, whose clock is that of the source, from its tick `begin` on."""

    def __init__(
        self, made: OutputContainer, read: AvVideo, track: ScannedTrack, record: DecoderRecord, begin: int
    ) -> None:
        self._made = made
        self._track = track
        self._begin = begin
        self._stream = made.add_stream_from_template(read)
        self._stream.codec_context.extradata = record.to_bytes()
        self._stream.time_base = track.clock

    def write(self, packet: "Packet[Any]", shown: int, decoded: int) -> None:
        """Write a packet with these times of the source."""
        packet.stream, packet.time_base = self._stream, self._track.clock
        packet.pts, packet.dts = shown - self._begin, decoded - self._begin
        mux_packet(self._made, packet)

    def write_part(self, part: Source, shown: Times, decoded: Times, segment: Segment) -> None:
        """Write the packets of an encoded run."""
        lengths = np.diff(self._track.decoded[segment.first : segment.end + 1], append=0)
        with open_container(part, (MP4_DEMUXER,)) as container:
            packets = (packet for packet in container.demux(video=0) if packet.size)
            for number, packet in enumerate(packets):
                packet.duration = max(int(lengths[number]), 0)
                self.write(packet, int(shown[number]), int(decoded[number]))


def mux_packet(made: OutputContainer, packet: "Packet[Any]") -> None:
    """Write a packet. Raises PartMismatch where the container does not take it, and OSError where there is no room."""
    try:
        made.mux(packet)
    except OSError as error:  # which is not the fault of the file that is read
        raise OSError(error.errno, os.strerror(error.errno or 0)) from error
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise PartMismatch(f"MP4 does not take a packet of it: {error.strerror}") from error


def common_record(parts: Sequence[Source], told: SequenceParameters, fit: TrackFit) -> DecoderRecord:
    """Return the parameter sets that all runs have. Raises PartMismatch where decoders that are set up for a source
    whose parameters are these would not do, or they do not keep to the fit."""
    found = {_record(part, fit.form) for part in parts}
    if len(found) != 1:
        raise PartMismatch("its runs were encoded with different parameters")
    (record,) = found
    (made, *_) = record.sequences()
    if not record.has_number(fit.number):
        raise PartMismatch("its runs have parameter sets of other numbers than were planned")
    if made.shape.across != told.shape.across or made.shape.down != told.shape.down:
        raise PartMismatch("its runs are of another size")
    if made.shape.full_range != told.shape.full_range:
        raise PartMismatch("its runs have another range of samples")
    asked = {
        "level": (made.level / 10, told.level / 10),
        "tier": (made.is_high_tier, told.is_high_tier),
        "pictures to predict from": (made.references, max(told.references, 1)),
        "pictures decoded early": (made.reordered or 0, fit.reordered),
    }
    more = [f"{what}: {one:g} over {other:g}" for what, (one, other) in asked.items() if one > other]
    if more:
        raise PartMismatch(f"its runs ask more of decoders than it does ({', '.join(more)})")
    return record


def _record(part: Source, form: str) -> DecoderRecord:
    try:
        with open_container(part, (MP4_DEMUXER,)) as container:
            return SYNTAXES[form].read_record(container.streams.video[0].codec_context.extradata or b"")
    except (BadBitstream, InvalidArgument) as error:  # as of a run without a frame
        raise PartMismatch(f"a run of it cannot be read: {error}") from error


def _part_times(part: Source, track: ScannedTrack, segment: Segment) -> tuple[Times, Times]:
    """Return when each packet of a run is shown and decoded, in ticks of the source. Raises PartMismatch where its
    pictures are not those that it is to take the place of."""
    with open_container(part, (MP4_DEMUXER,)) as container:
        packets = [(packet.pts, packet.is_keyframe) for packet in container.demux(video=0) if packet.size]
        clock = container.streams.video[0].time_base
    wanted = np.sort(track.shown[segment.first : segment.end])
    if len(packets) != len(wanted) or any(time is None for time, _ in packets) or not packets[0][1] or not clock:
        raise PartMismatch(f"{len(packets)} frames were made where {len(wanted)} were planned")
    times = np.array([time for time, _ in packets], np.int64)
    order = ranks(times)
    begin = track.begin * float(track.clock)
    gaps = np.abs(np.sort(times) * float(clock) - (wanted * float(track.clock) - begin))
    if gaps.max() > NEAR_SECONDS:
        raise PartMismatch("frames of it have other times than were planned")
    return wanted[order], _decoding_times(wanted[order], track, segment)


def _decoding_times(shown: Times, track: ScannedTrack, segment: Segment) -> Times:
    """Return when packets are decoded: at the times of those that they replace, or so much earlier that none is shown
    before. Raises PartMismatch where that is not to be had."""
    decoded = np.minimum(track.decoded[segment.first : segment.end], shown)
    # What is decoded later is decoded at a later tick.
    ticks = np.arange(len(decoded))
    decoded = np.minimum.accumulate((decoded - ticks)[::-1])[::-1] + ticks
    # What stands before the first packet of a piece ends with the decoding that the source has there.
    earliest = track.decoded[segment.first - 1] + 1 if segment.first else track.decoded[0] if track.planned else None
    if earliest is not None and decoded[0] < earliest:
        raise PartMismatch("its runs reorder more frames than it does")
    return decoded
