"""Plans and runs as data, and back: what the encoder takes of the process that planned is what it can check."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from apigpu.v1.motion_pb2 import Motion
from apigpu.v1.story_pb2 import Transition
from encoder.codecs.base import Codec
from encoder.codecs.nvenc.codec import Nvenc, SessionFrames
from encoder.codecs.nvenc.levels import LEVELS
from encoder.codecs.nvenc.request import EncodeRequest, RawVideo
from encoder.codecs.nvenc.set_numbers import NUMBERS
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.errors import CUT_OFF, IMAGE_DAMAGE
from encoder.ffmpeg.process import PipedFrames
from encoder.kenburns.reels import Meeting, StillReel
from encoder.kenburns.sampling import EASINGS, MAX_STORED_PIXELS, MAX_STORED_SIDE, PANS, StillFrames, StillLevel
from encoder.media.info import Size
from encoder.planning.protocol import FramesData, MeetingData, RunData, SourceRun
from encoder.story.blends import StillBlend
from encoder.story.pieces import MAX_STILLS

M = TypeVar("M", bound=Message)

MAX_FRAME_PIXELS = 3840 * 2160
# Sides are rounded.
MAX_STILL_PIXELS = MAX_STORED_PIXELS * 21 // 20
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SOME_SIZE = (256, 144)
LEVEL_NAMES = {form: [level.name for level in levels] for form, levels in LEVELS.items()}
SIGNS = {False: CUT_OFF, True: IMAGE_DAMAGE}


class BadReply(ValueError):
    """A reply is not what a plan can be."""


def check_name(name: str) -> str:
    """Return the name of a file in the task's folder. Raises BadReply for what could lead out of it."""
    if not PLAIN_NAME.fullmatch(name):
        raise BadReply("a file has a name that no operation gives")
    return name


def to_data(run: FfmpegRun) -> RunData:
    """Return a run as data."""
    frames = request = source = None
    if isinstance(run.stdin, PipedFrames):
        frames = _frames_to_data(run.stdin.generate)
    elif isinstance(run.stdin, SessionFrames):
        request, origin = run.stdin.request, run.stdin.source
        if isinstance(origin, FfmpegRun):
            fed = _frames_to_data(origin.stdin.generate) if isinstance(origin.stdin, PipedFrames) else None
            source = SourceRun(origin.arguments, origin.fields, not origin.cut_off_signs, fed)
        else:
            frames = _frames_to_data(origin)
    elif run.stdin is not None:
        raise TypeError(f"{run.stdin} has no form as data")
    is_image, allows_partial = run.cut_off_signs == IMAGE_DAMAGE, not run.cut_off_signs
    return RunData(run.arguments, run.fields, is_image, frames, request, source, allows_partial, run.keeps)


def from_data(data: RunData, codec: Codec, folder: Path) -> FfmpegRun:
    """Return the run of a task in `folder`. Whether a session waits for another is the codec's affair, and so is the
    card that decodes, whatever the data says. Raises BadReply."""
    run = FfmpegRun(_checked(data.arguments), data.fields, "" if data.allows_partial else SIGNS[data.is_image])
    if data.keeps:
        run = replace(run, keeps=tuple(map(check_name, data.keeps)))
    frames = _frames_from_data(data.frames, folder) if data.frames is not None else None
    if data.request is None:
        return replace(run, stdin=PipedFrames(frames)) if frames is not None else run
    if not isinstance(codec, Nvenc):
        raise BadReply("the codec has no sessions")
    request = replace(data.request, wait=codec.waits)
    _check_session(request)
    if data.source is not None:
        signs = "" if data.source.allows_partial else CUT_OFF
        fed = data.source.frames
        stdin = PipedFrames(_frames_from_data(fed, folder)) if fed is not None else None
        source = FfmpegRun(_checked(data.source.arguments), data.source.fields, signs, stdin)
        return replace(run, stdin=SessionFrames(codec, replace(request, raw=None), source))
    if not isinstance(frames, StillFrames) or request.raw is None or not _is_of(request.raw, frames.clip):
        raise BadReply("a session has no frames")
    return replace(run, stdin=SessionFrames(codec, request, frames))


