"""concat: videos one after the other, copied where all agree, else fitted into one size and frame rate."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import ffmpeg

from apigpu.v1 import video_pb2
from encoder.audio import mixing, soundtrack, tracks
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import COPY, SQUARE, FfmpegRun, FilteredFrames, TrackFit
from encoder.media import packets
from encoder.media.info import HD, ColorTags, Size
from encoder.media.outlines import OUTLINE_TOO_SMALL
from encoder.operations import concat_splice
from encoder.operations.caption_splice import SplicedRuns
from encoder.operations.concat_parts import Frame, Part, frame_counts, read_part
from encoder.operations.concat_splice import JoinedParts
from encoder.operations.deviations import Note, gather, loss_notes, mix_notes, sound_choice_notes, video_notes
from encoder.operations.plan import COPIED_CODECS, Plan, PlanContext, container, copy_video, is_streamable
from encoder.splice.copyable import why_not_copyable
from encoder.splice.shapes import same_rate
from servicekit.errors import InvalidArgument
from servicekit.faults import Faults

FIELD = "url_videos"
SIDES = (16, 3840)
MAX_PIXELS = 3840 * 2160
DEFAULT_RATE = Fraction(25)
MAX_RATE = Fraction(120)
# Each part has a decoder of its own, which holds a few frames for each of its threads.
MANY_PARTS = 8
QUEUED_PACKETS = 8
LIST = "parts.ffconcat"
DIFFERENT = "they are of several kinds"
COPIED_FROM = ("mov", "matroska")


def plan(request: video_pb2.ConcatRequest, context: PlanContext) -> Plan:
    """Plan the concatenation. The sound is always joined and encoded anew: packets of AAC put end to end leave gaps."""
    kind = container(request)
    parts = _read_parts(len(request.url_videos), context)
    frame = _target_frame(request, parts[0])
    why_not = _why_not_copied(parts) if _is_shape_of(request, frame, parts[0]) else DIFFERENT
    made = _copy_run(parts, context, kind) if not why_not else _splice(parts, frame, context, kind, why_not)
    seconds = sum(part.seconds for part in parts)
    return Plan(
        runs=made.runs,
        field=FIELD,
        codec=made.codec,
        duration_seconds=seconds,
        frames_total=made.frames or round(seconds * frame.rate),
        warnings=gather(note for part in parts for note in _notes(part)),
        streamable=is_streamable(request),
        progress=made.progress,
        extent=made.extent,
    )


def _read_parts(count: int, context: PlanContext) -> list[Part]:
    """Return the parts. Raises one InvalidArgument for all that cannot be used."""
    faults, parts = Faults(), []
    for index in range(count):
        with faults.gathering(but=(OUTLINE_TOO_SMALL,)):
            parts.append(read_part(context.source(f"{FIELD}[{index}]")))
    faults.check()
    return parts


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
    return not resized and (not request.HasField("frame_rate") or same_rate(frame.rate, part.video.frame_rate))


def _why_not_copied(parts: Sequence[Part]) -> str:
    """Return why the pictures of all parts cannot stand in one track as they are, DIFFERENT where they are of several
    kinds; "" where they can."""
    first = parts[0]
    if any(part.info.is_cut_off or part.video.sizes for part in parts):
        return DIFFERENT
    if first.video.codec not in COPIED_CODECS or any(part.info.demuxer not in COPIED_FROM for part in parts):
        return DIFFERENT
    if not all(same_rate(part.video.frame_rate, first.video.frame_rate) for part in parts):
        return DIFFERENT
    if len({(part.info.demuxer, packets.track_format(part.source, part.info, part.video)) for part in parts}) > 1:
        return DIFFERENT
    for number, part in enumerate(parts):
        if why := why_not_copyable(part.source, part.info, part.video, is_first=not number):
            return f"{part.source.field}: {why}"
    return ""


def _copy_run(parts: Sequence[Part], context: PlanContext, kind: Any) -> SplicedRuns:
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
    first = parts[0].video
    run = _beside_sound(listed[str(first.index)], first.codec, parts=parts, context=context, kind=kind)
    return SplicedRuns((run,), COPY, frames=sum(part.video.frames for part in parts))


def _beside_sound(pictures: Any, codec: str, *, parts: Sequence[Part], context: PlanContext, kind: Any) -> FfmpegRun:
    """Return the run that copies pictures of a codec beside the joined sound of the parts."""
    # Else FFmpeg has the pictures start where the lead-in of an audio track does that nobody takes.
    sound = _join_sound(parts, _open_inputs(parts), [part.seconds for part in parts], {"copyts": None, **kind})
    spec = context.output(*sound, tags_of=parts[0].source)
    return spec.run(pictures, copy_video(codec))


def _splice(parts: Sequence[Part], frame: Frame, context: PlanContext, kind: Any, why_not: str) -> SplicedRuns:
    """Return the runs that copy the parts that are of the frame's shape, and fit the others into it; `why_not` all are
    copied."""
    joined = JoinedParts(
        why_not=why_not if why_not != DIFFERENT else "",
        parts=parts,
        frame=frame,
        whole=_encode_run(parts, frame, context, kind),
        encode=partial(_part_run, frame=frame, context=context),
        finish=partial(_beside_sound, parts=parts, context=context, kind=kind),
    )
    return concat_splice.plan_runs(joined, context)


def _encode_run(parts: Sequence[Part], frame: Frame, context: PlanContext, kind: Any) -> FfmpegRun:
    """Return the run that fits all parts into the frame."""
    counts = frame_counts(parts, frame.rate)
    given = _open_inputs(parts, **_few_threads(parts))
    shown = [_fit(*each, frame) for each in zip(parts, given, counts, strict=True)]
    seconds = [float(count / frame.rate) for count in counts]
    output = context.output(*_join_sound(parts, given, seconds, kind), tags_of=parts[0].source)
    return context.codec.make_run(_joined_frames(parts, given, shown, frame), output)


def _part_run(
    parts: Sequence[Part],
    counts: Sequence[int],
    tags: ColorTags,
    fit: TrackFit,
    result: str,
    *,
    frame: Frame,
    context: PlanContext,
) -> FfmpegRun:
    """Return the run that makes some parts, pictures alone, so many frames of each, that stand between packets that are
    copied."""
    given = _open_inputs(parts, **_few_threads(parts))
    shown = [_fit(*each, frame, tags, by_own_clock=True) for each in zip(parts, given, counts, strict=True)]
    frames = replace(_joined_frames(parts, given, shown, frame), color_tags=tags, fit=fit)
    return context.codec.make_run(frames, replace(context.output((), {"f": "mp4", "copyts": None}), result=result))


def _few_threads(parts: Sequence[Part]) -> dict[str, int]:
    return {"threads": 1} if len(parts) > MANY_PARTS else {}


def _joined_frames(parts: Sequence[Part], given: Sequence[Any], shown: Sequence[Any], frame: Frame) -> FilteredFrames:
    joined = ffmpeg.concat(*shown, v=1, a=0) if len(shown) > 1 else shown[0]
    # The filter takes the length of a frame from the one before it, and a part may have but one.
    joined = joined.filter("settb", f"{frame.rate.denominator}/{frame.rate.numerator}").filter("setpts", "N")
    taken = [
        each[str(stream.index)]
        for part, each in zip(parts, given, strict=True)
        for stream in (part.video, part.sound)
        if stream is not None
    ]
    return FilteredFrames(joined, taken, Size(frame.width, frame.height), HD, SQUARE, frame.rate)


def _open_inputs(parts: Sequence[Part], **options: Any) -> list[Any]:
    # A source that is given twice is opened twice, and inputs that are alike in all would count as one: each has a
    # queue of another length.
    return [
        filters.open_input(part.source.path.name, part.info, thread_queue_size=QUEUED_PACKETS + number, **options)
        for number, part in enumerate(parts)
    ]


def _fit(part: Part, given: Any, count: int, frame: Frame, tags: ColorTags = HD, *, by_own_clock: bool = False) -> Any:
    """Return the pictures of a part between black bars, `count` frames of the frame's rate, in these colors."""
    canvas = Size(frame.width, frame.height)
    width, height = part.shown_size
    by = frame.width / width if frame.width / width < frame.height / height else frame.height / height
    size = min(_round_to_even(width * by), frame.width), min(_round_to_even(height * by), frame.height)
    shown = filters.hd_picture(given, part.info, part.video)
    matrices = {
        "in_color_matrix": filters.color_matrix(part.video),
        "out_color_matrix": filters.matrix_of(tags, canvas),
    }
    shown = shown.filter("scale", *size, **matrices, flags="bicubic")
    shown = shown.filter("setsar", 1).filter("pad", frame.width, frame.height, "(ow-iw)/2", "(oh-ih)/2", color="black")
    told = {"color_primaries": tags.primaries, "color_trc": tags.transfer, "colorspace": tags.matrix}
    start = part.start + (part.info.start_seconds if by_own_clock else 0.0)
    shown = shown.filter("setparams", range="tv", **told)
    # A part may be shorter than a frame of the film, which then is of it all the same.
    by_rate = {"fps": str(frame.rate), "start_time": 0, "eof_action": "pass"}
    shown = shown.filter("setpts", f"PTS-{start:.6f}/TB").filter("fps", **by_rate)
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
