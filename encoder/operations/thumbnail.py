"""thumbnail: one picture of a video, and if wanted a sheet of small ones with their places (WebVTT)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import ffmpeg
import numpy as np
import numpy.typing as npt

from apigpu.v1 import video_pb2
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import ExtraFile, FfmpegRun
from encoder.media import packets, probe
from encoder.media.info import MediaInfo, Source, VideoStream
from encoder.operations import pictures
from encoder.operations.deviations import gather, video_notes
from encoder.operations.pictures import JPEG, MILLISECONDS, UNSEEKABLE, Moment
from encoder.operations.plan import Plan, PlanContext
from servicekit.errors import InvalidArgument

CANDIDATES = 12
# A video so short is decoded as a whole for its candidates; of a longer one a picture is sought near each time.
DECODED_SECONDS = 60.0
CANDIDATE_WIDTH = 192
SHEET, CUES = ExtraFile("sprites.jpg", "image/jpeg"), ExtraFile("sprites.vtt", "text/vtt")
SPRITES, COLUMNS, SPRITE_WIDTH = 100, 10, 160
MAX_SPRITES = 400
MAX_SHEET_SIDE = 16_000
# From here on only pictures are decoded that need no other.
KEY_FRAMES_SECONDS = 600.0

# Files of candidates: small gray pictures, held against each other.
PREFIX, ENDING = "candidate", ".gray"
Gray = npt.NDArray[np.uint8]

# Means of samples, of 255, between which a picture is neither too dark nor burnt out.
DARK, BRIGHT = 48.0, 208.0
# Spread of samples, and detail (spread of the Laplacian), of a picture that has enough of each.
RICH_SPREAD, SHARP_DETAIL = 56.0, 24.0


@dataclass(frozen=True)
class Sheet:
    """Hold `count` sprites of a size, every `interval` seconds, in rows of `columns`."""

    count: int
    interval: float
    columns: int
    width: int
    height: int


def plan(request: video_pb2.ThumbnailRequest, context: PlanContext) -> Plan:
    """Plan the thumbnail. However long the video is, a bounded part of it is decoded."""
    source = context.source("url_video")
    info, video = probe.probe_video(source)
    seconds = packets.end_seconds(source, info, video)
    size = pictures.check_size(*_size(video, request.width))
    sheet = _plan_sheet(request.sprites, video, seconds) if request.HasField("sprites") else None
    runs: list[FfmpegRun | Callable[[], FfmpegRun]] = []
    if request.HasField("at_seconds"):
        pictures.check_within(request.at_seconds, seconds)
        moments = [pictures.moment_at(request.at_seconds, source, info, video)]
    else:
        moments = _sample_moments(seconds, is_seekable=info.demuxer not in UNSEEKABLE)
        runs.append(_candidates_run(moments, context, source, info, video))
    if sheet is not None:
        runs.append(_sprites_run(sheet, context, source, info, video, seconds))

    def picture_run() -> FfmpegRun:
        moment = moments[0] if len(moments) == 1 else _best_moment(moments, context.folder)
        given = pictures.open_at(moment, source, info)
        shown = pictures.begin_at(moment, filters.hd_picture(given, info, video), info)
        return pictures.write(pictures.as_image(shown, video, *size), request.format, context)

    return Plan(
        runs=(*runs, picture_run),
        field=source.field,
        codec="",
        duration_seconds=0.0,
        frames_total=1,
        warnings=gather(video_notes(source, info)),
        content_type=pictures.FORMATS[request.format][0],
        files=(SHEET, CUES) if sheet else (),
    )


def _sample_moments(seconds: float, *, is_seekable: bool) -> list[Moment]:
    """Return moments evenly over the video, but for its very ends."""
    times = [seconds * (number + 0.5) / CANDIDATES for number in range(CANDIDATES)]
    if seconds <= DECODED_SECONDS or not is_seekable:
        return [Moment(time) for time in times]
    return [Moment(time, {"ss": f"{time:.3f}", "noaccurate_seek": None}) for time in times]


def _candidates_run(
    moments: Sequence[Moment], context: PlanContext, source: Source, info: MediaInfo, video: VideoStream
) -> FfmpegRun:
    """Return the run that makes a small gray picture of each moment, called by its milliseconds."""
    small = [_small_picture(moment, source, info, video) for moment in moments] if moments[0].options else []
    if small:
        joined = ffmpeg.filter(small, "interleave", nb_inputs=len(small))
    else:
        step = moments[1].seconds - moments[0].seconds
        given = filters.open_input(source.path.name, info)
        chosen = filters.hd_picture(given, info, video).filter(
            "select", f"isnan(prev_selected_t)*gte(t,{moments[0].seconds:.3f})+gte(t-prev_selected_t,{step:.3f})"
        )
        joined = _to_gray(chosen.filter("settb", f"1/{MILLISECONDS}"))
    output = {"c:v": "rawvideo", "f": "image2", "frame_pts": "1", "fps_mode:v": "passthrough"}
    # Without its folder, in whose name a percent sign would be one of the pattern.
    made = ffmpeg.output(joined, f"{PREFIX}%d{ENDING}", **output, **{"enc_time_base:v": f"1/{MILLISECONDS}"})
    return context.output((), {}).run_reading(made, ())


def _small_picture(moment: Moment, source: Source, info: MediaInfo, video: VideoStream) -> Any:
    given = filters.open_input(source.path.name, info, threads=1, **moment.options)
    shown = filters.hd_picture(given, info, video).filter("trim", end_frame=1)
    timed = shown.filter("settb", f"1/{MILLISECONDS}").filter("setpts", round(moment.seconds * MILLISECONDS))
    return _to_gray(timed)


def _to_gray(shown: Any) -> Any:
    return shown.filter("scale", CANDIDATE_WIDTH, CANDIDATE_WIDTH, flags="area").filter("format", "gray")


def _best_moment(moments: Sequence[Moment], folder: Path) -> Moment:
    """Return the moment of the most telling picture. Where pictures were sought, it is sought in the same way."""
    milliseconds = _most_telling(folder, CANDIDATE_WIDTH)
    if milliseconds is None:
        return Moment(0.0)
    if not moments[0].options:
        return pictures.seek_exactly(milliseconds / MILLISECONDS)
    return min(moments, key=lambda moment: abs(moment.seconds * MILLISECONDS - milliseconds))


def _size(video: VideoStream, width: int) -> tuple[int, int]:
    """Return pixels across and down, in the video's shape as players show it."""
    across, down = (side // 2 * 2 or side for side in video.rotated_size)
    shape = across * video.rotated_aspect / down
    wide = width or round(down * shape)
    return wide, max(round(wide / shape), 1)


def _plan_sheet(sprites: video_pb2.Sprites, video: VideoStream, seconds: float) -> Sheet:
    """Return the sheet that is requested. Raises InvalidArgument for one that is too large."""
    columns = sprites.columns or COLUMNS
    width, height = _size(video, sprites.width or SPRITE_WIDTH)
    interval = sprites.interval_seconds or max(seconds / SPRITES, 1.0)
    count = max(math.ceil(seconds / interval - 1e-3), 1)
    if count > MAX_SPRITES:
        text = f"{count} pictures are too many; {MAX_SPRITES} are the most: give {seconds / MAX_SPRITES:.3f} or more."
        raise InvalidArgument.field("sprites.interval_seconds", text)
    columns = min(columns, count)
    if max(columns * width, math.ceil(count / columns) * height) > MAX_SHEET_SIDE:
        raise InvalidArgument.field(
            "sprites.width", f"the sheet would be larger than {MAX_SHEET_SIDE} pixels; give less."
        )
    return Sheet(count, interval, columns, width, height)


def _sprites_run(
    sheet: Sheet, context: PlanContext, source: Source, info: MediaInfo, video: VideoStream, seconds: float
) -> FfmpegRun:
    """Write the cues, and return the run that makes the sheet."""
    result = Path(context.result)
    CUES.path(result).write_text(_cues(sheet, seconds), encoding="utf-8")
    options = {"skip_frame": "nokey"} if seconds > KEY_FRAMES_SECONDS else {}
    given = filters.open_input(source.path.name, info, **options)
    shown = filters.hd_picture(given, info, video).filter("fps", f"1/{sheet.interval:.6f}", start_time=0, round="down")
    held = shown.filter("tpad", stop=-1, stop_mode="clone").filter("trim", end_frame=sheet.count)
    small = held.filter(
        "scale", sheet.width, sheet.height, in_color_matrix=filters.color_matrix(video), out_color_matrix="bt601"
    )
    small = small.filter("scale", out_range="pc").filter("setsar", 1)
    rows = math.ceil(sheet.count / sheet.columns)
    tiled = small.filter("tile", f"{sheet.columns}x{rows}")
    made = ffmpeg.output(tiled, str(SHEET.path(result)), **{**JPEG, "frames:v": "1", "f": "image2", "update": "1"})
    return context.output((), {}).run_reading(made, ())


def _cues(sheet: Sheet, seconds: float) -> str:
    blocks = ["WEBVTT\n"]
    for number in range(sheet.count):
        row, column = divmod(number, sheet.columns)
        start, end = number * sheet.interval, min((number + 1) * sheet.interval, seconds)
        place = f"{column * sheet.width},{row * sheet.height},{sheet.width},{sheet.height}"
        blocks.append(f"{_timestamp(start)} --> {_timestamp(end)}\n{SHEET.name}#xywh={place}\n")
    return "\n".join(blocks)


def _timestamp(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * MILLISECONDS), MILLISECONDS)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{milliseconds:03}"