def _check_session(request: EncodeRequest) -> None:
    if request.sets_number and request.sets_number not in NUMBERS:
        raise BadReply("a session has parameter sets of a number that cannot be")
    levels = LEVEL_NAMES.get(request.parameters.format, ())
    if (request.max_level and request.max_level not in levels) or request.max_tier not in (0, 1):
        raise BadReply("a session has a level that cannot be")
    try:
        request.parameters.words(*SOME_SIZE, request.rate, 0, request.max_level, request.max_tier)
    except ValueError as error:
        raise BadReply("a session has parameters that cannot be") from error


def _checked(arguments: tuple[str, ...]) -> tuple[str, ...]:
    if any("\0" in argument for argument in arguments):
        raise BadReply("an argument holds a zero byte")
    return arguments


def _frames_to_data(generate: object) -> FramesData:
    if isinstance(generate, StillReel):
        first, *others = map(_still_to_data, generate.stills)
        met = zip(generate.meetings, others, strict=True)
        return replace(first, following=tuple(_meeting_to_data(meeting, still) for meeting, still in met))
    if not isinstance(generate, StillFrames):
        raise TypeError(f"{generate} has no form as data")
    return _still_to_data(generate)


def _still_to_data(still: StillFrames) -> FramesData:
    levels = tuple((level.path.name, level.size.width, level.size.height, level.grid) for level in still.levels)
    motion = still.motion.SerializeToString()
    sizes = (still.clip.width, still.clip.height)
    return FramesData(levels, *sizes, motion, still.count, still.field, still.first, still.whole)


def _meeting_to_data(meeting: Meeting, still: FramesData) -> MeetingData:
    if not isinstance(meeting.blend, StillBlend):
        raise TypeError(f"{meeting.blend} has no form as data")
    return MeetingData(meeting.frames, meeting.blend.transition.SerializeToString(), still)


def _frames_from_data(data: FramesData, folder: Path) -> StillFrames | StillReel:
    if not data.following:
        return _still_from_data(data, folder)
    if len(data.following) >= MAX_STILLS or any(met.still.following for met in data.following):
        raise BadReply("a clip has more stills than can be")
    stills = [_still_from_data(each, folder) for each in (data, *(met.still for met in data.following))]
    if len({still.clip for still in stills}) > 1:
        raise BadReply("stills that lead into each other differ in size")
    met = [0, *(each.frames for each in data.following), 0]
    if min(met) < 0 or any(sum(met[place : place + 2]) > still.count for place, still in enumerate(stills)):
        raise BadReply("a transition has frames that cannot be")
    blends = [StillBlend(_message(Transition, each.transition), stills[0].clip) for each in data.following]
    meetings = (Meeting(each.frames, blend) for each, blend in zip(data.following, blends, strict=True))
    return StillReel(tuple(stills), tuple(meetings))


def _still_from_data(data: FramesData, folder: Path) -> StillFrames:
    levels = tuple(
        StillLevel(folder / check_name(name), _size(width, height, MAX_STILL_PIXELS), grid)
        for name, width, height, grid in data.levels
    )
    if not levels or any(level.stored.width * level.stored.height > MAX_STILL_PIXELS for level in levels):
        raise BadReply("a still has a size that cannot be")
    if any(grid < 1 for *_, grid in data.levels):
        raise BadReply("a still has a grid that cannot be")
    motion = _message(Motion, data.motion)
    if motion.pan not in PANS or motion.easing not in EASINGS:
        raise BadReply("a motion has ways that are not known")
    numbers = (motion.start_zoom, motion.end_zoom, motion.focus_x, motion.focus_y)
    if not all(map(math.isfinite, numbers)) or min(numbers[:2]) < 1:
        raise BadReply("a motion has numbers that cannot be")
    if data.first < 0 or data.count < 0 or (data.whole and data.whole < data.first + data.count):
        raise BadReply("a clip has frames that cannot be")
    clip = _size(data.width, data.height, MAX_FRAME_PIXELS)
    return StillFrames(levels, clip, motion, data.count, data.field, data.first, data.whole)


def _message(kind: type[M], data: bytes) -> M:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise BadReply(f"what should be a {kind.__name__} is none") from error


def _size(width: int, height: int, most: int) -> Size:
    is_even = width % 2 == 0 and height % 2 == 0
    if not is_even or min(width, height) < 2 or max(width, height) > MAX_STORED_SIDE or width * height > most:
        raise BadReply("a picture has a size that cannot be")
    return Size(width, height)


def _is_of(raw: RawVideo, size: Size) -> bool:
    return (raw.width, raw.height) == (size.width, size.height)
