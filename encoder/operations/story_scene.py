"""The piece of a story that a scene makes, or several do whose stills lead into each other: its frames up to the end of
the transition after it, with captions, as video that is to be joined with the others by copying."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import ffmpeg

from apigpu.encoder.v1 import story_pb2
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import SQUARE, FfmpegRun, FilteredFrames, OutputSpec, TrackFit
from encoder.ffmpeg.process import Generate, PipedFrames
from encoder.kenburns import sampling
from encoder.kenburns.reels import Meeting, StillReel
from encoder.kenburns.sampling import StillFrames
from encoder.media import packets, probe
from encoder.media.fragments import PIECE, SEGMENT_SECONDS
from encoder.media.info import HD, Size, bad_input
from encoder.operations import img2vid, story_captions, story_codec
from encoder.operations.deviations import cut_off_notes, gather, loss_notes, video_notes
from encoder.operations.plan import Extent, Plan, PlanContext
from encoder.operations.still_levels import StillView, prepare
from encoder.story import fitting, transitions
from encoder.story.blends import StillBlend
from encoder.story.fitting import Cut, Target
from encoder.story.transitions import Passage
from servicekit.errors import InvalidArgument

# Times of MP4 in steps of less than a tenth of a millisecond.
MIN_TIMESCALE = 10_000
# With fewer frames from key picture to key picture x264 has fewer B-frames between two others, and so other parameter
# sets: STEADY_BY_PRESET has five.
MIN_KEY_FRAMES = 6


@dataclass(frozen=True)
class Frames:
    """Frames of one scene: a stream of a video's, or what generates those of a still; the runs that must be before, and
    what is to be told of the picture."""

    stream: Any = None
    still: StillFrames | None = None
    runs: Sequence[FfmpegRun] = ()
    warnings: Sequence[Any] = field(default=())


@dataclass(frozen=True)
class EncodedFrames:
    """What makes the frames of a piece: runs that must be before, the run that encodes them; and what is to be told of
    the pictures."""

    before: tuple[FfmpegRun, ...]
    run: FfmpegRun
    warnings: tuple[Any, ...]


def plan(part: story_pb2.ScenePart, context: PlanContext) -> Plan:
    """Plan a piece. All pieces of a film are made alike, to the parameter sets of the codec, so that they can
    stand in one track. Raises InvalidArgument."""
    check_frames(part)
    made = encode(part, context, context.output((), piece_options(part)))
    extent = Extent(whole_reason=part.whole_reason)
    return replace(plan_of(part, context, made.warnings), runs=(*made.before, made.run), extent=lambda: extent)


def plan_of(part: story_pb2.ScenePart, context: PlanContext, warnings: tuple[Any, ...]) -> Plan:
    """Return what is told of any piece, without runs."""
    return Plan(
        runs=(),
        field=part.picture.field,
        codec=context.codec.name,
        duration_seconds=float(part.frames / film_rate(part.film)),
        frames_total=part.frames,
        warnings=warnings,
        plays=True,
    )


def piece_options(part: story_pb2.ScenePart) -> dict[str, str | None]:
    """Return options of FFmpeg that write a piece, by the clock of the film."""
    rate = film_rate(part.film)
    begins = f"{float(part.first_frame / rate):.6f}"
    return {**PIECE, "video_track_timescale": timescale(rate), "output_ts_offset": begins}


def encode(
    part: story_pb2.ScenePart, context: PlanContext, output: OutputSpec, fit: TrackFit | None = None
) -> EncodedFrames:
    """Return what encodes all frames of a piece; with a `fit` so that they can stand between packets that are
    copied."""
    rate = film_rate(part.film)
    scenes = _open_all(part, context)
    stream, generate = _shown(part, scenes)
    if part.has_captions:
        numbers = range(part.first_frame, part.first_frame + part.frames)
        stream = story_captions.draw(stream, context.source(story_captions.FIELD), context.folder, numbers, rate)
    frames = FilteredFrames(
        stream,
        (),
        Size(part.film.width, part.film.height),
        HD,
        SQUARE,
        rate,
        stdin=PipedFrames(generate) if generate is not None else None,
        constant=True,
        steady=all(scene.still is not None for scene in scenes),
        weighted=not part.only_stills,
        key_frames=key_frames(part.frames, rate),
        fit=fit,
    )
    return EncodedFrames(
        before=tuple(run for scene in scenes for run in scene.runs),
        run=story_codec.read(part, context.codec).make_run(frames, output),
        # Of the next scene its own piece tells.
        warnings=tuple(warning for scene in scenes[: len(part.following) + 1] for warning in scene.warnings),
    )


def key_frames(frames: int, rate: Fraction) -> int:
    """Return how many frames apart pictures are to be that need no other: even parts of a piece, each short enough for
    a segment."""
    return max(math.ceil(frames / math.ceil(frames / rate / SEGMENT_SECONDS)), MIN_KEY_FRAMES)


def check_frames(part: story_pb2.ScenePart) -> None:
    """Raise InvalidArgument for a piece without frames, or with some that its film has not."""
    if part.frames < 1 or part.first_frame < 0 or part.first_frame + part.frames > part.film.frames:
        raise InvalidArgument("The part of the story has frames that the story has not.", reason="BAD_PART")


def film_rate(film: story_pb2.Film) -> Fraction:
    """Return the frames a second of a film. Raises InvalidArgument for a part of a story that has none."""
    if not film.rate_frames or not film.rate_seconds or film.frames < 1:
        raise InvalidArgument("The part of the story has no frame rate, or no frames.", reason="BAD_PART")
    return Fraction(film.rate_frames, film.rate_seconds)


def timescale(rate: Fraction) -> str:
    """Return the clock of an MP4 in which every frame has its exact time, Hz."""
    return str(rate.numerator * -(-MIN_TIMESCALE // rate.numerator))


def _open_all(part: story_pb2.ScenePart, context: PlanContext) -> list[Frames]:
    """Return the frames of all scenes of a piece, those of a transition in both. Raises InvalidArgument."""
    own = part.frames - sum(still.frames - still.transition_frames for still in part.following)
    scenes = [_open(part, part.picture, own, context)]
    scenes += [
        _open(part, still.picture, still.frames, context, f"{number}-")
        for number, still in enumerate(part.following, 1)
    ]
    if part.transition_frames:
        scenes.append(_open(part, part.next, part.transition_frames, context, "next-"))
    return scenes


def _open(
    part: story_pb2.ScenePart, picture: story_pb2.ScenePicture, count: int, context: PlanContext, mark: str = ""
) -> Frames:
    """Return `count` frames of a picture; the names of its files begin with `mark`. Raises InvalidArgument."""
    size = img2vid.check_clip_size(Size(part.film.width, part.film.height))
    target = Target(size, img2vid.check_background(picture.background))
    shown = range(picture.first, picture.first + count)
    if picture.is_video:
        return _open_video(picture, target, shown, film_rate(part.film), context)
    source = context.source(picture.field)
    motion = sampling.complete_motion(picture.motion)
    view = StillView(target.size, motion, picture.fit, target.background)
    prepared = prepare(source, context.folder, view, mark)
    still = StillFrames(prepared.levels, target.size, motion, count, source.field, shown.start, picture.frames)
    warnings = (*prepared.still.warnings, *gather(cut_off_notes(source, prepared.still.info)))
    return Frames(still=still, runs=(prepared.run,), warnings=warnings)


def _open_video(
    picture: story_pb2.ScenePicture, target: Target, shown: range, rate: Fraction, context: PlanContext
) -> Frames:
    source = context.source(picture.field)
    info, video = probe.probe_video(source)
    if not video.decodes:
        raise bad_input(source, "its beginning cannot be decoded; convert it to H.264 with AAC first.")
    start = packets.start_seconds(source, info, video)
    end = packets.end_seconds(source, info, video)
    cut = Cut(start + picture.start, min(start + picture.end, end) if picture.end else end)
    if cut.start >= cut.end:
        text = f"the video ends at {end - start:.3f} s, and is to be shown from {picture.start:g} s on; give less."
        raise bad_input(source, text)
    given = filters.open_input(source.path.name, info, **fitting.seek_options(info, cut))
    fitted = fitting.fit_video(given, info, video, target, picture.fit)
    warnings = gather([*video_notes(source, info), *loss_notes(source, info)])
    return Frames(fitting.by_film_clock(fitted, info, cut, shown, rate), warnings=warnings)


def _shown(part: story_pb2.ScenePart, scenes: Sequence[Frames]) -> tuple[Any, Generate | None]:
    """Return the frames of the piece, and what generates those that come by its standard input; None where none do.
    Raises InvalidArgument."""
    if not part.transition_frames or all(scene.still is not None for scene in scenes[-2:]):
        return _alone(part, scenes)
    rate = film_rate(part.film)
    passage = Passage(part.transition, part.frames - part.transition_frames, part.transition_frames, rate)
    (one, generate), (other, beside) = _alone(part, scenes[:-1]), _alone(part, scenes[-1:])
    one, other = (transitions.at_rate(each, rate) for each in (one, other))
    return transitions.blend(one, other, passage), generate or beside


def _alone(part: story_pb2.ScenePart, scenes: Sequence[Frames]) -> tuple[Any, Generate | None]:
    """Return the frames of a video, or of stills that lead into each other, and what generates these. Raises
    InvalidArgument for a part of a story that has a video among its stills."""
    stills = [scene.still for scene in scenes if scene.still is not None]
    if not stills and len(scenes) == 1:
        return scenes[0].stream, None
    if len(stills) < len(scenes):
        raise InvalidArgument("The part of the story has a video among its stills.", reason="BAD_PART")
    size = stills[0].clip
    led = [*((still.transition_frames, still.transition) for still in part.following)]
    led += [(part.transition_frames, part.transition)] if part.transition_frames else []
    meetings = [Meeting(frames, StillBlend(transition, size)) for frames, transition in led[: len(stills) - 1]]
    return _piped(part), StillReel(tuple(stills), tuple(meetings))


def _piped(part: story_pb2.ScenePart) -> Any:
    film = part.film
    options = {"pix_fmt": "yuv420p", "s": f"{film.width}x{film.height}", "r": str(film_rate(film))}
    return filters.tag_hd(ffmpeg.input("pipe:0", f="rawvideo", **options))
