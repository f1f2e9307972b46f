"""NVDEC, the decoder of NVIDIA's cards, as FFmpeg uses it: tried by decoding a clip in the sandbox that tasks have, and
used on the cards where that went well."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from encoder.codecs.base import Query
from encoder.codecs.nvenc import driver
from encoder.ffmpeg.command import FfmpegRun
from encoder.sandbox.sandboxes import SandboxAccess

log = structlog.get_logger("encoder")

# Ten frames of H.264 with B-frames, 256×144, and the MD5 of their pictures in NV12: decoding is exact by its standard.
CLIP = Path(__file__).with_name("clip.h264")
CLIP_MD5 = "e7123648eb53a36b84a67aadd56ad1ec"
# An FFmpeg pays half a second and more to open the driver, which a card gives back in more frames only: for H.264 in
# 1080p in 60 where it stands beside one core, in 130 beside two, in 270 beside four (an H200; docs/guides/nvenc.md).
FEWEST_FRAMES = 150
ON_CARD = ("-hwaccel_output_format", "cuda")
DOWNLOADED = ("-vf", "hwdownload,format=nv12", "-f", "md5", "-")

NO_LIBRARY = (
    "the driver's decoder is not here (libnvcuvid.so.1 is not found); in a container set "
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
)
SHUT_OUT = (
    "the driver does not start in the sandbox of FFmpeg, which refuses it something that it needs; set NVDEC=false, "
    "and send the report of `make gpu-check`, which tells what"
)
WRONG = "what the card decodes differs from what it should; update the driver, and set NVDEC=false meanwhile"
NO_PROC = "bubblewrap may not mount /proc here, which the driver needs; set SANDBOX=landlock"
NO_H264 = "this card decodes no H.264; set NVDEC=false"
TOO_LONG = "the card decoded nothing within half a minute; see dmesg, and restart the machine if it stays so"
FAILED = "decoding failed in a task; it is tried again shortly"
UNKNOWN = "FFmpeg failed to decode on the card ({}); see that the driver works: nvidia-smi"

TABLE = {
    r"bwrap: .*proc": NO_PROC,
    r"libnvcuvid|[Ff]ailed loading nvcuvid": NO_LIBRARY,
    r"CUDA_ERROR_OPERATING_SYSTEM|libcuda\.so|dynamically load CUDA": SHUT_OUT,
    r"CUDA_ERROR_OUT_OF_MEMORY": driver.OUT_OF_MEMORY,
    r"CUDA_ERROR_(NO_DEVICE|INVALID_DEVICE)": driver.NOT_VALID,
    r"[Ll]acking required capabilities|CUDA_ERROR_NOT_SUPPORTED|not supported by this device": NO_H264,
    driver.LOST_PATTERN: driver.LOST,
}
"""Pattern in FFmpeg's messages to what it means; the first that is found counts."""


def hwaccel(gpu: int) -> tuple[str, ...]:
    """Return the options of the first input that have a card decode it, and bring all frames to memory; what the card
    cannot decode FFmpeg decodes itself, in mid-file too.

    With `auto` FFmpeg takes the decoder that it takes without a card, and the card where that one can use it. With
    `cuda` it would take the first decoder that can: for AV1 one that has no software, and fails on most cards. So AV1
    is decoded by libdav1d. Source: choose_decoder in fftools/ffmpeg_demux.c."""
    return ("-init_hw_device", f"cuda=card:{gpu}", "-hwaccel", "auto", "-hwaccel_device", "card")


@dataclass
class Nvdec:
    """Decoding on the cards. `faults` tells by the number of a card why it does not decode; "" once it was seen to. The
    last trial was by `query`."""

    faults: dict[int, str] = field(default_factory=dict)
    query: Query | None = None

    @property
    def is_used(self) -> bool:
        """True where some card decodes."""
        return any(not fault for fault in self.faults.values())

    @property
    def fault(self) -> str:
        """Why not every card decodes that was tried; "" where all do."""
        return "; ".join(sorted({fault for fault in self.faults.values() if fault}))

    def is_used_on(self, gpu: int) -> bool:
        """Return True where this card decodes."""
        return self.faults.get(gpu) == ""

    def decoding_on(self, gpu: int, run: FfmpegRun) -> FfmpegRun:
        """Return a run that decodes its first input on a card; the same run where that card does not decode."""
        if not self.is_used_on(gpu):
            return run
        return replace(run, arguments=(*hwaccel(gpu), *run.arguments), devices=driver.devices())

    async def report_failure(self, gpu: int) -> None:
        """Decode the clip on a card that failed in a task: a card that does it is used as before, as the file may be at
        fault; no task is decoded there meanwhile."""
        is_first, self.faults[gpu] = self.is_used_on(gpu), FAILED
        log.warning("decoding on a card failed in a task", card=gpu)
        if is_first and self.query is not None:
            await self._try_on(gpu, self.query)

    async def try_on(self, cards: Sequence[int], query: Query) -> None:
        """Decode the clip on each of these cards that was not seen to decode yet."""
        self.query = query
        await asyncio.gather(*(self._try_on(gpu, query) for gpu in cards if not self.is_used_on(gpu)))

    async def _try_on(self, gpu: int, query: Query) -> None:
        fault = await find_fault(gpu, query)
        if fault:
            log.warning("a card does not decode; inputs are decoded in software", card=gpu, error=fault)
        else:
            log.info("a card decodes inputs", card=gpu)
        self.faults[gpu] = fault


async def find_fault(gpu: int, query: Query) -> str:
    """Return why a card does not decode the clip in the sandbox of `query`; "" when it does."""
    try:
        code, text = await decode_clip(gpu, query)
    except TimeoutError:
        return TOO_LONG
    except OSError as error:
        return UNKNOWN.format(error.strerror or error)
    if code == 0:
        return "" if f"MD5={CLIP_MD5}" in text else WRONG
    return explain(text, code)


async def decode_clip(gpu: int, query: Query) -> tuple[int, str]:
    """Decode the clip on a card; return what FFmpeg returns and says. Raises OSError, TimeoutError among them."""
    words = ["-nostdin", "-v", "error", *hwaccel(gpu), *ON_CARD, "-i", str(CLIP), *DOWNLOADED]
    return await query(words, SandboxAccess((), (CLIP,), driver.devices()))


def explain(text: str, code: int) -> str:
    """Return what the messages of an FFmpeg mean that could not decode the clip."""
    meanings = (meaning for pattern, meaning in TABLE.items() if re.search(pattern, text))
    return next(meanings, UNKNOWN.format((text.strip().splitlines() or [f"it ended with {code}"])[0]))
