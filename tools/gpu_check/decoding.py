"""Checks of decoding on the card: in which sandbox it works, whether it is exact, and whether it pays."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from encoder.codecs.nvenc import nvdec
from encoder.ffmpeg.process import NO_ACCESS, Ffmpeg, query
from encoder.sandbox.sandboxes import SANDBOXES, Landlock, ProcessLimits, SandboxAccess
from servicekit.errors import ConfigError
from servicekit.process import kill_group, spawn, usable_cores
from tools.gpu_check import media, work
from tools.gpu_check.finding import FAILED, IMPOSSIBLE, NOTED, Finding, Scale, judged
from tools.samples import ffmpeg_binary

GIB = 1 << 30
LIMITS = ProcessLimits(600, 16 * GIB, 32 * GIB)
UNBOUND = ProcessLimits(600, 1 << 50, 1 << 50)
# What a driver might read or write to, and tasks have not.
FILES = ("/etc", "/run", "/var", "/opt", "/home")
SET = ("/proc", "/dev", "/tmp")
DECODES, NO_SANDBOX = "decodes", "cannot be used here"
PLACES = {"none": "without a sandbox"}
# Of FFmpeg's words, as many lines.
WORDS_LINES = 4
DECODE_SECONDS = 60.0
# Of the clips; the large one is no longer than it must be for a task to decode it on the card.
RATE, LARGE_SECONDS = 30, 6
# So long after its start FFmpeg has the driver loaded.
LOADED_SECONDS = 2.0
SIZES = re.compile(r"^Vm(Peak|Data|RSS):\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True)
class WiderFfmpeg(Ffmpeg):
    """FFmpeg in a sandbox that gives it more files than tasks get, to find out what they lack."""

    async def query(self, arguments: Sequence[str], access: SandboxAccess = NO_ACCESS) -> tuple[int, str]:
        readable = [Path(name) for name in FILES if Path(name).exists()]
        writable = [Path(name) for name in SET] if isinstance(self.sandbox, Landlock) else []
        more = replace(access, readable=(*access.readable, *readable), writable=(*access.writable, *writable))
        return await super().query(arguments, more)


async def sandboxes(_: Scale) -> Finding:
    """Decode the encoder's clip on the first card in each sandbox, as tasks would; where only the sandbox keeps it from
    that, in wider ones too."""
    told = {name: await _outcome(name) for name in SANDBOXES}
    works = [name for name, outcome in told.items() if outcome == DECODES]
    if not works:
        return Finding(IMPOSSIBLE, told["none"], told)
    fails = [name for name, outcome in told.items() if outcome != DECODES and not outcome.startswith(NO_SANDBOX)]
    for name in fails:
        told |= {f"{name}, {more}": outcome async for more, outcome in _wider(name)}
    places = [PLACES.get(name, f"in {name}") for name in works]
    return judged([f"{name}: {told[name]}" for name in fails], f"the card decodes {', '.join(places)}", **told)


async def _outcome(name: str) -> str:
    """Return DECODES, or why the card does not decode in a sandbox, or NO_SANDBOX and why it cannot be used here."""
    try:
        ffmpeg = Ffmpeg(Path(ffmpeg_binary()), SANDBOXES[name](LIMITS))
        code, text = await ffmpeg.query(["-version"])
    except OSError as error:
        return f"{NO_SANDBOX}: {error}"
    return await _decoded(ffmpeg) if code == 0 else f"{NO_SANDBOX}: {text.strip()}"


async def _decoded(ffmpeg: Ffmpeg) -> str:
    """Return DECODES, or what that means that an FFmpeg says instead, and its own words."""
    if not (fault := await nvdec.find_fault(0, ffmpeg.query)):
        return DECODES
    try:
        _, text = await nvdec.decode_clip(0, ffmpeg.query)
    except OSError as error:
        text = str(error)
    return f"{fault} [{' / '.join(text.split(chr(10))[:WORDS_LINES])}]"


async def _wider(name: str) -> AsyncIterator[tuple[str, str]]:
    """Yield what a sandbox gives more, and what comes of it: the first that decodes tells what tasks lack."""
    binary, usual, unbound = Path(ffmpeg_binary()), SANDBOXES[name](LIMITS), SANDBOXES[name](UNBOUND)
    wider = {
        "memory without a bound": Ffmpeg(binary, unbound),
        "more files": WiderFfmpeg(binary, usual),
        "both": WiderFfmpeg(binary, unbound),
    }
    for more, ffmpeg in wider.items():
        yield more, await _decoded(ffmpeg)


@dataclass(frozen=True)
class Footage:
    """A clip of so many frames, and the format that its pictures have in memory."""

    path: Path
    frames: int
    pixels: str


async def worth(scale: Scale) -> Finding:
    """Decode clips by the processor and by the card: are the pictures the same, how fast is each, and how fast a task
    with each?"""
    clips = _clips(scale)
    told = {name: await _compared(scale, clip) for name, clip in clips.items()}
    sizes = await _sizes(next(iter(clips.values())))
    exact = [one["is_exact"] for one in told.values()]
    faults = [f"{name}: the card's pictures differ" for name, one in told.items() if one["is_exact"] is False]
    if set(exact) == {None}:
        return Finding(IMPOSSIBLE, "the card decodes none of the clips", {"clips": told, "kilobytes": sizes})
    rates = [_in_words(name, one) for name, one in told.items() if one["is_exact"] is not None]
    text = f"by the card against {usable_cores()} cores, to memory: {', '.join(rates)}"
    return replace(judged(faults, text, clips=told, kilobytes=sizes), outcome=FAILED if faults else NOTED)


async def _compared(scale: Scale, clip: Footage) -> dict[str, Any]:
    """Return whether the card decodes a clip exactly, and the frames a second by each: of decoding alone, and of tasks,
    where the card encodes."""
    told: dict[str, Any] = {"is_exact": await _is_exact(clip), "by_processor": await _rate(clip)}
    if told["is_exact"] is None:
        return told
    told["by_card"] = await _rate(clip, *nvdec.hwaccel(0))
    if task_by_processor := await _task_rate(scale, clip, nvdec="false"):
        told |= {"task_by_processor": task_by_processor}
        told |= {"task_by_card": await _task_rate(scale, clip, nvdec="true")}
    return told


def _in_words(name: str, told: Mapping[str, Any]) -> str:
    alone = f"{name} {told['by_card']} against {told['by_processor']} frames/s"
    if "task_by_card" not in told:
        return alone
    return f"{alone} (in tasks {told['task_by_card']} against {told['task_by_processor']})"


def _clips(scale: Scale) -> dict[str, Footage]:
    width, height = scale.size
    path = scale.folder / "h264.mp4"
    made = media.make_clip(path, f"testsrc2=s={width}x{height}:r={RATE}:d={scale.seconds}")
    clips = {"H.264": Footage(made, round(scale.seconds * RATE), "nv12")}
    if not scale.is_short:
        options = ("-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=1")
        large = media.make_clip(scale.folder / "hevc.mp4", f"testsrc2=s=3840x2160:r={RATE}:d={LARGE_SECONDS}", *options)
        clips["H.265 2160p"] = Footage(large, LARGE_SECONDS * RATE, "p010le")
    return clips


async def _is_exact(clip: Footage) -> bool | None:
    """Return True if the card's pictures are those of the processor; None where the card decodes none."""
    card = [*nvdec.hwaccel(0), *nvdec.ON_CARD, "-i", str(clip.path), "-vf", f"hwdownload,format={clip.pixels}"]
    processor = ["-i", str(clip.path), "-vf", f"format={clip.pixels}"]
    code, by_card = await _ffmpeg([*card, "-f", "md5", "-"])
    if code:
        return None
    _, by_processor = await _ffmpeg([*processor, "-f", "md5", "-"])
    return by_card == by_processor


