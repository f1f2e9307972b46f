"""Filter graphs: pure functions from streams of ffmpeg-python to streams. Nothing here reads or runs anything."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ffmpeg

from encoder.codecs.base import FilteredFrames
from encoder.media.color import HD
from encoder.operations.plan import AudioStream, MediaInfo, VideoStream

# These hold no presentation times: the decoder's delay would come on top of them.
UNTIMED = ("avi",)
WHITE_NITS = 203
# What can go from whole pictures to interlaced ones and back within a file, as broadcasts do.
INTERLACING = ("mpeg2video", "h264", "vc1", "mpeg4", "dvvideo", "prores", "dnxhd", "ffv1", "mjpeg")
# Pixels of a side that bwdif takes at the least.
MIN_INTERLACED = 4


def opened(name: str, info: MediaInfo, **options: Any) -> Any:
    """An input that FFmpeg opens with the demuxer that the probe found, and that can name no other file; `options` are
    more options of the input."""
    return ffmpeg.input(name, f=info.demuxer, protocol_whitelist="file,pipe", **options)


def picture(given: Any, info: MediaInfo, video: VideoStream) -> Any:
    """The moving picture of an input as progressive yuv420p of standard dynamic range, without its last column and row
    where their number is odd: yuv420p has one sample of colour for two of each."""
    stream = given[str(video.index)]
    if info.demuxer in UNTIMED:
        stream = stream.filter("setpts", "PTS-STARTPTS")
    if _may_interlace(video):  # pictures that are whole pass, for a hundredth of the time of a caption
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    stream = stream.filter("crop", "trunc(iw/2)*2", "trunc(ih/2)*2", 0, 0)
    if video.transfer:
        stream = _tone_mapped(stream, video.transfer)
    elif video.rgb:
        stream = stream.filter("scale", out_color_matrix="bt709", out_range="tv").filter("format", "yuv420p")
        return stream.filter("setparams", range="tv", color_primaries="bt709", color_trc="bt709", colorspace="bt709")
    elif video.colours.full_range:  # which many players take for the other, and show with too much contrast
        return stream.filter("scale", out_range="tv").filter("format", "yuv420p").filter("setparams", range="tv")
    return stream.filter("format", "yuv420p")


def _may_interlace(video: VideoStream) -> bool:
    if min(video.width, video.height) < MIN_INTERLACED:
        return False
    return video.interlaced or (video.codec in INTERLACING and not video.rgb)


def filtered(stream: Any, given: Any, video: VideoStream, sound: Sequence[AudioStream]) -> FilteredFrames:
    """What `picture` made of a video, drawn on or not, for a codec; `sound` is what the result takes of the same
    file."""
    colours = HD if video.transfer or video.rgb else replace(video.colours, full_range=False)
    taken = [given[str(index)] for index in (video.index, *(heard.index for heard in sound))]
    return FilteredFrames(stream, taken, colours, video.turned_aspect, video.frame_rate)


def _tone_mapped(stream: Any, transfer: str) -> Any:
    """High dynamic range (BT.2100) as BT.709: white, 203 cd/m² by BT.2408, becomes 1; brighter tones are rolled off."""
    given = {"tin": transfer, "pin": "bt2020", "min": "bt2020nc", "rin": "tv"}
    linear = stream.filter("zscale", t="linear", npl=WHITE_NITS, **given).filter("format", "gbrpf32le")
    narrowed = linear.filter("zscale", p="bt709").filter("tonemap", "mobius", desat=0)
    return narrowed.filter("zscale", t="bt709", m="bt709", r="tv", d="error_diffusion")


def captions(stream: Any, script: str, fonts: str, *, wrapped: bool) -> Any:
    """The picture with an ASS script drawn in, by fonts of the folder `fonts`. `wrapped` breaks lines wherever Unicode
    allows it (UAX #14), as scripts without blanks need it; else at blanks alone, as makers of ASS expect."""
    return stream.filter("subtitles", script, fontsdir=fonts, wrap_unicode=int(wrapped))