def _most_telling(folder: Path, side: int) -> int | None:
    """Return the number in the name of the most telling picture, a file of side × side gray samples in the folder; of
    equals the earliest. None when there is no picture."""
    scores = {number: _score(picture) for number, picture in sorted(_read_pictures(folder, side))}
    return max(scores, key=lambda number: scores[number], default=None)


def _score(picture: Gray) -> float:
    """Return how telling a picture is, from 0 (black, or of one color) to 1: well lit, rich in contrast, sharp."""
    mean, spread = float(picture.mean()), float(picture.std())
    light = min(mean / DARK, (255.0 - mean) / (255.0 - BRIGHT), 1.0)
    contrast = min(spread / RICH_SPREAD, 1.0)
    detail = min(float(cv2.Laplacian(picture, cv2.CV_32F).std()) / SHARP_DETAIL, 1.0)
    # One that lacks a thing altogether must not win by the others.
    return light * contrast * (0.25 + 0.75 * detail)


def _read_pictures(folder: Path, side: int) -> Iterator[tuple[int, Gray]]:
    for path in folder.glob(f"{PREFIX}*{ENDING}"):
        samples = np.frombuffer(path.read_bytes(), np.uint8)
        if samples.size == side * side:
            yield int(path.stem.removeprefix(PREFIX)), samples.reshape(side, side)
