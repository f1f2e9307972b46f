"""caption: SubRip subtitles burned into a video, which keeps its size, frame rate, timestamps and sound."""

import ffmpeg

from apigpu.v1 import video_pb2
from encoder import ass, filters, media, style, subtitles
from encoder.operations.output import MP4, kept_audio, not_yet
from encoder.plan import Materials, MediaInfo, Pass, Plan, Source, VideoStream
from rpc.errors import InvalidArgument

MAX_SRT_BYTES = 10 * 1024 * 1024
SCRIPT = "captions.ass"


def plan(request: video_pb2.CaptionRequest, materials: Materials) -> Plan:
    """See Operation. An odd last row or column of pixels is cropped away: H.264 in yuv420p has none."""
    not_yet(request, "url_font", "words", "container")
    look = style.styled(request.style)
    source = materials.source("url_video")
    cues = _cues(materials.source("url_srt"))
    info, video = media.probe_video(source)
    script = ass.script(cues, *_shown_size(video), look)
    (materials.folder / SCRIPT).write_text(script, encoding="utf-8")
    return Plan(
        passes=(Pass(_arguments(materials, source, info, video), ("url_video",)),),
        codec=materials.codec.name,
        duration_seconds=info.duration_seconds,
        frames_total=video.frames,
    )


def _cues(source: Source) -> list[subtitles.Cue]:
    if source.path.stat().st_size > MAX_SRT_BYTES:
        raise media.fault(source, f"it is larger than {MAX_SRT_BYTES} bytes; give subtitles in SubRip format (.srt).")
    try:
        return subtitles.parse(source.path.read_bytes())
    except subtitles.SubtitleError as error:
        text = str(error)
        raise InvalidArgument(f"url_srt: {text}", reason="BAD_SUBTITLES", fields={"url_srt": text}) from error


def _shown_size(video: VideoStream) -> tuple[int, int]:
    """Width and height that a player shows, in square pixels."""
    width, height = (side // 2 * 2 for side in video.turned_size)
    return round(width * video.turned_aspect), height


def _arguments(materials: Materials, source: Source, info: MediaInfo, video: VideoStream) -> tuple[str, ...]:
    given = filters.opened(source.path.name, info)
    picture = filters.picture(given, info, video)
    drawn = filters.captions(picture, SCRIPT, "fonts").filter("format", materials.codec.pixel_format)
    sound = [given[str(stream.index)] for stream in info.audio]
    # Every frame keeps the timestamp that it came with, whatever the frame rate on paper.
    timing = {"fps_mode:v": "passthrough", "enc_time_base:v": "demux"}
    options = {**materials.codec.arguments(materials.threads), **timing, **kept_audio(info.audio), **MP4}
    built = ffmpeg.output(drawn, *sound, materials.result, **options)
    return tuple(built.compile(cmd="")[1:])
