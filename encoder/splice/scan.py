"""Reads the packets of a video that runs of new frames are to stand between: their times, and where such a run may
begin and end."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
from encoder.splice.bits import BadBitstream
from encoder.splice.h264 import DecoderRecord, SequenceParameters
from encoder.splice.pictures import (
    ANEW,
    DROPPING,
    NONE,
    PLAIN,
    Kinds,
    Marks,
    MissingPictures,
    Places,
    Times,
    find_places,
    first_key,
)
from encoder.splice.segments import Segment
from encoder.splice.syntax import SYNTAXES, Syntax

DEMUXERS = ("mov", "matroska")
LENGTH_BYTES = 4
# Two days at 25 a second.
MAX_PACKETS = 5_000_000
# Slices of a picture, and what comes with it.
MAX_UNITS = 1000
MAX_CLOCK = 10_000_000
# In place of a time of decoding that a file does not tell.
UNTOLD = -(1 << 63)


class Unspliceable(ValueError):
    """A video, or what is wanted of it, is such that all of it must be encoded; the text says why, for people."""


@dataclass(frozen=True)
class ScannedTrack:
    """The packets of a video in their order, which is that of decoding: when each is shown and decoded, in ticks of
    `clock` seconds; the `places` among them; and whether all before it are shown before it and all behind it, so that a
    run may begin at it (`clean`). At such a one, as many packets as pictures have gone before. The file begins at tick
    `start`; the film that it is, or is a piece of, at tick `begin`. No parameter set has the number `free_number`. What
    is to stand among these packets keeps to what was `planned` for all pieces of a film, where it is one."""

    clock: Fraction
    start: int
    begin: int
    shown: Times
    decoded: Times
    places: Places
    clean: Marks
    record: DecoderRecord
    parameters: SequenceParameters
    free_number: int
    form: str
    planned: TrackFit | None = None

    @property
    def exits(self) -> Marks:
        """Where a run may end before a packet."""
        return self.places.exits

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """When pictures are shown, from the start of the film, sorted."""
        return np.asarray((np.sort(self.shown) - self.begin) * float(self.clock), np.float64)

    def fit(self) -> TrackFit:
        """Return what keeps to that which decoders were set up for, so that it can stand among these packets."""
        if self.planned is not None:
            return self.planned
        told = self.parameters
        ahead = reordered(self.shown)
        early = ahead if told.reordered is None else min(told.reordered, ahead)
        profile = SYNTAXES[self.form].PROFILES[told.profile]
        return TrackFit(self.free_number, profile, told.level, told.references, early, self.form, told.is_high_tier)

    def arranged(self, segments: Sequence[Segment]) -> "ScannedTrack":
        """Return the packets as they come to stand around these segments: a CRA picture behind a run that has the
        pictures which lead to it. Only those are left in places.moved."""
        found, shown, keys = self.places.moved, self.shown.copy(), self.places.keys.copy()
        moved = {one.end: found[one.end] for one in segments if one.is_encoded and one.end in found}
        for end, key in moved.items():
            for marks in (shown, keys):
                marks[key : end + 1] = np.roll(marks[key : end + 1], -1)
        return replace(self, shown=shown, places=replace(self.places, keys=keys, moved=moved))

    def entry(self, first: int, earliest: int) -> int:
        """Return the packet with which a decoder is to begin for pictures from the packet `first` on, of which the
        earliest is shown at a tick."""
        return first_key(self.places.anew, self.places.keys, self.shown, first, earliest)


@dataclass(frozen=True)
class ScannedHead:
    """What the head of a video tells: its parameter sets, and what H.264 keeps to that is to stand among its packets,
    wherever."""

    record: DecoderRecord
    fit: TrackFit


def scan(
    source: Source, info: MediaInfo, video: VideoStream, form: str = "h264", *, only_times: bool = False
) -> ScannedTrack:
    """Read the packets of a video of a format; with `only_times` nothing of their content, so that a run of new frames
    can stand for all of them and for no part. Raises Unspliceable."""
    syntax = SYNTAXES[form]
    with _opened(source, info, video, form) as (container, stream):
        clock = _clock(stream)
        record, parameters = _read_parameters(stream, video, syntax)
        free_number = syntax.free_number(record)
        shown, decoded, kinds = _read_packets(container, stream, syntax, None if only_times else record)
        start = round(timeline.start_time(container) / clock)
    _check_times(shown, decoded, start)
    if kinds[0] not in (ANEW, DROPPING):
        raise Unspliceable("it does not begin with an IDR picture")
    clean = kinds == ANEW if only_times else _clean(shown)
    try:
        places = find_places(kinds, shown, clean)
    except MissingPictures as error:
        raise Unspliceable(str(error)) from error
    return ScannedTrack(clock, start, start, shown, decoded, places, clean, record, parameters, free_number, form)


def scan_head(source: Source, info: MediaInfo, video: VideoStream) -> ScannedHead:
    """Return what the head of a video tells of what may stand among its packets, of H.264. Raises Unspliceable."""
    syntax = SYNTAXES["h264"]
    with _opened(source, info, video, "h264") as (container, stream):
        clock = _clock(stream)
        record, told = _read_parameters(stream, video, syntax)
        number = syntax.free_number(record)
        packet = next((one for one in container.demux(stream) if one.size), None)
    if packet is None or packet.pts is None or packet.dts is None or not video.frame_rate:
        raise Unspliceable("its first packet is not timed")
    # As much earlier than the first picture is shown its decoding begins.
    ahead = int((packet.pts - packet.dts + 1) * clock * video.frame_rate)
    early = ahead if told.reordered is None else min(told.reordered, ahead)
    fit = TrackFit(number, syntax.PROFILES[told.profile], told.level, told.references, max(early, 0))
    return ScannedHead(record, fit)


@contextlib.contextmanager
def _opened(source: Source, info: MediaInfo, video: VideoStream, form: str) -> Iterator[tuple[InputContainer, AvVideo]]:
    """Open a video of a kind that can be spliced. Raises Unspliceable, also for what the block finds in its stream."""
    if video.codec != form or info.demuxer not in DEMUXERS:
        raise Unspliceable(f"it is not {SYNTAXES[form].NAME} in MP4, MOV or Matroska")
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


def _read_parameters(stream: AvVideo, video: VideoStream, syntax: Syntax) -> tuple[DecoderRecord, SequenceParameters]:
    record = syntax.read_record(stream.codec_context.extradata or b"")
    least = parameters_of(record, syntax)
    _check_shape(least, video, syntax)
    return record, least


def parameters_of(record: DecoderRecord, syntax: Syntax = SYNTAXES["h264"]) -> SequenceParameters:
    """Return what a decoder of any of the parameter sets can do. Raises Unspliceable, BadBitstream."""
    found = record.sequences()
    first = found[0]
    if record.length_bytes != LENGTH_BYTES:
        raise Unspliceable("its packets have lengths of a rare kind")
    if any(one.shape != first.shape or one.profile not in syntax.PROFILES or not one.plain for one in found):
        raise Unspliceable(f"it is not {syntax.PLAIN}")
    if any(one.level not in syntax.LEVELS for one in found):
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
        all(one.is_high_tier for one in found),
    )


def joined(one: DecoderRecord, other: DecoderRecord, form: str = "h264") -> DecoderRecord | None:
    """Return the parameter sets of two videos of a format that can stand in one track; None where they cannot."""
    both = one.joined(other)
    try:
        return both if both is not None and parameters_of(both, SYNTAXES[form]) else None
    except Unspliceable:
        return None


def least_fit(fits: Sequence[TrackFit], record: DecoderRecord) -> TrackFit:
    """Return what keeps to all of some fits, by a number that is free among these parameter sets. Raises
    BadBitstream where none is."""
    syntax = SYNTAXES[fits[0].form]
    return TrackFit(
        syntax.free_number(record),
        min((fit.profile for fit in fits), key=list(syntax.PROFILES.values()).index),
        min(fit.level for fit in fits),
        min(fit.references for fit in fits),
        min(fit.reordered for fit in fits),
        fits[0].form,
        all(fit.is_high_tier for fit in fits),
    )


def _check_shape(told: SequenceParameters, video: VideoStream, syntax: Syntax) -> None:
    """Raise Unspliceable where new frames would not be of one shape with the old ones."""
    shape = told.shape
    if not syntax.fits_shape(shape, video.width, video.height):
        raise Unspliceable("its pictures are cropped by other sides than the right and the lower one")
    if shape.full_range != video.color_tags.full_range:
        raise Unspliceable("its container tells another range of samples than its stream")
    across, down = shape.pixel
    if across and down and Fraction(across, down) != video.pixel_aspect:
        raise Unspliceable("its container tells another shape of pixels than its stream")


def _read_packets(
    container: InputContainer, stream: AvVideo, syntax: Syntax, record: DecoderRecord | None
) -> tuple[Times, Times, Kinds]:
    """Return when packets are shown and decoded, and what their pictures are: without a record of the first one
    alone."""
    shown: list[int] = []
    decoded: list[int] = []
    kinds = bytearray()
    known = set(record.sets) if record is not None else None
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
        kinds.append((PLAIN if kinds else ANEW) if known is None else _picture(packet, known, syntax))
    if not shown:
        raise Unspliceable("it has no packets")
    times = np.array(shown, np.int64)
    return times, _decoding_times(times, np.array(decoded, np.int64)), np.frombuffer(kinds, np.uint8)


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


def _picture(packet: "Packet[AvVideo]", known: set[bytes], syntax: Syntax) -> int:
    """Return what the picture of a packet is. Raises Unspliceable for what is more than a plain picture."""
    found = NONE
    for count, (kind, unit) in enumerate(syntax.iter_units(memoryview(packet), LENGTH_BYTES)):
        if kind not in syntax.PLAIN_UNITS or count >= MAX_UNITS:
            raise Unspliceable("its pictures are more than plain slices")
        if kind in syntax.SETS and bytes(unit) not in known:
            raise Unspliceable("its parameters change in mid-file")
        found = max(found, syntax.picture(kind, unit))
    if found == NONE:
        raise Unspliceable("it has packets without a picture")
    return found


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