async def _ffmpeg(arguments: Sequence[str]) -> tuple[int, str]:
    return await query([ffmpeg_binary(), "-nostdin", "-v", "error", *arguments], DECODE_SECONDS)


async def _rate(clip: Footage, *options: str) -> int:
    """Return the frames a second of an FFmpeg, with its start, that brings a clip to memory as tasks do; 0 where it
    fails."""
    began = time.monotonic()
    code, _ = await _ffmpeg([*options, "-i", str(clip.path), "-vf", "format=nv12", "-f", "null", "-"])
    return 0 if code else round(clip.frames / (time.monotonic() - began))


async def _task_rate(scale: Scale, clip: Footage, **settings: str) -> int:
    """Return the frames a second of a task that draws captions into a clip; 0 where the card encodes nothing."""
    try:
        async with work.encoder(scale.folder, **settings) as executor:
            summary = await work.caption(executor, clip.path)
    except ConfigError:
        return 0
    return round(summary.frames / max(summary.encode_seconds, 1e-3))


async def _sizes(clip: Footage) -> dict[str, int]:
    """Return the kilobytes of an FFmpeg that has the driver loaded: the most of its address space, of the memory that
    it may write to, and of what it holds. The bound of memory has to leave room for them."""
    command = [ffmpeg_binary(), "-nostdin", "-v", "error", *nvdec.hwaccel(0), "-stream_loop", "-1", "-re"]
    process = await spawn([*command, "-i", str(clip.path), "-f", "null", "-"], stdin=asyncio.subprocess.DEVNULL)
    try:
        await asyncio.sleep(LOADED_SECONDS)
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        status = ""
    finally:
        kill_group(process)
        await process.wait()
    return {name: int(value) for name, value in SIZES.findall(status)}
