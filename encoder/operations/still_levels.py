"""Stills for the camera: the run that makes one in the sizes that the camera needs."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from apigpu.v1 import motion_pb2
from apigpu.v1.motion_pb2 import Motion
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import FfmpegRun, compile_arguments
from encoder.ffmpeg.errors import IMAGE_DAMAGE
from encoder.kenburns import sampling
from encoder.kenburns.sampling import StillLevel, Window
from encoder.media import stills
from encoder.media.info import Size, Source, VideoStream
from encoder.media.stills import Still


@dataclass(frozen=True)
class StillView:
    """How a still is seen: in a clip of a size, under a camera whose motion is complete, fitted in, on a color."""

    clip: Size
    motion: Motion
    fit: int
    background: str


@dataclass(frozen=True)
class PreparedStill:
    """A still, the sizes that the camera needs, the largest first, and the run that writes them."""

    still: Still
    levels: tuple[StillLevel, ...]
    run: FfmpegRun


def prepare(
    source: Source, folder: Path, view: StillView, mark: str = "", shown: Window | None = None
) -> PreparedStill:
    """Return a still whose files lie in `folder`, their names beginning with `mark`. For one picture alone, of what is
    `shown`, there are only the sizes that it needs. Raises InvalidArgument."""
    still = stills.prepare(source, folder, mark)
    scales = sampling.level_scales(view.motion, _source_scale(still.video, view.clip, view.fit))
    sizes = [view.clip.scaled(scale) for scale in scales]
    grid = sampling.grid(sizes[0])
    if shown is not None:
        # Cubic sampling takes longer for each picture than a fine grid does, which one picture does not make up for.
        sizes, grid = list(sampling.needed_sizes(sizes, view.clip, shown)), 1
    levels = [StillLevel(folder / f"{mark}still{number}.yuv", size, grid) for number, size in enumerate(sizes)]
    picture = _open_still(still)
    if still.video.transparent:
        picture = sampling.flatten_alpha(picture, view.background)
    fitted = sampling.FITS[view.fit](picture, sampling.FitTarget(sizes[0], view.clip), view.background)
    signs = "" if source.allow_partial else IMAGE_DAMAGE
    return PreparedStill(still, tuple(levels), FfmpegRun(_arguments(fitted, levels), (source.field,), signs))


def _open_still(still: Still) -> Any:
    """Return the picture of a still in sRGB."""
    if still.video.tiled:
        # FFmpeg turns each tile, and then the whole again; told not to, it still turns the whole: a group of streams.
        picture = filters.open_input(still.name, still.info, noautorotate=None)["g:0"]
    else:
        picture = filters.open_input(still.name, still.info, **still.options)[str(still.video.index)]
    if still.told_tags is not None:
        picture = filters.tag_samples(picture, still.told_tags)
    if still.video.transfer:
        return filters.tone_map(picture, still.video)
    return filters.look_up_colors(picture, still.table) if still.table else picture


def _arguments(fitted: Any, levels: list[StillLevel]) -> tuple[str, ...]:
    """Return the arguments of the run that writes the still at each level."""
    parts = fitted.filter_multi_output("split", len(levels)) if len(levels) > 1 else [fitted]
    outputs = [
        ffmpeg.output(
            sampling.to_yuv(parts[n], level.size, level.stored), level.path.name, f="rawvideo", **{"frames:v": "1"}
        )
        for n, level in enumerate(levels)
    ]
    return compile_arguments(ffmpeg.merge_outputs(*outputs))


def _source_scale(still: VideoStream, clip: Size, fit: int) -> float:
    """Return how many pixels the still has for one of the clip's, whichever way up it is."""
    orientations = ((still.width, still.height), (still.height, still.width))
    choose = min if fit in (motion_pb2.FIT_UNSPECIFIED, motion_pb2.FIT_COVER) else max
    scale = max(choose(width / clip.width, height / clip.height) for width, height in orientations)
    return min(scale, math.sqrt(sampling.MAX_STORED_PIXELS / (clip.width * clip.height)))
