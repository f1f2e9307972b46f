"""Checks whether runs of frames of the card stand among those of another encoder."""

from apigpu.v1 import video_pb2
from tools.gpu_check import media, work
from tools.gpu_check.finding import NOTED, Finding, Scale, judged

# Of fewer none is copied.
LEAST_SECONDS = 5.0
# Pictures that are of the same moment; see `pictures`.
ALIKE_LEVELS = 4.0
USUAL = ("-c:v", "libx264", "-preset", "medium", "-profile:v", "high", "-g", "30", "-pix_fmt", "yuv420p")
SPLICED = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="video", url_srt="cues"))


async def splice(scale: Scale) -> Finding:
    """Draw captions into a part of a clip as most are made, of which the rest is to be copied."""
    width, height = scale.size
    seconds = max(scale.seconds, LEAST_SECONDS)
    source = media.make_clip(scale.folder / "in.mp4", f"testsrc2=s={width}x{height}:r=30:d={seconds}", *USUAL)
    cues = source.with_suffix(".srt")
    cues.write_text(media.CUES)
    result = scale.folder / "spliced.mp4"
    async with work.encoder(scale.folder) as executor:
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
