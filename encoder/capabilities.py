"""What this machine can do: codecs, tried with a tiny encode; FFmpeg; GPU; fonts. For GetCapabilities and `doctor`."""

import ctypes
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from encoder import codecs, ffmpeg, fonts
from encoder.codecs.base import Codec
from encoder.config import EncoderSettings
from rpc.config import ConfigError

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

    binary: Path
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
    """Find out what works. Raises ConfigError when FFmpeg cannot be run."""
    binary = (settings.ffmpeg_binary or ffmpeg.bundled_binary()).resolve()
    made = [codecs.load(name)(**options) for name, options in _options(settings).items()]
    found = await _ffmpeg_version(binary)
    return Capabilities(binary, found, tuple([await _tried(binary, codec) for codec in made]))


def _options(settings: EncoderSettings) -> Mapping[str, Mapping[str, Any]]:
    return {"x264": {"preset": settings.x264_preset, "crf": settings.crf}}


async def _ffmpeg_version(binary: Path) -> str:
    try:
        _, text = await ffmpeg.answer(binary, ["-version"])
    except OSError as error:
        raise ConfigError(f"FFMPEG_BINARY={binary}: cannot be run ({error.strerror})") from error
    if not text.startswith(VERSION_LINE):
        raise ConfigError(f"FFMPEG_BINARY={binary}: is not FFmpeg")
    return text.removeprefix(VERSION_LINE).split(" ", 1)[0]


async def _tried(binary: Path, codec: Codec) -> CodecState:
    options = [part for key, value in codec.arguments(1).items() for part in (f"-{key}", value)]
    tiny = ["-f", "lavfi", "-i", "color=s=256x144:d=0.04:r=25", *options, "-f", "null", "-"]
    try:
        code, text = await ffmpeg.answer(binary, [*ffmpeg.QUIET, *tiny])
    except OSError as error:
        return CodecState(codec, f"FFmpeg cannot be run: {error.strerror}")
    last = text.strip().splitlines()[-1:] or [f"FFmpeg ended with {code}"]
    return CodecState(codec, last[0] if code else "")


async def report(settings: EncoderSettings) -> dict[str, Any]:
    """What `python -m encoder doctor` prints, as plain values. Raises ConfigError."""
    found = await inspect(settings)
    return {
        "version": VERSION,
        "ffmpeg": {"path": str(found.binary), "version": found.ffmpeg_version},
        "codecs": [
            {"name": s.codec.name, "format": s.codec.format, "works": not s.fault, "reason": s.fault}
            for s in found.codecs
        ],
        "gpu": {"libraries": {name: _loads(name) for name in DRIVER_LIBRARIES}, "devices": await _devices()},
        "fonts": [path.name for path in fonts.available(settings.fonts_dir)],
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
        code, text = await ffmpeg.answer(Path(tool), ["--list-gpus"], QUESTION_SECONDS)
    except (OSError, TimeoutError):
        return []
    return text.strip().splitlines() if code == 0 else []
