"""concat: videos one after the other, copied where all agree, else fitted into one size and frame rate."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import ffmpeg

from apigpu.v1 import video_pb2
from encoder.audio import mixing, soundtrack, tracks
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import COPY, SQUARE, FfmpegRun, FilteredFrames
from encoder.media import packets, probe
from encoder.media.info import HD, AudioStream, MediaInfo, Size, Source, VideoStream, bad_input
from encoder.media.outlines import OUTLINE_TOO_SMALL
from encoder.operations.deviations import Note, gather, loss_notes, mix_notes, sound_choice_notes, video_notes
from encoder.operations.plan import COPIED_CODECS, Plan, PlanContext, container, copy_video, is_streamable
from servicekit.errors import InvalidArgument
from servicekit.faults import Faults

FIELD = "url_videos"
SIDES = (16, 3840)
MAX_PIXELS = 3840 * 2160
DEFAULT_RATE = Fraction(25)
MAX_RATE = Fraction(120)
# How much the frame rates of parts may differ that are the same on paper: those of short files are averages.
SAME_RATE = 0.005
# Sound that goes on for less after the last picture is of no account: audio codecs have frames of their own.
TAIL_SECONDS = 0.1
# Each part has a decoder of its own, which holds a few frames for each of its threads.
MANY_PARTS = 8
QUEUED_PACKETS = 8
LIST = "parts.ffconcat"
COPIED_FROM = ("mov", "matroska")


@dataclass(frozen=True)
class Part:
    """One of the videos; `sound` is the audio stream of it that is heard. `seconds` of it are shown, from `start` on:
    what comes before the first picture is the lead-in of an audio codec."""

    source: Source
    info: MediaInfo
    video: VideoStream
    sound: AudioStream | None
    start: float
    seconds: float

    @property
    def shown_size(self) -> tuple[Fraction, Fraction]:
        """Width and height that a player shows, in square pixels."""
        width, height = self.video.rotated_size
        return width * self.video.rotated_aspect, Fraction(height)


@dataclass(frozen=True)
class Frame:
    """The size and frame rate that all parts are fitted into."""

    width: int
    height: int
    rate: Fraction


def plan(request: video_pb2.ConcatRequest, context: PlanContext) -> Plan:
    """Plan the concatenation. The sound is always joined and encoded anew: packets of AAC put end to end leave gaps."""
    kind = container(request)
    parts = _read_parts(len(request.url_videos), context)
    frame = _target_frame(request, parts[0])
    copied = _is_shape_of(request, frame, parts[0]) and _agree(parts)
    run = _copy_run(parts, context, kind) if copied else _encode_run(parts, frame, context, kind)
    seconds = sum(part.seconds for part in parts)
    return Plan(
        runs=(run,),
        field=FIELD,
        codec=COPY if copied else context.codec.name,
        duration_seconds=seconds,
        frames_total=sum(part.video.frames for part in parts) if copied else round(seconds * frame.rate),
        warnings=gather(note for part in parts for note in _notes(part)),
        streamable=is_streamable(request),
    )


def _read_parts(count: int, context: PlanContext) -> list[Part]:
    """Return the parts. Raises one InvalidArgument for all that cannot be used."""
    faults, parts = Faults(), []
    for index in range(count):
        with faults.gathering(but=(OUTLINE_TOO_SMALL,)):
            parts.append(_read_part(context.source(f"{FIELD}[{index}]")))
    faults.check()
    return parts


def _read_part(source: Source) -> Part:
    info, video = probe.probe_video(source)
    if not video.decodes:
        raise bad_input(source, "its beginning cannot be decoded; convert it to H.264 with AAC first.")
    sound = info.sound
    beside = [sound] if sound else []
    start, end = packets.start_seconds(source, info, video, beside), packets.end_seconds(source, info, video, beside)
    start = start if start < TAIL_SECONDS else 0.0
    if sound is not None:
        heard = packets.end_seconds(source, info, sound, [video])
        end = heard if heard >= end + TAIL_SECONDS else end
    if end <= start:
        raise bad_input(source, "it does not last; give a video.")
    return Part(source, info, video, sound, start, end - start)


def _target_frame(request: video_pb2.ConcatRequest, first: Part) -> Frame:
    """Return size and rate of the result: those requested, else those of the first part."""
    width, height = first.shown_size
    if request.HasField("width") and request.HasField("height"):
        size = _check_even("width", request.width), _check_even("height", request.height)
    elif request.HasField("width"):
        size = _check_even("width", request.width), _round_to_even(height * request.width / width)
    elif request.HasField("height"):
        size = _round_to_even(width * request.height / height), _check_even("height", request.height)
    else:
        size = _round_to_even(width), _round_to_even(height)
    if (request.HasField("width") or request.HasField("height")) and size[0] * size[1] > MAX_PIXELS:
        raise InvalidArgument.field("width", f"{size[0]}×{size[1]} pixels are too many; 3840×2160 are the most.")
    rate = Fraction(request.frame_rate) if request.HasField("frame_rate") else first.video.frame_rate
    return Frame(*size, min((rate or DEFAULT_RATE).limit_denominator(1001), MAX_RATE))


def _check_even(name: str, side: int) -> int:
    if side % 2:
        raise InvalidArgument.field(name, f"{side} is odd, and H.264 takes even sizes; give {side + 1}.")
    return side


def _round_to_even(side: Fraction | float) -> int:
    """Return the nearest even number of pixels that a side may have."""
    return max(2 * round(side / 2), SIDES[0])


def _is_shape_of(request: video_pb2.ConcatRequest, frame: Frame, part: Part) -> bool:
    """Return True if a part has the requested size and rate, or none are requested."""
    width, height = part.shown_size
    is_sized = request.HasField("width") or request.HasField("height")
    resized = is_sized and (frame.width, frame.height) != (int(width), int(height))
    return not resized and (not request.HasField("frame_rate") or _same_rate(frame.rate, part.video.frame_rate))


def _agree(parts: Sequence[Part]) -> bool:
    """Return True if the pictures of all parts can stand in one track as they are."""
    first = parts[0]
    if any(part.info.is_cut_off or part.video.sizes for part in parts):
        return False
    if first.video.codec not in COPIED_CODECS or any(part.info.demuxer not in COPIED_FROM for part in parts):
        return False
    if not all(_same_rate(part.video.frame_rate, first.video.frame_rate) for part in parts):
        return False
    formats = {(part.info.demuxer, packets.track_format(part.source, part.info, part.video)) for part in parts}
    return len(formats) == 1 and all(packets.is_copyable(part.source, part.info, part.video) for part in parts)


def _same_rate(one: Fraction, other: Fraction) -> bool:
    return abs(one - other) <= SAME_RATE * other


def _copy_run(parts: Sequence[Part], context: PlanContext, kind: Any) -> FfmpegRun:
    """Return the run that copies the pictures; FFmpeg reads the files once for them, and once for the sound."""
    # The list counts from where a file starts: the next one begins by so much earlier as its first picture is late.
    late = [part.start for part in (*parts[1:], parts[0])]
    lines = [
        f"file {part.source.path.name}\nduration {part.start + part.seconds - after:.6f}\n"
        for part, after in zip(parts, late, strict=True)
    ]
    (context.folder / LIST).write_text("ffconcat version 1.0\n" + "".join(lines))
    # The files in the list are opened by these demuxers or not at all: none that could name other files.
    allowed = f"concat,{parts[0].info.demuxer}"
    options = {"f": "concat", "safe": 1, "format_whitelist": allowed, "protocol_whitelist": "file,pipe"}
    listed = ffmpeg.input(LIST, itsoffset=f"{-parts[0].start:.6f}", auto_convert=0, **options)
    given = _open_inputs(parts)
    # Else FFmpeg has the list start where the lead-in of an audio track does that nobody takes.
    by_own_clock = {"copyts": None, **kind}
    sound = _join_sound(parts, given, [part.seconds for part in parts], by_own_clock)
    spec = context.output(*sound, tags_of=parts[0].source)
    return spec.run(listed[str(parts[0].video.index)], copy_video(parts[0].video.codec))


def _encode_run(parts: Sequence[Part], frame: Frame, context: PlanContext, kind: Any) -> FfmpegRun:
    """Return the run that fits all parts into the frame."""
    counts = _frame_counts(parts, frame.rate)
    options = {"threads": 1} if len(parts) > MANY_PARTS else {}
    given = _open_inputs(parts, **options)
    shown = [_fit(*each, frame) for each in zip(parts, given, counts, strict=True)]
    joined = ffmpeg.concat(*shown, v=1, a=0) if len(shown) > 1 else shown[0]
    taken = [
        each[str(stream.index)]
        for part, each in zip(parts, given, strict=True)
        for stream in (part.video, part.sound)
        if stream is not None
    ]
    picture = FilteredFrames(joined, taken, Size(frame.width, frame.height), HD, SQUARE, frame.rate)
    seconds = [float(count / frame.rate) for count in counts]
    output = context.output(*_join_sound(parts, given, seconds, kind), tags_of=parts[0].source)
    return context.codec.make_run(picture, output)


def _open_inputs(parts: Sequence[Part], **options: Any) -> list[Any]:
    # A source that is given twice is opened twice, and inputs that are alike in all would count as one: each has a
    # queue of another length.
    return [
        filters.open_input(part.source.path.name, part.info, thread_queue_size=QUEUED_PACKETS + number, **options)
        for number, part in enumerate(parts)
    ]


def _frame_counts(parts: Sequence[Part], rate: Fraction) -> list[int]:
    """Return the number of frames of each part. What is rounded is the time of each joint, so that no error adds up."""
    ends = [round(seconds * rate) for seconds in itertools.accumulate(part.seconds for part in parts)]
    return [max(end - start, 1) for start, end in itertools.pairwise((0, *ends))]


def _fit(part: Part, given: Any, count: int, frame: Frame) -> Any:
    """Return the pictures of a part between black bars, `count` frames of the frame's rate."""
    width, height = part.shown_size
    by = frame.width / width if frame.width / width < frame.height / height else frame.height / height
    size = min(_round_to_even(width * by), frame.width), min(_round_to_even(height * by), frame.height)
    shown = filters.hd_picture(given, part.info, part.video)
    shown = shown.filter(
        "scale", *size, in_color_matrix=filters.color_matrix(part.video), out_color_matrix="bt709", flags="bicubic"
    )
    shown = shown.filter("setsar", 1).filter("pad", frame.width, frame.height, "(ow-iw)/2", "(oh-ih)/2", color="black")
    shown = shown.filter("setparams", range="tv", color_primaries="bt709", color_trc="bt709", colorspace="bt709")
    shown = shown.filter("setpts", f"PTS-{part.start:.6f}/TB").filter("fps", str(frame.rate), start_time=0)
    held = shown.filter("tpad", stop=-1, stop_mode="clone").filter("trim", end_frame=count)
    return held.filter("setpts", "PTS-STARTPTS").filter("format", "yuv420p")


