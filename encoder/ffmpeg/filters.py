"""Filter graphs of video: pure functions from streams of ffmpeg-python to streams. Nothing here reads or runs
anything."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ffmpeg

from encoder.ffmpeg.command import FilteredFrames
from encoder.media.info import ANIMATIONS, HD, UNSPECIFIED, AudioStream, ColorTags, MediaInfo, Size, VideoStream

# These hold no presentation times: the decoder's delay would come on top of them.
UNTIMED = ("avi",)
WHITE_NITS = 203
# By their numbers in ITU-T H.273, tables 2 to 4. Those of primaries that are wider than HD's; those of television that
# zscale knows, of which the ones of standard dynamic range are much alike; those of matrices.
WIDE_PRIMARIES = {9: "bt2020", 11: "smpte431", 12: "smpte432"}
TRANSFERS = {4: "bt470m", 5: "bt470bg", 8: "linear", 13: "iec61966-2-1"}
MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020c"}
ICTCP, BT2020 = 14, 9
# What can go from whole pictures to interlaced ones and back within a file, as broadcasts do.
INTERLACING = ("mpeg2video", "h264", "vc1", "mpeg4", "dvvideo", "prores", "dnxhd", "ffv1", "mjpeg")
# From here on players take pictures for BT.709 whose file does not tell.
MIN_HD_SIDE = 720
# What a display matrix has where nothing is turned, and what undoes the turns that are made of it. Numbers are 16.16.
ONE = 1 << 16
UPRIGHT = (ONE, 0, 0, ONE)
Turn = tuple[tuple[str, Mapping[str, str]], ...]
TURNS_BACK: Mapping[tuple[int, ...], Turn] = {
    UPRIGHT: (),
    (-ONE, 0, 0, ONE): (("hflip", {}),),
    (ONE, 0, 0, -ONE): (("vflip", {}),),
    (-ONE, 0, 0, -ONE): (("hflip", {}), ("vflip", {})),
    (0, ONE, -ONE, 0): (("transpose", {"dir": "cclock"}),),
    (0, -ONE, ONE, 0): (("transpose", {"dir": "clock"}),),
    (0, ONE, ONE, 0): (("transpose", {"dir": "cclock_flip"}),),
    (0, -ONE, -ONE, 0): (("transpose", {"dir": "clock_flip"}),),
}
# Pixels of a side that bwdif takes at the least.
MIN_INTERLACED = 4


def open_input(name: str, info: MediaInfo, **options: Any) -> Any:
    """Return an input that FFmpeg opens with the demuxer that the probe found, and that can name no other file;
    `options` are more options of the input. Of one that is cut off, what is left of the packet in which it ends is not
    taken: half a picture would be shown as a whole one."""
    if info.is_cut_off:
        options["fflags"] = "+discardcorrupt"
    if info.video is not None and _changes_within(info.video):  # a graph that begins anew forgets what it has counted
        options["reinit_filter"] = 0
    return ffmpeg.input(name, f=info.demuxer, protocol_whitelist="file,pipe", **options)


def normalize_picture(source: Any, info: MediaInfo, video: VideoStream) -> Any:
    """Return the video of an input as progressive yuv420p of standard dynamic range, without its last column and row
    where their number is odd: yuv420p has one sample of color for two of each."""
    stream = source[str(video.index)]
    if info.demuxer in UNTIMED:
        stream = stream.filter("setpts", "PTS-STARTPTS")
    if video.sizes:
        stream = _on_canvas(stream, video)
    if _may_be_interlaced(video):  # pictures that are whole pass, for a hundredth of the time of a caption
        stream = stream.filter("bwdif", mode="send_frame", deint="interlaced")
    if video.transparent and info.demuxer in ANIMATIONS:  # whose hidden colors are any; below them is black
        stream = stream.filter("format", "gbrap").filter("premultiply", inplace=1)
    stream = stream.filter("crop", "trunc(iw/2)*2", "trunc(ih/2)*2", 0, 0)
    if video.transfer:
        stream = tone_map(stream, video)
    elif video.rgb:
        stream = stream.filter("scale", out_color_matrix="bt709", out_range="tv").filter("format", "yuv420p")
        return stream.filter("setparams", range="tv", color_primaries="bt709", color_trc="bt709", colorspace="bt709")
    elif video.color_tags.full_range:  # which many players take for the other, and show with too much contrast
        return stream.filter("scale", out_range="tv").filter("format", "yuv420p").filter("setparams", range="tv")
    return stream.filter("format", "yuv420p")


def _changes_within(video: VideoStream) -> bool:
    """Return True if a graph can meet pictures of several sizes: filters that turn them cannot."""
    return bool(video.sizes) and not video.display_matrix


def _on_canvas(stream: Any, video: VideoStream) -> Any:
    """Return pictures of several sizes, each fitted between black bars into that of the video."""
    width, height = video.rotated_size
    fitted = stream.filter(
        "scale", width, height, force_original_aspect_ratio="decrease", force_divisible_by=2, flags="bicubic"
    )
    padded = fitted.filter("pad", width, height, "(ow-iw)/2", "(oh-ih)/2", eval="frame", color="black")
    return padded.filter("setsar", str(video.rotated_aspect).replace("/", ":"))


def turned_back(shown: Any, video: VideoStream) -> Any:
    """Return a picture that came of an input, which FFmpeg turns upright, as its file stores it."""
    for name, options in TURNS_BACK[_turn_of(video)]:
        shown = shown.filter(name, **options)
    return shown


def turns_by_quarters(video: VideoStream) -> bool:
    """Return True for a video that is stored upright, or turned and mirrored so that no pixel is made anew."""
    return _turn_of(video) in TURNS_BACK


def _turn_of(video: VideoStream) -> tuple[int, ...]:
    """Return the part of a display matrix that turns."""
    matrix = video.display_matrix
    return (matrix[0], matrix[1], matrix[3], matrix[4]) if matrix else UPRIGHT


def hd_picture(source: Any, info: MediaInfo, video: VideoStream) -> Any:
    """Return what `normalize_picture` does, in the primaries of HD: for results that are tagged as that, or not at
    all."""
    return narrow_colors(normalize_picture(source, info, video), video)


def narrow_colors(shown: Any, video: VideoStream) -> Any:
    """Return a picture that came of `normalize_picture` in the primaries of HD."""
    tags = video.color_tags
    if not _is_wide(video):
        return shown
    told = {
        "pin": WIDE_PRIMARIES[tags.primaries],
        "tin": TRANSFERS.get(tags.transfer, "bt709"),
        "min": MATRICES.get(tags.matrix, "bt2020nc" if tags.primaries == BT2020 else "bt709"),
        "rin": "tv",
    }
    narrowed = shown.filter("zscale", p="bt709", t="bt709", m="bt709", r="tv", **told)
    return narrowed.filter("format", "yuv420p")


def color_matrix(video: VideoStream) -> str:
    """Return what the samples of a picture that came of `hd_picture` mean, as the filter `scale` has it."""
    is_untold = video.color_tags.matrix == UNSPECIFIED and min(video.rotated_size) >= MIN_HD_SIDE
    return "bt709" if is_untold or video.transfer or video.rgb or _is_wide(video) else "auto"


def is_hd(video: VideoStream) -> bool:
    """Return True for a picture that came of `hd_picture` whose samples mean what those of HD video do (BT.709)."""
    return color_matrix(video) == "bt709" or video.color_tags.matrix == HD.matrix


def matrix_of(tags: ColorTags, size: Size) -> str:
    """Return what samples are to mean that are told to be of such colors, as the filter `scale` has it."""
    return MATRICES.get(tags.matrix, "bt709" if min(size.width, size.height) >= MIN_HD_SIDE else "smpte170m")


def _is_wide(video: VideoStream) -> bool:
    """Return True for standard dynamic range in colors that HD does not have."""
    return video.color_tags.primaries in WIDE_PRIMARIES and not video.transfer and not video.rgb


def tag_samples(stream: Any, tags: ColorTags) -> Any:
    """Return a still of which the samples of color mean what its file says, whatever its codec does."""
    matrix = {"colorspace": MATRICES[tags.matrix]} if tags.matrix in MATRICES else {}
    return stream.filter("setparams", range="pc" if tags.full_range else "tv", **matrix)


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


def tone_map(stream: Any, video: VideoStream) -> Any:
    """Return high dynamic range (BT.2100) as BT.709: white, 203 cd/m² by BT.2408, becomes 1; brighter tones are rolled
    off."""
    tags = video.color_tags
    hdr = {
        "tin": video.transfer,
        "pin": {1: "bt709", **WIDE_PRIMARIES}.get(tags.primaries, "bt2020"),
        "min": "gbr" if video.rgb else {ICTCP: "ictcp", **MATRICES}.get(tags.matrix, "bt2020nc"),
        "rin": "pc" if video.rgb or tags.full_range else "tv",
    }
    linear = stream.filter("zscale", t="linear", npl=WHITE_NITS, **hdr).filter("format", "gbrpf32le")
    narrowed = linear.filter("zscale", p="bt709").filter("tonemap", "mobius", desat=0)
    return narrowed.filter("zscale", t="bt709", m="bt709", r="tv", d="error_diffusion")


def repeat_pictures(stream: Any, moments: Any, until: float) -> Any:
    """Return a picture that is shown again at the times of another stream, the last one too until `until`, in seconds;
    all others keep their times."""
    # Who goes by two streams has them of one format.
    times = moments.filter("format", "yuv420p")
    # Without a frame rate the copy of the last picture has its time, by which it is known and put behind the end.
    held = stream.filter("setpts", "PTS", strip_fps=1).filter("tpad", stop=1, stop_mode="clone")
    held = held.filter("setpts", f"if(eq(PTS,PREV_INPTS),{until:.6f}/TB,PTS)")
    shown = ffmpeg.filter([times, held], "streamselect", inputs=2, map="1")
    return shown.filter("trim", end=f"{until - 0.001:.6f}")


def look_up_colors(stream: Any, table: str) -> Any:
    """Return a still in the colors that a table has for its own; with sixteen bits, as the filter cuts off what is
    finer."""
    rgb = stream.filter("scale", flags="accurate_rnd+full_chroma_int").filter("format", "gbrp16le|gbrap16le")
    return rgb.filter("lut3d", file=table, interp="tetrahedral")


def draw_captions(stream: Any, script: str, fonts: str, *, wrap_unicode: bool) -> Any:
    """Return the picture with an ASS script drawn in, by fonts of the folder `fonts`. `wrap_unicode` breaks lines
    wherever Unicode allows it (UAX #14), as scripts without blanks need it; else at blanks alone, as makers of ASS
    expect."""
    return stream.filter("subtitles", script, fontsdir=fonts, wrap_unicode=int(wrap_unicode))


def tag_hd(stream: Any) -> Any:
    """Return raw frames labeled as HD video: BT.709, limited range, color samples at the left, square pixels."""
    tags = {"range": "tv", "colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}
    return stream.filter("setparams", chroma_location="left", **tags).filter("setsar", 1)
