"""Checks whether runs of frames of the card stand among those of another encoder."""

from apigpu.v1 import video_pb2
from servicekit.errors import ConfigError
from tools.gpu_check import media, work
from tools.gpu_check.finding import IMPOSSIBLE, NOTED, Finding, Scale, judged

# Of fewer none is copied.
LEAST_SECONDS = 5.0
# Pictures that are of the same moment; see `pictures`.
ALIKE_LEVELS = 4.0
# As most films are made; those of x265 have open groups of pictures.
USUAL = {
    "h264": ("-c:v", "libx264", "-preset", "medium", "-profile:v", "high", "-g", "30", "-pix_fmt", "yuv420p"),
    "hevc": ("-c:v", "libx265", "-preset", "fast", "-g", "30", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none"),
}
SPLICED = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="video", url_srt="cues"))


async def splice_h264(scale: Scale) -> Finding:
    """Draw captions into a part of a clip of H.264 as most are made, of which the rest is to be copied."""
    return await _splice(scale, "h264")


async def splice_hevc(scale: Scale) -> Finding:
    """Draw captions into a part of a clip of H.265."""
    try:
        return await _splice(scale, "hevc")
    except ConfigError as error:  # as of a card that makes none
        return Finding(IMPOSSIBLE, str(error))


async def _splice(scale: Scale, form: str) -> Finding:
    width, height = scale.size
    seconds = max(scale.seconds, LEAST_SECONDS)
    source = media.make_clip(scale.folder / "in.mp4", f"testsrc2=s={width}x{height}:r=30:d={seconds}", *USUAL[form])
    cues = source.with_suffix(".srt")
    cues.write_text(media.CUES)
    result = scale.folder / "spliced.mp4"
    settings = {"nvenc_format": form, "nvenc_b_frames": 2 if form == "h264" else 0}
    async with work.encoder(scale.folder, **settings) as executor:
        summary = await work.do(executor, SPLICED, {"url_video": source, "url_srt": cues}, result)
    if summary.whole_reason:
        return Finding(NOTED, f"all was encoded: {summary.whole_reason}")
    found, frames, apart = media.facts(result), round(seconds * 30), media.difference(source, result)
    faults = [
        *([] if summary.codec == "nvenc" else [f"{summary.codec} made it: {summary.codec_reason}"]),
        *([] if len(found.types) == frames else [f"it has {len(found.types)} frames, not {frames}"]),
        *([] if apart < ALIKE_LEVELS else [f"its pictures are {apart:.1f} levels off"]),
    ]
    text = f"{summary.frames_copied} of {frames} frames were copied"
    return judged(faults, text, copied=summary.frames_copied, apart=round(apart, 2))
