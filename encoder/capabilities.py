"""What this machine can do: codecs, tried with a tiny encode; FFmpeg; GPU; fonts. For GetCapabilities and `doctor`."""

import ctypes
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from encoder import codecs, fonts
from encoder.codecs.base import Codec
from encoder.config import EncoderSettings
from encoder.ffmpeg import Ffmpeg, answer, bundled_binary
from encoder.sandbox import AUTO as AUTO_SANDBOX
from encoder.sandbox import SANDBOXES
from encoder.sandbox.base import Limits, Sandbox
from rpc.config import ConfigError

log = structlog.get_logger("encoder")

VERSION = version("api-gpu")
DRIVER_LIBRARIES = ("libcuda.so.1", "libnvidia-encode.so.1")
QUESTION_SECONDS = 10.0
VERSION_LINE = "ffmpeg version "


@dataclass(frozen=True)
class CodecState:
    """A codec, and the reason why it does not work here; empty when it does."""

    codec: Codec
    fault: str


@dataclass(frozen=True)
class Capabilities:
    """What was found out at the start."""

    ffmpeg: Ffmpeg
    ffmpeg_version: str
    codecs: tuple[CodecState, ...]

    @property
    def working(self) -> list[Codec]:
        """The codecs that work here, the best first."""
        return [state.codec for state in self.codecs if not state.fault]

    def chosen(self, name: str) -> Codec:
        """The codec of setting CODEC. Raises ConfigError when it does not work, saying why."""
        for state in self.codecs:
            if not state.fault and name in (codecs.AUTO, state.codec.name):
                return state.codec
        faults = "; ".join(f"{s.codec.name}: {s.fault}" for s in self.codecs if name in (codecs.AUTO, s.codec.name))
        raise ConfigError(f"CODEC={name}: does not work on this machine ({faults})")


async def inspect(settings: EncoderSettings) -> Capabilities:
    """Find out what works. Raises ConfigError when FFmpeg cannot be run, or not in the sandbox that is set."""
    binary = (settings.ffmpeg_binary or bundled_binary()).resolve()
    made = [codecs.load(name)(**options) for name, options in _options(settings).items()]
    found = await _ffmpeg_version(binary)
    ffmpeg = Ffmpeg(binary, await _sandbox(binary, settings))
    return Capabilities(ffmpeg, found, tuple([CodecState(codec, await codec.fault(ffmpeg.answer)) for codec in made]))


async def _sandbox(binary: Path, settings: EncoderSettings) -> Sandbox:
    """The sandbox that is set, or the first that works. Raises ConfigError."""
    limits = Limits.of(settings.max_task_seconds, settings.max_memory_bytes, settings.max_result_bytes)
    names = list(SANDBOXES) if settings.sandbox == AUTO_SANDBOX else [settings.sandbox]
    faults: list[str] = []
    for name in names:
        try:
            made: Sandbox = SANDBOXES[name](limits)
            code, text = await Ffmpeg(binary, made).answer(["-version"])
        except OSError as error:
            code, text = 1, str(error)
        if code == 0:
            if faults and name == "none":
                log.warning("FFmpeg runs without a sandbox: it can read what the encoder can", faults=faults)
            return made
        faults.append(f"{name}: {(text.strip().splitlines() or ['it ends with ' + str(code)])[-1]}")
    raise ConfigError(f"SANDBOX={settings.sandbox}: does not work on this machine ({'; '.join(faults)})")


def _options(settings: EncoderSettings) -> Mapping[str, Mapping[str, Any]]:
    return {"x264": {"preset": settings.x264_preset, "crf": settings.crf}}


async def _ffmpeg_version(binary: Path) -> str:
    try:
        _, text = await answer([str(binary), "-version"])
    except OSError as error:
        raise ConfigError(f"FFMPEG_BINARY={binary}: cannot be run ({error.strerror})") from error
    if not text.startswith(VERSION_LINE):
        raise ConfigError(f"FFMPEG_BINARY={binary}: is not FFmpeg")
    return text.removeprefix(VERSION_LINE).split(" ", 1)[0]


async def report(settings: EncoderSettings) -> dict[str, Any]:
    """What `python -m encoder doctor` prints, as plain values. Raises ConfigError."""
    found = await inspect(settings)
    return {
        "version": VERSION,
        "ffmpeg": {"path": str(found.ffmpeg.binary), "version": found.ffmpeg_version},
        "sandbox": found.ffmpeg.sandbox.name,
        "codecs": [
            {"name": s.codec.name, "format": s.codec.format, "works": not s.fault, "reason": s.fault}
            for s in found.codecs
        ],
        "gpu": {"libraries": {name: _loads(name) for name in DRIVER_LIBRARIES}, "devices": await _devices()},
        "fonts": [path.name for path in fonts.given_files(settings.fonts_dir) + fonts.bundled_files()],
        "work_dir": str(settings.work_dir.resolve()),
        "output_dir": str((settings.output_dir or settings.work_dir).resolve()),
    }


def _loads(library: str) -> str:
    try:
        ctypes.CDLL(library)
    except OSError as error:
        return f"not found: {error}"
    return "loads"


async def _devices() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        code, text = await answer([tool, "--list-gpus"], QUESTION_SECONDS)
    except (OSError, TimeoutError):
        return []
    return text.strip().splitlines() if code == 0 else []
