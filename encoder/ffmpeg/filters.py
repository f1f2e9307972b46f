"""Filter graphs of video: pure functions from streams of ffmpeg-python to streams. Nothing here reads or runs
anything."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ffmpeg

from encoder.ffmpeg.command import FilteredFrames
from encoder.media.info import HD, UNSPECIFIED, AudioStream, MediaInfo, Size, VideoStream

# These hold no presentation times: the decoder's delay would come on top of them.
UNTIMED = ("avi",)
WHITE_NITS = 203
# What can go from whole pictures to interlaced ones and back within a file, as broadcasts do.
INTERLACING = ("mpeg2video", "h264", "vc1", "mpeg4", "dvvideo", "prores", "dnxhd", "ffv1", "mjpeg")
# From here on players take pictures for BT.709 whose file does not tell.
MIN_HD_SIDE = 720
# Pixels of a side that bwdif takes at the least.
MIN_INTERLACED = 4


def open_input(name: str, info: MediaInfo, **options: Any) -> Any:
    """Return an input that FFmpeg opens with the demuxer that the probe found, and that can name no other file;
    `options` are more options of the input."""
    return ffmpeg.input(name, f=info.demuxer, protocol_whitelist="file,pipe", **options)


def normalize_picture(source: Any, info: MediaInfo, video: VideoStream) -> Any:
    """Return the video of an input as progressive yuv420p of standard dynamic range, without its last column and row
    where their number is odd: yuv420p has one sample of color for two of each."""
    stream = source[str(video.index)]
    if info.demuxer in UNTIMED:
        stream = stream.filter("setpts", "PTS-STARTPTS")
    if _may_be_interlaced(video):  # pictures that are whole pass, for a hundredth of the time of a caption
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    stream = stream.filter("crop", "trunc(iw/2)*2", "trunc(ih/2)*2", 0, 0)
    if video.transfer:
        stream = _tone_map(stream, video.transfer)
    elif video.rgb:
        stream = stream.filter("scale", out_color_matrix="bt709", out_range="tv").filter("format", "yuv420p")
        return stream.filter("setparams", range="tv", color_primaries="bt709", color_trc="bt709", colorspace="bt709")
    elif video.color_tags.full_range:  # which many players take for the other, and show with too much contrast
        return stream.filter("scale", out_range="tv").filter("format", "yuv420p").filter("setparams", range="tv")
    return stream.filter("format", "yuv420p")


def color_matrix(video: VideoStream) -> str:
    """Return what the samples of a picture that came of `normalize_picture` mean, as the filter `scale` has it."""
    is_untold = video.color_tags.matrix == UNSPECIFIED and min(video.rotated_size) >= MIN_HD_SIDE
    return "bt709" if is_untold or video.transfer or video.rgb else "auto"


def _may_be_interlaced(video: VideoStream) -> bool:
    if min(video.width, video.height) < MIN_INTERLACED:
        return False
    return video.interlaced or (video.codec in INTERLACING and not video.rgb)


def filtered_frames(stream: Any, source: Any, video: VideoStream, audio: Sequence[AudioStream]) -> FilteredFrames:
    """Return a stream that came of `normalize_picture` as frames for a codec; `audio` is what the result takes of the
    same file."""
    color_tags = HD if video.transfer or video.rgb else replace(video.color_tags, full_range=False)
    inputs = [source[str(index)] for index in (video.index, *(stream.index for stream in audio))]
    size = Size(*(side // 2 * 2 for side in video.rotated_size))
    return FilteredFrames(stream, inputs, size, color_tags, video.rotated_aspect, video.frame_rate)


def _tone_map(stream: Any, transfer: str) -> Any:
    """Return high dynamic range (BT.2100) as BT.709: white, 203 cd/m² by BT.2408, becomes 1; brighter tones are rolled
    off."""
    hdr = {"tin": transfer, "pin": "bt2020", "min": "bt2020nc", "rin": "tv"}
    linear = stream.filter("zscale", t="linear", npl=WHITE_NITS, **hdr).filter("format", "gbrpf32le")
    narrowed = linear.filter("zscale", p="bt709").filter("tonemap", "mobius", desat=0)
    return narrowed.filter("zscale", t="bt709", m="bt709", r="tv", d="error_diffusion")


def draw_captions(stream: Any, script: str, fonts: str, *, wrap_unicode: bool) -> Any:
    """Return the picture with an ASS script drawn in, by fonts of the folder `fonts`. `wrap_unicode` breaks lines
    wherever Unicode allows it (UAX #14), as scripts without blanks need it; else at blanks alone, as makers of ASS
    expect."""
    return stream.filter("subtitles", script, fontsdir=fonts, wrap_unicode=int(wrap_unicode))


def tag_hd(stream: Any) -> Any:
    """Return raw frames labeled as HD video: BT.709, limited range, color samples at the left, square pixels."""
    tags = {"range": "tv", "colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}
    return stream.filter("setparams", chroma_location="left", **tags).filter("setsar", 1)
