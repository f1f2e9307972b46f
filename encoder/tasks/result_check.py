"""What a finished file must be, by the media type that its plan declares."""

from dataclasses import dataclass
from pathlib import Path

import structlog

from encoder.media import probe
from encoder.operations.plan import MP4_TYPE, MediaInfo, Plan, Source, VideoStream
from servicekit.errors import InvalidArgument

log = structlog.get_logger("encoder")


@dataclass(frozen=True)
class Measures:
    """What a result really is; all 0 of what is neither picture nor sound. Sizes are what a player shows, in pixels."""

    frames: int = 0
    duration_seconds: float = 0.0
    width: int = 0
    height: int = 0


def check_results(plan: Plan, result: Path) -> Measures:
    """Return the measures of a finished result. Raises InvalidArgument, which blames the plan's field, when it or a
    further result beside it is not what the plan declares."""
    for file in plan.files:
        _measured(plan, file.path(result), file.content_type)
    return _measured(plan, result, plan.content_type)


def _measured(plan: Plan, path: Path, content_type: str) -> Measures:
    if content_type == MP4_TYPE:
        return _video(plan, path)
    if content_type.startswith("image/"):
        _, picture = _probed(plan, path, "picture")
        return Measures(1, 0.0, picture.width, picture.height)
    if not path.is_file() or not path.stat().st_size:
        raise probe.fault(Source(plan.field, path), f"nothing came of it that could be written as {content_type}.")
    return Measures()


def _video(plan: Plan, path: Path) -> Measures:
    info, video = _probed(plan, path, "video")
    if not video.frames or not video.decodes:
        raise probe.fault(Source(plan.field, path), "not one frame of it could be decoded; send it again.")
    if plan.heard and not info.audio:
        raise probe.fault(Source(plan.heard, path), "there is no sound in it; give audio that is longer.")
    return Measures(video.frames, info.duration_seconds, *video.turned_size)


def _probed(plan: Plan, path: Path, kind: str) -> tuple[MediaInfo, VideoStream]:
    try:
        return (probe.probe_video if kind == "video" else probe.probe_image)(Source("result", path))
    except (InvalidArgument, FileNotFoundError) as error:
        # FFmpeg was content, and yet there is nothing to show: it had nothing to make it of.
        log.warning("the result cannot be read", error=str(error))
        text = f"the file is damaged, and no {kind} can be made of it; send it again, or convert it first."
        raise probe.fault(Source(plan.field, path), text) from error
