"""Assembles a film of packets of several files: those that are copied, and encoded runs, in one track of MP4.

Each picture is shown when it is told to be. When packets are decoded follows from that alone, as files that were made
apart have pictures of which more or fewer are decoded early."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream as AvVideo

from encoder.ffmpeg.command import TrackFit
from encoder.media.containers import MP4_DEMUXER, open_container
from encoder.media.info import Source
from encoder.splice.bits import BadBitstream
from encoder.splice.h264 import DecoderRecord, SequenceParameters
from encoder.splice.muxing import PartMismatch, common_record, mux_packet
from encoder.splice.pictures import Times
from encoder.splice.scan import even_decoding, ranks
from servicekit.errors import InvalidArgument


@dataclass(frozen=True)
class FilmShape:
    """What a film is assembled to: its clock, which ticks each so many seconds; the parameter sets of the packets that
    are copied, what decoders of these can do, and what encoded runs keep to."""

    clock: Fraction
    record: DecoderRecord
    told: SequenceParameters
    fit: TrackFit


@dataclass(frozen=True)
class PacketStretch:
    """Packets of one stream of a file that follow each other, from the packet `first` on: when each is shown, in ticks
    of the film."""

    source: Source
    demuxer: str
    stream: int
    first: int
    shown: Times


@dataclass(frozen=True)
class EncodedRun:
    """The file of an encoded run, whose pictures are shown at these times, sorted, in ticks of the film."""

    source: Source
    shown: Times


def assemble(
    shape: FilmShape,
    stretches: Sequence[PacketStretch | EncodedRun],
    last_ticks: int,
    result: Path,
    described_as: Source | None = None,
) -> None:
    """Write the film of these stretches, one after the other; its last picture is shown for so many ticks. It is
    described as the first stretch is, or as an encoded run, whose parameter sets it has in any case. The files of runs
    are deleted. Raises PartMismatch where they are not what was planned, or a container does not take them."""
    made = [described_as] if described_as else []
    made += [one.source for one in stretches if isinstance(one, EncodedRun) and one.source != described_as]
    try:
        record = shape.record
        if made:
            record = record.with_sets(common_record(made, shape.told, shape.fit))
        found = [_read_run(one) if isinstance(one, EncodedRun) else one for one in stretches]
        first = (found[0].source, found[0].demuxer, found[0].stream)
        _write(found, record, shape, last_ticks, result, (described_as, MP4_DEMUXER, 0) if described_as else first)
    except BadBitstream as error:
        raise PartMismatch(str(error)) from error
    finally:
        for source in made:
            source.path.unlink(missing_ok=True)


def _read_run(run: EncodedRun) -> PacketStretch:
    """Return the stretch that an encoded run is. Raises PartMismatch where it has other pictures than were planned."""
    try:
        with open_container(run.source, (MP4_DEMUXER,)) as container:
            packets = [(packet.pts, packet.is_keyframe) for packet in container.demux(video=0) if packet.size]
            index = container.streams.video[0].index
    except (av.FFmpegError, InvalidArgument, IndexError) as error:
        raise PartMismatch(f"a run of it cannot be read: {error}") from error
    planned = len(run.shown)
    if len(packets) != planned or any(time is None for time, _ in packets) or not packets[0][1]:
        raise PartMismatch(f"{len(packets)} frames were made where {planned} were planned")
    return PacketStretch(run.source, MP4_DEMUXER, index, 0, run.shown[ranks(np.array([time for time, _ in packets]))])


def _write(
    stretches: Sequence[PacketStretch],
    record: DecoderRecord,
    shape: FilmShape,
    last_ticks: int,
    result: Path,
    described: tuple[Source, str, int],
) -> None:
    clock = shape.clock
    decoded = even_decoding(np.concatenate([stretch.shown for stretch in stretches]))
    lengths = np.append(np.diff(decoded), last_ticks)
    options = {"video_track_timescale": str(clock.denominator)}
    try:
        with av.open(str(result), "w", format="mp4", options=options) as made:
            stream, place = _described(made, *described, record, clock), 0
            for stretch in stretches:
                with open_container(stretch.source, (stretch.demuxer,)) as given:
                    read = given.streams[stretch.stream]
                    assert isinstance(read, AvVideo)
                    packets = (packet for packet in given.demux(read) if packet.size)
                    taken = islice(packets, stretch.first, stretch.first + len(stretch.shown))
                    for number, packet in enumerate(taken):
                        packet.stream, packet.time_base = stream, clock
                        packet.pts, packet.dts = int(stretch.shown[number]), int(decoded[place + number])
                        packet.duration = int(lengths[place + number])
                        mux_packet(made, packet)
                place += len(stretch.shown)
    except (OSError, MemoryError):
        raise
    except (av.FFmpegError, BadBitstream, InvalidArgument) as error:
        raise PartMismatch(f"its parts cannot be put together: {error}") from error


def _described(
    made: OutputContainer, source: Source, demuxer: str, index: int, record: DecoderRecord, clock: Fraction
) -> AvVideo:
    """Add the track of a film, which is as a stream of a file but for its parameter sets."""
    with open_container(source, (demuxer,)) as given:
        read = given.streams[index]
        assert isinstance(read, AvVideo)
        stream = made.add_stream_from_template(read)
    stream.codec_context.extradata = record.to_bytes()
    stream.time_base = clock
    return stream
