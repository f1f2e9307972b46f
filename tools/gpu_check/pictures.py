"""Checks of what the card makes: frames, headers, times, sizes, rates of bits."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from apigpu.encoder.v1 import encoder_pb2
from encoder.tasks.executor import TaskExecutor
from servicekit.errors import ConfigError, ServiceError
from tools.gpu_check import media, work
from tools.gpu_check.finding import FAILED, IMPOSSIBLE, PASSED, Finding, Scale, judged
from tools.samples import X264

FORMATS = ("h264", "hevc", "av1")
# Levels of gray, of 255: compressed pictures are about one apart, pictures of another moment ten.
ALIKE_LEVELS = 4.0
# A clip in which every pixel changes needs as many bits as a quality may cost.
NOISE = "testsrc2=s={}x{}:r=30:d={},noise=alls=60:allf=t"
CQ = 18
# Of the frames that come every 60th of a second, those that are kept.
UNEVEN = "not(mod(n,2))+not(mod(n,7))+lt(mod(n,40),9)"
# The share of a level's cap from which on it is taken to hold the rate back.
CAPPED = 0.9


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


async def headers(scale: Scale) -> Finding:
    """Read the sequence header of a clip in each format that the card makes."""
    image = work.make_still(scale.folder / "still.png")
    found: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    for form in FORMATS:
        result = scale.folder / f"header-{form}.mp4"
        try:
            await _make(scale, form, image, result)
        except (ServiceError, ConfigError) as error:
            found[form] = {"not made": str(error)}
            continue
        found[form] = media.headers(result)
        faults += _header_faults(form, found[form])
    made = [form for form in FORMATS if "not made" not in found[form]]
    if not made:
        return Finding(IMPOSSIBLE, str(found["h264"]["not made"]), found)
    return judged(faults, ", ".join(f"{form}: level {media.level(form, found[form]).number}" for form in made), **found)


async def _make(scale: Scale, form: str, image: Path, result: Path) -> None:
    async with _encoder(scale, form) as executor:
        await work.do(executor, work.still(0.5, *scale.size), {"url_image": image}, result)


def _encoder(scale: Scale, form: str, **settings: object) -> AbstractAsyncContextManager[TaskExecutor]:
    return work.encoder(scale.folder, nvenc_format=form, nvenc_b_frames=2 if form == "h264" else 0, **settings)


def _header_faults(form: str, fields: dict[str, int]) -> list[str]:
    """Return what a header of a clip of a still should say and does not: it is tagged as HD."""
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


async def rates(scale: Scale) -> Finding:
    """Encode noise at a high quality: does the level that the card chooses hold its bits back?"""
    width, height = scale.size
    noise = NOISE.format(width, height, min(scale.seconds, 5))
    source = media.make_clip(scale.folder / "noise.mkv", noise, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "8")
    told: dict[str, dict[str, Any]] = {}
    for form in FORMATS:
        result = scale.folder / f"rates-{form}.mp4"
        try:
            async with _encoder(scale, form, nvenc_cq=CQ) as executor:
                await work.caption(executor, source, result)
        except (ServiceError, ConfigError) as error:
            told[form] = {"not made": str(error)}
            continue
        told[form] = _rate(form, result)
    made = {form: one for form, one in told.items() if "not made" not in one}
    faults = [
        f"{form}: {one['cap']} kbit/s of its level hold it back" for form, one in made.items() if one["is_capped"]
    ]
    text = ", ".join(f"{form} {one['peak']} of {one['cap']} kbit/s" for form, one in made.items())
    return Finding(FAILED if faults else PASSED if made else IMPOSSIBLE, "; ".join([*faults, text]), told)


def _rate(form: str, path: Path) -> dict[str, Any]:
    found, level = media.facts(path), media.level(form, media.headers(path))
    return {
        "kilobits": round(found.kilobits),
        "peak": round(found.peak_kilobits),
        "level": level.number,
        "tier": level.tier,
        "cap": level.cap_kilobits,
        "is_capped": bool(level.cap_kilobits) and found.peak_kilobits > CAPPED * level.cap_kilobits,
    }
