"""What this machine can do: codecs, tried with a tiny encode; FFmpeg; GPU. For GetCapabilities and `doctor`."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from encoder import codecs
from encoder.codecs.base import Candidate, Codec
from encoder.codecs.card import Card
from encoder.codecs.nvenc.parameters import Parameters
from encoder.config import WAIT, EncoderSettings
from encoder.ffmpeg.process import Ffmpeg, answer, bundled_binary
from encoder.sandbox import AUTO as AUTO_SANDBOX
from encoder.sandbox import SANDBOXES
from encoder.sandbox.base import Limits, Sandbox
from servicekit.config import ConfigError

log = structlog.get_logger("encoder")

VERSION = version("api-gpu")
VERSION_LINE = "ffmpeg version "
BY_SETTING = "it is what CODEC says"


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

    def candidates(self, name: str) -> tuple[Candidate, ...]:
        """The codecs of the setting CODEC, in the order in which a task tries them. Raises ConfigError when none works,
        saying why."""
        if name != codecs.AUTO:
            state = next(state for state in self.codecs if state.codec.name == name)
            if state.fault:
                raise ConfigError(f"CODEC={name}: does not work on this machine ({state.fault})")
            return tuple(Candidate(codec, codec.device or BY_SETTING) for codec in _down_from(state.codec))
        faults = [f"{state.codec.name} does not work here: {state.fault}" for state in self.codecs if state.fault]
        if not self.working:
            raise ConfigError(f"CODEC={name}: no codec works on this machine ({'; '.join(faults)})")
        codecs_in_turn = [codec for best in self.working for codec in _down_from(best)]
        return tuple(Candidate(codec, codec.device or "; ".join(faults)) for codec in codecs_in_turn)

    @property
    def cards(self) -> list[Card]:
        """The cards that codecs run on, those too that are of no use."""
        return [card for state in self.codecs for card in state.codec.cards]

    async def close(self) -> None:
        """Let go of what the codecs hold."""
        for state in self.codecs:
            await state.codec.close()


def _down_from(codec: Codec) -> Iterator[Codec]:
    """The codec, then what is simpler."""
    simpler: Codec | None = codec
    while simpler is not None:
        yield simpler
        simpler = simpler.simpler


@contextlib.asynccontextmanager
async def found(settings: EncoderSettings) -> AsyncIterator[Capabilities]:
    """What works here, until the block is left. Raises ConfigError when FFmpeg cannot be run, or not in the sandbox
    that is set."""
    inspected = await _inspected(settings)
    try:
        yield inspected
    finally:
        await inspected.close()


async def _inspected(settings: EncoderSettings) -> Capabilities:
    binary = (settings.ffmpeg_binary or bundled_binary()).resolve()
    made = [codecs.load(name)(**options) for name, options in _options(settings).items()]
    ffmpeg_version = await _ffmpeg_version(binary)
    ffmpeg = Ffmpeg(binary, await _sandbox(binary, settings))
    states = [CodecState(codec, await codec.fault(ffmpeg.answer)) for codec in made]
    return Capabilities(ffmpeg, ffmpeg_version, tuple(states))


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
    parameters = Parameters(
        format=settings.nvenc_format,
        preset=settings.nvenc_preset,
        cq=settings.nvenc_cq,
        b_frames=settings.nvenc_b_frames,
        lookahead=settings.nvenc_lookahead,
    )
    return {
        "nvenc": {
            "parameters": parameters,
            "waits": settings.nvenc_at_limit == WAIT,
            "decodes": settings.nvdec,
        },
        "x264": {"preset": settings.x264_preset, "crf": settings.crf},
    }


async def _ffmpeg_version(binary: Path) -> str:
    try:
        _, text = await answer([str(binary), "-version"])
    except OSError as error:
        raise ConfigError(f"FFMPEG_BINARY={binary}: cannot be run ({error.strerror})") from error
    if not text.startswith(VERSION_LINE):
        raise ConfigError(f"FFMPEG_BINARY={binary}: is not FFmpeg")
    return text.removeprefix(VERSION_LINE).split(" ", 1)[0]