def _join_sound(
    parts: Sequence[Part], given: Sequence[Any], seconds: Sequence[float], kind: Any
) -> tuple[list[Any], dict[str, str]]:
    """Return streams and output options of the sound, silent where a part has none; no stream if no part has any."""
    if not any(part.sound for part in parts):
        return [], dict(kind)
    by_own_clock = "copyts" in kind
    heard = [_part_sound(*each, by_own_clock) for each in zip(parts, given, seconds, strict=True)]
    joined = ffmpeg.concat(*heard, v=0, a=1) if len(heard) > 1 else heard[0]
    return [joined], {**tracks.AAC, **kind}


def _part_sound(part: Part, given: Any, seconds: float, by_own_clock: bool) -> Any:
    if part.sound is None:
        return soundtrack.silence(seconds)
    sound = mixing.mix_down(given[str(part.sound.index)], part.sound)
    if by_own_clock:
        sound = sound.filter("asetpts", f"PTS-{part.info.start_seconds:.6f}/TB")
    return soundtrack.to_length(soundtrack.from_start(sound, part.start), seconds)


def _notes(part: Part) -> Iterator[Note]:
    """Yield what the result lacks of a part, or has otherwise."""
    yield from video_notes(part.source, part.info)
    yield from sound_choice_notes(part.source, part.info, "kept")
    yield from loss_notes(part.source, part.info)
    if part.sound is not None:
        yield from mix_notes(part.source, part.sound)
