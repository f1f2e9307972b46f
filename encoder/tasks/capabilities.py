"""Capabilities of this machine: codecs, tried with a tiny encode; FFmpeg; GPU. For GetCapabilities and `doctor`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog

from encoder.captions.font_files import bundled_files, font_files
from encoder.codecs import AUTO
from encoder.codecs.base import X264, Codec, CodecChoice, Query
from encoder.codecs.card import Card
from encoder.codecs.nvenc import driver
from encoder.codecs.nvenc.codec import Nvenc
from encoder.codecs.nvenc.request import Parameters
from encoder.codecs.nvenc.worker_client import WorkerClient
from encoder.config import WAIT, EncoderSettings
from encoder.ffmpeg import ahead
from encoder.ffmpeg.process import Ffmpeg, bundled_binary
from encoder.ffmpeg.process import query as query_binary
from encoder.sandbox.sandboxes import AUTO as AUTO_SANDBOX
from encoder.sandbox.sandboxes import SANDBOXES, ProcessLimits, Sandbox
from servicekit.backoff import Backoff
from servicekit.config import ConfigError
from servicekit.tasks import cancel_and_wait, log_and_continue

log = structlog.get_logger("encoder")

VERSION = version("api-gpu")
VERSION_LINE = "ffmpeg version "
BY_SETTING = "it is what CODEC says"
MAX_RETRY_SECONDS = 600.0


@dataclass
class CodecState:
    """A codec, and why it did not work here when it was last tried; "" when it did."""

    codec: Codec
    tried: str

    @property
    def fault(self) -> str:
        """Why it does not work now: a card that is lost later is tried by each task anew."""
        return self.tried or self.codec.fault

    @property
    def is_to_be_tried(self) -> bool:
        """True while it did not work when it was last tried, or its hardware does not decode although it is set to."""
        return bool(self.tried or self.codec.decode_fault)


@dataclass(frozen=True)
class Capabilities:
    """The codecs and the FFmpeg of this machine."""

    ffmpeg: Ffmpeg
    ffmpeg_version: str
    codecs: tuple[CodecState, ...]

    def codec_choices(self, name: str) -> tuple[CodecChoice, ...]:
        """Return the codecs of the setting CODEC, in the order in which a task tries them. Raises ConfigError when none
        works, saying why."""
        if name != AUTO:
            state = next(state for state in self.codecs if state.codec.name == name)
            if state.tried:
                raise ConfigError(f"CODEC={name}: does not work on this machine ({state.tried})")
            named = [CodecChoice(codec, codec.device or BY_SETTING) for codec in _with_fallbacks(state.codec)]
            others = [other.codec for other in self.codecs if other is not state and not other.tried]
            return *named, *(CodecChoice(codec, BY_SETTING, for_sizes=True) for codec in others if not codec.device)
        faults = [f"{state.codec.name} does not work here: {state.tried}" for state in self.codecs if state.tried]
        working = [state.codec for state in self.codecs if not state.tried]
        if not working:
            raise ConfigError(f"CODEC={name}: no codec works on this machine ({'; '.join(faults)})")
        in_order = [codec for best in working for codec in _with_fallbacks(best)]
        return tuple(CodecChoice(codec, codec.device or "; ".join(faults)) for codec in in_order)

    @property
    def cards(self) -> list[Card]:
        """The cards that codecs run on, those too that are of no use."""
        return [card for state in self.codecs for card in state.codec.cards]


def _with_fallbacks(codec: Codec) -> Iterator[Codec]:
    """Yield the codec, then what is simpler."""
    simpler: Codec | None = codec
    while simpler is not None:
        yield simpler
        simpler = simpler.simpler


@contextlib.asynccontextmanager
async def detect(settings: EncoderSettings) -> AsyncIterator[Capabilities]:
    """Detect what works here; the codecs are closed when the block is left. Raises ConfigError when FFmpeg cannot be
    run, or not in the sandbox that is set."""
    binary = (settings.ffmpeg_binary or bundled_binary()).resolve()
    ffmpeg_version = await _ffmpeg_version(binary)
    ffmpeg = Ffmpeg(binary, await _sandbox(binary, settings))
    ffmpeg = replace(ffmpeg, starts_ahead=await ahead.works(ffmpeg))
    async with contextlib.AsyncExitStack() as stack:
        states = []
        for codec in _codecs(settings):
            stack.push_async_callback(codec.close)
            states.append(CodecState(codec, await codec.find_fault(ffmpeg.query)))
        backoff = Backoff(settings.codec_retry_seconds, max(settings.codec_retry_seconds, MAX_RETRY_SECONDS))
        trying = asyncio.create_task(_try_again(states, ffmpeg.query, backoff))
        stack.push_async_callback(cancel_and_wait, trying)
        yield Capabilities(ffmpeg, ffmpeg_version, tuple(states))


async def _try_again(states: Sequence[CodecState], query: Query, backoff: Backoff) -> None:
    """Try what did not work, with growing pauses: other programs give sessions back, and decoding may fail in a
    task."""
    failures = 0
    while True:
        failures = failures + 1 if any(state.is_to_be_tried for state in states) else 0
        await asyncio.sleep(backoff.pause_seconds(failures))
        for state in [state for state in states if state.is_to_be_tried]:
            with log_and_continue("cannot try a codec", codec=state.codec.name):
                fault = await state.codec.find_fault(query)
                if not state.tried:  # it was decoding that failed; a card that is lost since is each task's affair
                    continue
                state.tried = fault
                if not fault:
                    log.info("a codec works now", codec=state.codec.name, device=state.codec.device)


async def _sandbox(binary: Path, settings: EncoderSettings) -> Sandbox:
    """Return the sandbox that is set, or the first that works. Raises ConfigError."""
    limits = ProcessLimits.for_task(settings.max_task_seconds, settings.max_memory_bytes, settings.max_result_bytes)
    names = list(SANDBOXES) if settings.sandbox == AUTO_SANDBOX else [settings.sandbox]
    faults: list[str] = []
    for name in names:
        try:
            sandbox = SANDBOXES[name](limits)
            code, text = await Ffmpeg(binary, sandbox).query(["-version"])
        except OSError as error:
            code, text = 1, str(error)
        if code == 0:
            if faults and name == "none":
                log.warning("FFmpeg runs without a sandbox: it can read what the encoder can", faults=faults)
            return sandbox
        faults.append(f"{name}: {(text.strip().splitlines() or ['it ends with ' + str(code)])[-1]}")
    raise ConfigError(f"SANDBOX={settings.sandbox}: does not work on this machine ({'; '.join(faults)})")


def _codecs(settings: EncoderSettings) -> tuple[Codec, ...]:
    """Return the codecs by the settings, in the order of CODECS."""
    worker = WorkerClient(nvenc_parameters(settings))
    nvenc = Nvenc(worker, waits=settings.nvenc_at_limit == WAIT, decodes=settings.nvdec)
    return nvenc, X264(settings.x264_preset, settings.crf)


def nvenc_parameters(settings: EncoderSettings) -> Parameters:
    """Return how NVENC is to encode."""
    return Parameters(
        format=settings.nvenc_format,
        preset=settings.nvenc_preset,
        cq=settings.nvenc_cq,
        b_frames=settings.nvenc_b_frames,
        lookahead=settings.nvenc_lookahead,
    )


async def _ffmpeg_version(binary: Path) -> str:
    try:
        _, text = await query_binary([str(binary), "-version"])
    except OSError as error:
        raise ConfigError(f"FFMPEG_BINARY={binary}: cannot be run ({error.strerror})") from error
    if not text.startswith(VERSION_LINE):
        raise ConfigError(f"FFMPEG_BINARY={binary}: is not FFmpeg")
    return text.removeprefix(VERSION_LINE).split(" ", 1)[0]


async def report(settings: EncoderSettings) -> dict[str, Any]:
    """Return the report of `doctor` as plain values. Raises ConfigError."""
    async with detect(settings) as detected:
        return {
            "version": VERSION,
            "ffmpeg": {"path": str(detected.ffmpeg.binary), "version": detected.ffmpeg_version},
            "sandbox": detected.ffmpeg.sandbox.name,
            "codecs": [
                {"name": s.codec.name, "format": s.codec.format, "works": not s.fault, "reason": s.fault}
                for s in detected.codecs
            ],
            "gpu": {
                "driver": driver.versions() or driver.find_fault(),
                "cards": [
                    {"name": card.name, "formats": list(card.formats), "works": not card.fault, "reason": card.fault}
                    for card in detected.cards
                ],
                "nvdec": _decoding(detected.cards, is_wanted=settings.nvdec),
            },
            "fonts": [path.name for path in font_files(settings.fonts_dir) + bundled_files()],
            "work_dir": str(settings.work_dir.resolve()),
            "output_dir": str((settings.output_dir or settings.work_dir).resolve()),
        }


def _decoding(cards: Sequence[Card], *, is_wanted: bool) -> dict[str, Any]:
    """Return whether cards decode the inputs too, and why not."""
    faults = [f"{card.name}: {card.decode_fault}" for card in cards if card.decode_fault]
    reason = "; ".join(faults) if is_wanted else "NVDEC is not set"
    if not reason and not any(card.decodes for card in cards):
        reason = "no card encodes, and inputs are decoded on a card that encodes alone"
    return {"works": not reason, "reason": reason}
