"""Checks of what the card makes: frames, times, sizes, and in each format headers and rates of bits."""

from pathlib import Path
from typing import Any

from apigpu.encoder.v1 import encoder_pb2
from encoder.codecs.nvenc.request import FORMATS
from servicekit.errors import ConfigError, ServiceError
from tools.gpu_check import media, work
from tools.gpu_check.finding import IMPOSSIBLE, Finding, Scale, judged
from tools.samples import X264

# Levels of gray, of 255: compressed pictures are about one apart, pictures of another moment ten.
ALIKE_LEVELS = 4.0
# A clip in which every pixel changes needs as many bits as a quality may cost.
NOISE = "testsrc2=s={}x{}:r=30:d={},noise=alls=60:allf=t"
CQ = 18
# Of the frames that come every 60th of a second, those that are kept.
UNEVEN = "not(mod(n,2))+not(mod(n,7))+lt(mod(n,40),9)"
# From and up to which share of a level's cap it is taken to hold the bits back.
CAPPED = (0.9, 1.1)


async def clip(scale: Scale) -> Finding:
    """Draw captions into a clip of 30 frames a second, and look at its frames."""
    width, height = scale.size
    source = media.make_clip(scale.folder / "in.mp4", f"testsrc2=s={width}x{height}:r=30:d={scale.seconds}")
    result = scale.folder / "clip.mp4"
    async with work.encoder(scale.folder) as executor:
        summary = await work.caption(executor, source, result)
    found, frames = media.facts(result), round(scale.seconds * 30)
    apart = media.difference(source, result)
    faults = [
        *_codec_fault(summary),
        *([] if len(found.types) == frames else [f"it has {len(found.types)} frames, not {frames}"]),
        *([] if found.keys == list(range(0, frames, 60)) else [f"its key frames are {found.keys[:6]}"]),
        *([] if apart < ALIKE_LEVELS else [f"its pictures are {apart:.1f} levels off"]),
    ]
    rate = frames / max(summary.encode_seconds, 1e-3)
    text = f"{found.types[:12]}…, a key frame every 2 s, {found.kilobits:.0f} kbit/s, {rate:.0f} frames/s"
    return judged(
        faults, text, types=found.types[:120], kilobits=round(found.kilobits), apart=round(apart, 2), rate=round(rate)
    )


def _codec_fault(summary: encoder_pb2.Summary) -> list[str]:
    return [] if summary.codec == "nvenc" else [f"{summary.codec} made it: {summary.codec_reason}"]


async def formats(scale: Scale) -> Finding:
    """Make a still and noise in each format that the card makes, at a high quality: what do the headers say, and does
    the level that the card chose hold the bits back?"""
    width, height = scale.size
    noise = NOISE.format(width, height, min(scale.seconds, 5))
    clip = media.make_clip(scale.folder / "noise.mkv", noise, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "8")
    image = work.make_still(scale.folder / "still.png")
    told: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    for form in FORMATS:
        try:
            told[form] = await _make(scale, form, image, clip)
        except (ServiceError, ConfigError) as error:
            told[form] = {"not made": str(error)}
            continue
        faults += _header_faults(form, told[form]["header"])
        if told[form]["is_capped"]:
            faults.append(f"{form}: {told[form]['cap']} kbit/s of level {told[form]['level']} hold its bits back")
    made = [_in_words(form, one) for form, one in told.items() if "header" in one]
    if not made:
        return Finding(IMPOSSIBLE, str(told["h264"]["not made"]), told)
    return judged(faults, "; ".join(made), **told)


def _in_words(form: str, told: dict[str, Any]) -> str:
    return f"{form} level {told['level']}, {told['peak']} of {told['cap']} kbit/s"


async def _make(scale: Scale, form: str, image: Path, clip: Path) -> dict[str, Any]:
    still, noise = scale.folder / f"still-{form}.mp4", scale.folder / f"noise-{form}.mp4"
    settings = {"nvenc_format": form, "nvenc_cq": CQ, "nvenc_b_frames": 2 if form == "h264" else 0}
    async with work.encoder(scale.folder, **settings) as executor:
        await work.do(executor, work.still(0.5, *scale.size), {"url_image": image}, still)
        await work.caption(executor, clip, noise)
    found, level = media.facts(noise), media.level(form, media.headers(noise))
    share = found.peak_kilobits / level.cap_kilobits if level.cap_kilobits else 0.0
    return {
        "kilobits": round(found.kilobits),
        "peak": round(found.peak_kilobits),
        "level": level.number,
        "tier": level.tier,
        "cap": level.cap_kilobits,
        "is_capped": CAPPED[0] < share < CAPPED[1],
        "header": media.headers(still),
    }


def _header_faults(form: str, fields: dict[str, int]) -> list[str]:
    """Return what the header of a clip of a still should say and does not: it is tagged as HD."""
    names = ("color_primaries", "transfer_characteristics", "matrix_coefficients")
    names = names if form == "av1" else ("colour_primaries", *names[1:])
    return [f"{form}: {name} is {fields.get(name)}, not 1" for name in names if fields.get(name) != 1]


async def times(scale: Scale) -> Finding:
    """Draw captions into clips whose frames come unevenly, and whose sizes are odd, small and large."""
    uneven = f"testsrc2=s=320x180:r=60:d={2 if scale.is_short else 6},select='{UNEVEN}'"
    sources = {
        "uneven": media.make_clip(scale.folder / "uneven.mkv", uneven, *X264, "-fps_mode", "passthrough"),
        "odd": _sized(scale, "odd", "853x479"),
        "small": _sized(scale, "small", "96x64"),
    }
    if not scale.is_short:
        sources["large"] = _sized(scale, "large", "4608x128")
    told: dict[str, str] = {}
    faults = []
    async with work.encoder(scale.folder) as executor:
        for name, source in sources.items():
            result = scale.folder / f"{name}-out.mp4"
            summary = await work.caption(executor, source, result)
            before, after = media.facts(source), media.facts(result)
            told[name] = f"{after.width}×{after.height} by {summary.codec}"
            even = (before.width // 2 * 2, before.height // 2 * 2)
            if (after.width, after.height) != even:
                faults.append(f"{name}: {after.width}×{after.height}")
            if media.steps(before.times) != media.steps(after.times):
                faults.append(f"{name}: its frames come at other times")
    return judged(faults, "; ".join(f"{name}: {text}" for name, text in told.items()), **told)


def _sized(scale: Scale, name: str, size: str) -> Path:
    options = ("-c:v", "ffv1", "-pix_fmt", "yuv444p")
    return media.make_clip(scale.folder / f"{name}.mkv", f"testsrc2=s={size}:r=25:d=0.4", *options)
