"""Filter graphs: pure functions from streams of ffmpeg-python to streams. Nothing here reads or runs anything."""

from typing import Any

import ffmpeg

from encoder.plan import MediaInfo, VideoStream

# These hold no presentation times: the decoder's delay would come on top of them.
UNTIMED = ("avi",)


def opened(name: str, info: MediaInfo) -> Any:
    """An input that FFmpeg opens with the demuxer that the probe found, and that can name no other file."""
    return ffmpeg.input(name, f=info.demuxer, protocol_whitelist="file,pipe")


def picture(given: Any, info: MediaInfo, video: VideoStream) -> Any:
    """The moving picture of an input, without its last column and row where their number is odd: yuv420p has one
    sample of colour for two of each."""
    stream = given[str(video.index)]
    if info.demuxer in UNTIMED:
        stream = stream.filter("setpts", "PTS-STARTPTS")
    return stream.filter("crop", "trunc(iw/2)*2", "trunc(ih/2)*2", 0, 0)


def captions(stream: Any, script: str, fonts: str, *, wrapped: bool) -> Any:
    """The picture with an ASS script drawn in, by fonts of the folder `fonts`. `wrapped` breaks lines wherever Unicode
    allows it (UAX #14), as scripts without blanks need it; else at blanks alone, as makers of ASS expect."""
    return stream.filter("subtitles", script, fontsdir=fonts, wrap_unicode=int(wrapped))
