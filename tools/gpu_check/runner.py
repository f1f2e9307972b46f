"""Runs a check in a process of its own, under its limit of time: a driver may hang, or end the process that calls
it."""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from encoder.codecs.nvenc import driver
from servicekit.codec import from_json, to_json
from servicekit.errors import ConfigError, ServiceError
from servicekit.process import child_environment, kill_group, module_command, spawn
from tools import scratch
from tools.gpu_check.checks import CHECKS
from tools.gpu_check.finding import FAILED, IMPOSSIBLE, Finding, Scale

# Settings that a machine may need: all others are the checks' own.
SETTINGS = ("FFMPEG_BINARY", "FONTS_DIR", "SANDBOX", "MAX_MEMORY_BYTES")
LAST_LINES = 12
FREE = "machine"


def run_all(
    names: Sequence[str], *, is_short: bool, limit_seconds: float | None = None
) -> Iterator[tuple[str, Finding]]:
    """Yield each check by its name, and what it found; `limit_seconds` holds in place of each check's own limit."""
    for name in names:
        with scratch.folder(f"check-{name}") as folder:
            seconds = limit_seconds or CHECKS[name].limit_seconds
            yield name, asyncio.run(_run(name, Scale(folder, is_short), seconds))


async def _run(name: str, scale: Scale, limit_seconds: float) -> Finding:
    """Run a check as a child; whatever becomes of it, there is a finding."""
    found, log = scale.folder / "finding.json", scale.folder / "log"
    words = ["--child", name, str(scale.folder), *(["--short"] if scale.is_short else [])]
    started = time.monotonic()
    with log.open("wb") as messages:
        process = await spawn(
            module_command("tools.gpu_check", *words),
            env=child_environment(*SETTINGS),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
        )
        try:
            async with asyncio.timeout(limit_seconds):
                await process.wait()
        except TimeoutError:
            text = f"it took longer than {limit_seconds:.0f} s"
            return Finding(FAILED, text, {"messages": _last(log)}, time.monotonic() - started)
        finally:
            kill_group(process)
            await process.wait()
    seconds = round(time.monotonic() - started, 1)
    if not found.exists():
        text = f"its process ended with {process.returncode}"
        return Finding(FAILED, text, {"messages": _last(log)}, seconds)
    return replace(from_json(Finding, found.read_bytes()), seconds=seconds)


def _last(log: Path) -> list[str]:
    return [hide(line) for line in log.read_text(errors="replace").splitlines()[-LAST_LINES:]]


def hide(text: str) -> str:
    """Return a text without the names of this machine's folders, which are nobody's business."""
    for folder, name in ((os.getcwd(), "."), (str(Path.home()), "~"), (tempfile.gettempdir(), "tmp")):
        if folder != "/":
            text = text.replace(folder, name)
    return text


def run_child(name: str, scale: Scale) -> None:
    """Run a check in this process, and write what it found to the folder."""
    finding = asyncio.run(_find(name, scale))
    (scale.folder / "finding.json").write_text(hide(to_json(finding).decode()))


async def _find(name: str, scale: Scale) -> Finding:
    if name != FREE and (fault := driver.find_fault()):
        return Finding(IMPOSSIBLE, fault)
    try:
        return await CHECKS[name].run(scale)
    except ConfigError as error:  # there is no encoder to check, for which `doctor` tells the reason
        return Finding(IMPOSSIBLE, str(error))
    except (ServiceError, OSError, RuntimeError, ValueError) as error:
        return Finding(FAILED, getattr(error, "message", "") or str(error) or type(error).__name__)
