"""Reads the packets of a video that runs of new frames are to stand between: their times, and where such a run may
begin and end."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream as AvVideo

from encoder.ffmpeg.command import TrackFit
from encoder.media import timeline
from encoder.media.containers import open_container
from encoder.media.info import MediaInfo, Source, VideoStream
from encoder.splice import h264
from encoder.splice.h264 import BadBitstream, DecoderRecord, SequenceParameters

DEMUXERS = ("mov", "matroska")
LENGTH_BYTES = 4
# Two days at 25 a second.
MAX_PACKETS = 5_000_000
# Slices of a picture, and what comes with it.
MAX_UNITS = 1000
# Numbers of levels that x264 takes, ten times those of the standard.
LEVELS = (9, 10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52, 60, 61, 62)
MAX_CLOCK = 10_000_000
# In place of a time of decoding that a file does not tell.
UNTOLD = -(1 << 63)

Times = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]


class Unspliceable(ValueError):
    """A video, or what is wanted of it, is such that all of it must be encoded; the text says why, for people."""


@dataclass(frozen=True)
class ScannedTrack:
    """The packets of a video in their order, which is that of decoding: when each is shown and decoded, in ticks of
    `clock` seconds; whether it is an IDR picture; and whether all before it are shown before it and all behind it, so
    that a run may begin at it. At such a one, as many packets as pictures have gone before. The file begins at tick
    `start`; the film that it is, or is a piece of, at tick `begin`. No parameter set has the number `free_number`. What
    is to stand among these packets keeps to what was `planned` for all pieces of a film, where it is one."""

    clock: Fraction
    start: int
    begin: int
    shown: Times
    decoded: Times
    idr: Marks
    clean: Marks
    record: DecoderRecord
    parameters: SequenceParameters
    free_number: int
    planned: TrackFit | None = None

    @property
    def exits(self) -> Marks:
        """Where a run may end before a packet."""
        return self.idr & self.clean

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """When pictures are shown, from the start of the film, sorted."""
        return np.asarray((np.sort(self.shown) - self.begin) * float(self.clock), np.float64)

    def fit(self) -> TrackFit:
        """Return what H.264 keeps to that is to stand among these packets: what decoders were set up for."""
        if self.planned is not None:
            return self.planned
        told = self.parameters
        ahead = reordered(self.shown)
        early = ahead if told.reordered is None else min(told.reordered, ahead)
        return TrackFit(self.free_number, h264.PROFILES[told.profile], told.level, told.references, early)


@dataclass(frozen=True)
class ScannedHead:
    """What the head of a video tells: its parameter sets, and what H.264 keeps to that is to stand among its packets,
    wherever."""

    record: DecoderRecord
    fit: TrackFit


def scan(source: Source, info: MediaInfo, video: VideoStream, *, only_times: bool = False) -> ScannedTrack:
    """Read the packets of a video; with `only_times` nothing of their content, so that a run of new frames can stand
    for all of them and for no part. Raises Unspliceable."""
    with _opened(source, info, video) as (container, stream):
        clock = _clock(stream)
        record, parameters = _read_parameters(stream, video)
        free_number = h264.free_number(record)
        shown, decoded, idr = _read_packets(container, stream, None if only_times else record)
        start = round(timeline.start_time(container) / clock)
    _check_times(shown, decoded, start)
    if not idr[0]:
        raise Unspliceable("it does not begin with an IDR picture")
    clean = idr if only_times else _clean(shown)
    return ScannedTrack(clock, start, start, shown, decoded, idr, clean, record, parameters, free_number)


def scan_head(source: Source, info: MediaInfo, video: VideoStream) -> ScannedHead:
    """Return what the head of a video tells of what may stand among its packets. Raises Unspliceable."""
    with _opened(source, info, video) as (container, stream):
        clock = _clock(stream)
        record, told = _read_parameters(stream, video)
        number = h264.free_number(record)
        packet = next((one for one in container.demux(stream) if one.size), None)
    if packet is None or packet.pts is None or packet.dts is None or not video.frame_rate:
        raise Unspliceable("its first packet is not timed")
    # As much earlier than the first picture is shown its decoding begins.
    ahead = int((packet.pts - packet.dts + 1) * clock * video.frame_rate)
    early = ahead if told.reordered is None else min(told.reordered, ahead)
    fit = TrackFit(number, h264.PROFILES[told.profile], told.level, told.references, max(early, 0))
    return ScannedHead(record, fit)


@contextlib.contextmanager
def _opened(source: Source, info: MediaInfo, video: VideoStream) -> Iterator[tuple[InputContainer, AvVideo]]:
    """Open a video of a kind that can be spliced. Raises Unspliceable, also for what the block finds in its stream."""
    if video.codec != "h264" or info.demuxer not in DEMUXERS:
        raise Unspliceable("it is not H.264 in MP4, MOV or Matroska")
    try:
        with open_container(source, (info.demuxer,)) as container:
            stream = container.streams[video.index]
            assert isinstance(stream, AvVideo)
            yield container, stream
    except BadBitstream as error:
        raise Unspliceable(f"its stream cannot be read packet by packet: {error}") from error


def _clock(stream: AvVideo) -> Fraction:
    clock = stream.time_base
    if clock is None or clock.numerator != 1 or clock.denominator > MAX_CLOCK:
        raise Unspliceable("its clock is none that MP4 has")
    return clock


def _read_parameters(stream: AvVideo, video: VideoStream) -> tuple[DecoderRecord, SequenceParameters]:
    record = h264.read_record(stream.codec_context.extradata or b"")
    least = parameters_of(record)
    _check_shape(least, video)
    return record, least


def parameters_of(record: DecoderRecord) -> SequenceParameters:
    """Return what a decoder of any of the parameter sets can do. Raises Unspliceable, BadBitstream."""
    found = [h264.read_sps(unit) for unit in record.sps]
    first = found[0]
    if record.length_bytes != LENGTH_BYTES:
        raise Unspliceable("its packets have lengths of a rare kind")
    if any(one.shape != first.shape or one.profile not in h264.PROFILES or not one.plain for one in found):
        raise Unspliceable("it is not progressive H.264 of 8 bits in Baseline, Main or High profile")
    if any(one.level not in LEVELS for one in found):
        raise Unspliceable("it names a level that there is not")
    weakest = min(found, key=lambda one: one.references)
    early = [one.reordered for one in found if one.reordered is not None]
    return SequenceParameters(
        first.number,
        min(one.profile for one in found),
        min(one.level for one in found),
        True,
        weakest.references,
        first.shape,
        min(early, default=None),
    )


def joined(one: DecoderRecord, other: DecoderRecord) -> DecoderRecord | None:
    """Return the parameter sets of two videos that can stand in one track; None where they cannot."""
    both = one.joined(other)
    try:
        return both if both is not None and parameters_of(both) else None
    except Unspliceable:
        return None


def least_fit(fits: Sequence[TrackFit], record: DecoderRecord) -> TrackFit:
    """Return what keeps to all of some fits, by a number that is free among these parameter sets. Raises
    BadBitstream where none is."""
    return TrackFit(
        h264.free_number(record),
        min((fit.profile for fit in fits), key=list(h264.PROFILES.values()).index),
        min(fit.level for fit in fits),
        min(fit.references for fit in fits),
        min(fit.reordered for fit in fits),
    )


def _check_shape(told: SequenceParameters, video: VideoStream) -> None:
    """Raise Unspliceable where new frames would not be of one shape with the old ones."""
    shape = told.shape
    right, bottom = 16 * shape.across - video.width, 16 * shape.down - video.height
    if shape.cropped != (0, right // 2, 0, bottom // 2) or max(right, bottom) >= 16 or right % 2 or bottom % 2:
        raise Unspliceable("its pictures are cropped by other sides than the right and the lower one")
    if shape.full_range != video.color_tags.full_range:
        raise Unspliceable("its container tells another range of samples than its stream")
    across, down = shape.pixel
    if across and down and Fraction(across, down) != video.pixel_aspect:
        raise Unspliceable("its container tells another shape of pixels than its stream")


def _read_packets(
    container: InputContainer, stream: AvVideo, record: DecoderRecord | None
) -> tuple[Times, Times, Marks]:
    """Return when packets are shown and decoded, and which are IDR pictures: without a record the first one alone."""
    shown: list[int] = []
    decoded: list[int] = []
    idr = bytearray()
    known = {*record.sps, *record.pps} if record is not None else None
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None or packet.is_discard or packet.is_corrupt:
            raise Unspliceable("not all of its packets are timed and shown, as where an edit list cuts it")
        if known is not None and packet.has_sidedata("new_extradata"):
            raise Unspliceable("its parameters change in mid-file")
        if len(shown) >= MAX_PACKETS:
            raise Unspliceable("it has too many pictures")
        shown.append(packet.pts)
        decoded.append(packet.dts if packet.dts is not None else UNTOLD)
        idr.append(not idr if known is None else _is_idr(packet, known))
    if not shown:
        raise Unspliceable("it has no packets")
    times = np.array(shown, np.int64)
    return times, _decoding_times(times, np.array(decoded, np.int64)), np.frombuffer(idr, np.bool_)


def _decoding_times(shown: Times, decoded: Times) -> Times:
    """Return when packets are decoded, as far as their file tells: Matroska does not."""
    return even_decoding(shown) if UNTOLD in decoded else decoded


def even_decoding(shown: Times) -> Times:
    """Return when packets are decoded, by the times at which they are shown alone: each at the time at which a picture
    is shown, by so many pictures earlier as the order of decoding needs, and the first ones in steps of the first
    one."""
    ahead, ordered = reordered(shown), np.sort(shown)
    step = max(int(ordered[1] - ordered[0]), 1) if len(ordered) > 1 else 1
    before = ordered[0] - step * np.arange(ahead, 0, -1)
    return np.concatenate((before, ordered))[: len(shown)]


def reordered(shown: Times) -> int:
    """Return the most pictures that are decoded before one that is shown before them."""
    return int(np.max(np.arange(len(shown)) - ranks(shown), initial=0))


def ranks(shown: Times) -> Times:
    """Return, of each packet, how many pictures are shown before its own."""
    return np.argsort(np.argsort(shown, kind="stable"), kind="stable")


def _is_idr(packet: "Packet[AvVideo]", known: set[bytes]) -> bool:
    """Return whether a packet is an IDR picture. Raises Unspliceable for what is more than a plain picture."""
    kinds = set()
    for count, (kind, unit) in enumerate(h264.iter_units(memoryview(packet), LENGTH_BYTES)):
        if kind not in h264.PLAIN_UNITS or count >= MAX_UNITS:
            raise Unspliceable("its pictures are more than plain slices")
        if kind in (h264.SPS, h264.PPS) and bytes(unit) not in known:
            raise Unspliceable("its parameters change in mid-file")
        kinds.add(kind)
    if not kinds & {h264.SLICE, h264.IDR}:
        raise Unspliceable("it has packets without a picture")
    return h264.IDR in kinds


def _check_times(shown: Times, decoded: Times, begin: int) -> None:
    if len(shown) > 1 and (np.diff(decoded).min() <= 0 or np.diff(np.sort(shown)).min() <= 0):
        raise Unspliceable("times of its pictures repeat or go back")
    if (shown < decoded).any() or shown.min() < begin:
        raise Unspliceable("it has pictures that are shown before they are decoded, or before it begins")


def _clean(shown: Times) -> Marks:
    """Return before which packets all are shown that were decoded, and none of what follows."""
    before = np.maximum.accumulate(shown)[:-1]
    after = np.minimum.accumulate(shown[::-1])[::-1][1:]
    return np.concatenate(([True], before < after))
