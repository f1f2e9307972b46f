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

from encoder.media.containers import MP4_DEMUXER, open_container
from encoder.media.info import Source
from encoder.splice.h264 import BadBitstream, DecoderRecord
from encoder.splice.muxing import PartMismatch, mux_packet
from encoder.splice.scan import Times, even_decoding
from servicekit.errors import InvalidArgument


@dataclass(frozen=True)
class PacketStretch:
    """Packets of one stream of a file that follow each other, from the packet `first` on: when each is shown, in ticks
    of the film."""

    source: Source
    demuxer: str
    stream: int
    first: int
    shown: Times


def encoded_stretch(made: Source, wanted: Times) -> PacketStretch:
    """Return the stretch of an encoded run, whose pictures are shown at these times, sorted. Raises PartMismatch where
    it has others than were planned."""
    try:
        with open_container(made, (MP4_DEMUXER,)) as container:
            packets = [(packet.pts, packet.is_keyframe) for packet in container.demux(video=0) if packet.size]
            index = container.streams.video[0].index
    except (av.FFmpegError, InvalidArgument, IndexError) as error:
        raise PartMismatch(f"a run of it cannot be read: {error}") from error
    if len(packets) != len(wanted) or any(time is None for time, _ in packets) or not packets[0][1]:
        raise PartMismatch(f"{len(packets)} frames were made where {len(wanted)} were planned")
    times = np.array([time for time, _ in packets], np.int64)
    return PacketStretch(
        made, MP4_DEMUXER, index, 0, wanted[np.argsort(np.argsort(times, kind="stable"), kind="stable")]
    )


def assemble(
    stretches: Sequence[PacketStretch],
    record: DecoderRecord,
    clock: Fraction,
    last_ticks: int,
    result: Path,
    described_as: Source | None = None,
) -> None:
    """Write the film of these stretches, one after the other, whose clock ticks each `clock` seconds; its last picture
    is shown for `last_ticks`. It is described as the first stretch is, or as another MP4. Raises PartMismatch for what
    a container does not take."""
    decoded = even_decoding(np.concatenate([stretch.shown for stretch in stretches]))
    lengths = np.append(np.diff(decoded), last_ticks)
    options = {"video_track_timescale": str(clock.denominator)}
    first = (
        (described_as, MP4_DEMUXER, 0)
        if described_as
        else (stretches[0].source, stretches[0].demuxer, stretches[0].stream)
    )
    try:
        with av.open(str(result), "w", format="mp4", options=options) as made:
            stream, place = _described(made, *first, record, clock), 0
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
