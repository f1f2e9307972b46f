"""Checks of the machine: what it has, what doctor says of it, and each card by itself."""

import asyncio
import ctypes
import glob
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from encoder.codecs.nvenc import driver
from gateway.fleet.providers.vast.ranking import can_encode
from servicekit.process import child_environment, kill_group, module_command, spawn, usable_cores
from tools.gpu_check.finding import FAILED, IMPOSSIBLE, NOTED, PASSED, Finding, Scale, judged

LIBRARIES = ("libcuda.so.1", "libnvidia-encode.so.1", "libnvcuvid.so.1")
ASKED = "name,driver_version,memory.total,compute_cap,compute_mode,mig.mode.current"
DOCTOR_SECONDS = 60.0
DECODING = {"NVDEC": "true"}
MOST_CARDS = 8
NONE_EXPECTED = "this chip has no encoder; what it decodes the checks `sandboxes` and `decoding` tell"
SAID = ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")


async def machine(_: Scale) -> Finding:
    """Tell what the machine has."""
    cards = await nvidia_smi()
    return Finding(
        NOTED if driver.find_fault() == "" else IMPOSSIBLE,
        "; ".join(cards) or driver.find_fault() or "nvidia-smi is not here",
        {
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cores": usable_cores(),
            "python": platform.python_version(),
            "driver": driver.versions(),
            "nvidia_smi": cards,
            "libraries": {name: _load_fault(name) or "loads" for name in LIBRARIES},
            "devices": [str(path) for path in driver.devices()],
            "programs": {name: bool(shutil.which(name)) for name in ("bwrap", "prlimit")},
            "environment": {name: os.environ[name] for name in SAID if name in os.environ},
            "is_container": Path("/.dockerenv").exists() or Path("/run/.containerenv").exists(),
            "is_root": os.geteuid() == 0,
        },
    )


async def nvidia_smi() -> list[str]:
    """Return a line for each card, as nvidia-smi tells it; none where that is not here."""
    try:
        _, out = await _run(["nvidia-smi", f"--query-gpu={ASKED}", "--format=csv,noheader"], child_environment())
    except (OSError, TimeoutError):
        return []
    return [line.strip() for line in out.splitlines() if line.strip()]


def _load_fault(name: str) -> str:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return str(error)
    return ""


async def doctor(scale: Scale) -> Finding:
    """Ask doctor, with decoding on the card."""
    report = await ask_doctor(scale.folder, DECODING)
    nvenc = next(codec for codec in report["codecs"] if codec["name"] == "nvenc")
    if _can_only_decode(report["gpu"]["cards"]):
        return Finding(NOTED, f"{NONE_EXPECTED}: {_in_words(report)}", report)
    faults = [] if nvenc["works"] else [nvenc["reason"]]
    return judged(faults, _in_words(report), **report)


def _can_only_decode(cards: Sequence[Mapping[str, Any]]) -> bool:
    """Return True where all cards are of chips without an encoder."""
    names = [card["name"].replace("-", " ") for card in cards]
    return bool(names) and not any(map(can_encode, names))


def _in_words(report: dict[str, Any]) -> str:
    cards = [f"{card['name']}: {', '.join(card['formats']) or 'no format'}" for card in report["gpu"]["cards"]]
    decoding = report["gpu"]["nvdec"]
    said = "works" if decoding["works"] else f"does not work ({decoding['reason']})"
    return f"{'; '.join(cards) or 'no card'}; sandbox {report['sandbox']}, where NVDEC {said}"


async def ask_doctor(folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the report of the encoder's doctor. Raises RuntimeError with its words."""
    known = child_environment("FFMPEG_*", "FONTS_DIR", "SANDBOX", **{"WORK_DIR": str(folder / "work"), **environment})
    code, out = await _run(module_command("encoder", "doctor"), known)
    try:
        report: dict[str, Any] = json.loads(out)
    except ValueError as error:
        raise RuntimeError(f"doctor ended with {code}: {out.strip()[-500:]}") from error
    return report


async def _run(command: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Return the return code of a command, and what it printed. Raises OSError, TimeoutError."""
    process = await spawn(
        command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=sys.stderr
    )
    try:
        async with asyncio.timeout(DOCTOR_SECONDS):
            out, _ = await process.communicate()
    finally:
        kill_group(process)
        await process.wait()
    return process.returncode or 0, out.decode(errors="replace")


async def each_card(scale: Scale) -> Finding:
    """Try each card by itself, as CUDA_VISIBLE_DEVICES chooses it: a container that holds one card of several has a
    driver that knows of more."""
    known = len(glob.glob("/proc/driver/nvidia/gpus/*"))
    nodes = len(glob.glob("/dev/nvidia[0-9]*"))
    report = await ask_doctor(scale.folder, DECODING)
    seen = [card["name"] for card in report["gpu"]["cards"]]
    if not seen:
        return Finding(IMPOSSIBLE, "no card is seen", {"known": known, "nodes": nodes})
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = chosen.split(",") if chosen else [str(number) for number in range(len(seen))]
    told = {}
    for name in names[:MOST_CARDS]:
        is_only = len(names) == 1 and not chosen
        alone = report if is_only else await ask_doctor(scale.folder, DECODING | {"CUDA_VISIBLE_DEVICES": name})
        told[name] = {"cards": alone["gpu"]["cards"], "nvdec": alone["gpu"]["nvdec"]}
    text = f"{len(seen)} of {max(known, len(seen))} cards are seen here, each tried by itself"
    figures = {"known": known, "nodes": nodes, "seen": seen, "alone": told}
    if all(len(one["cards"]) == 1 and _can_only_decode(one["cards"]) for one in told.values()):
        return Finding(NOTED, f"{NONE_EXPECTED}; {text}", figures)
    faults = [f"card {name}: {_only_fault(one['cards'])}" for name, one in told.items() if _only_fault(one["cards"])]
    return Finding(FAILED if faults else PASSED, "; ".join([*faults, text]), figures)


def _only_fault(cards: list[dict[str, Any]]) -> str:
    """Return why a card that was chosen alone is of no use; "" when it is."""
    if len(cards) != 1:
        return f"{len(cards)} cards are seen where one was chosen"
    return str(cards[0]["reason"])
