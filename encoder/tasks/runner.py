"""Runner: a task from its inputs on disk to its result on disk."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from encoder.captions.fonts import Library
from encoder.codecs.base import Candidate, Codec, CodecFault
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import Ffmpeg
from encoder.operations import OPERATIONS
from encoder.operations.plan import COPY, Plan, PlanContext, PlanWarning, Source
from encoder.tasks.result_check import Measures, check_results
from encoder.tasks.result_stream import ResultStream
from encoder.tasks.workspace import TaskFolder
from servicekit.errors import FailedPrecondition, Unimplemented

log = structlog.get_logger("encoder")

COPIED = "the video need not be encoded"


@dataclass(frozen=True)
class Step:
    """How far a run is; `frames_total` is 0 while not known."""

    frames_done: int
    frames_total: int
    fps: float

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end by the present rate; None while not known."""
        if not self.frames_total or self.fps <= 0:
            return None
        return max(self.frames_total - self.frames_done, 0) / self.fps


@dataclass(frozen=True)
class Result:
    """What a finished file really is, and what made its video and why that ("" where it is none)."""

    codec: str
    codec_reason: str
    content_type: str
    measures: Measures
    encode_seconds: float
    warnings: tuple[PlanWarning, ...]


@dataclass(frozen=True)
class Work:
    """An operation by name, its request message, its inputs, where it may write, and the threads to keep busy."""

    operation: str
    request: Any
    sources: Mapping[str, Source]
    place: TaskFolder
    threads: int


Report = Callable[[Step], Awaitable[None]]


@dataclass(frozen=True)
class Runner:
    """Runs operations with one FFmpeg, and the first codec of several that can."""

    ffmpeg: Ffmpeg
    codecs: tuple[Candidate, ...]
    fonts: Library
    max_duration_seconds: float

    async def run(self, work: Work, report: Report, outlet: ResultStream) -> Result:
        """Do the work, and send the result out. Raises ServiceError, also when part of the result is out; leaves
        nothing running when it is cancelled."""
        started = time.monotonic()
        first, *others = self.codecs
        while True:
            try:
                return await self._made(work, first, started, report, outlet)
            except CodecFault as error:
                if not others or outlet.tally.size_bytes:
                    raise
                log.warning("another codec takes over", reason=error.message, codec=others[0].codec.name)
                await asyncio.to_thread(work.place.clear, [source.path for source in work.sources.values()])
                first, *others = others[0].instead(error.message), *others[1:]

    async def _made(
        self, work: Work, candidate: Candidate, started: float, report: Report, outlet: ResultStream
    ) -> Result:
        plan = await asyncio.to_thread(self._plan, work, candidate.codec)
        for number, made in enumerate(plan.passes, 1):
            step = made if isinstance(made, FfmpegRun) else await asyncio.to_thread(made)
            async with self.ffmpeg.running(step, work.place.reach) as run:
                async for progress in run.progress():
                    if number == len(plan.passes):
                        if plan.flows and outlet.is_live:
                            await outlet.flow(work.place.result)
                        await report(Step(progress.frames_done, plan.frames_total, progress.fps))
                await run.finish()
        reason = candidate.reason if plan.codec != COPY else COPIED
        result = await asyncio.to_thread(_finished, work.place.result, plan, reason, started)
        await outlet.flow(work.place.result)
        for file in plan.files:
            await outlet.send_file(file, file.path(work.place.result))
        return result

    def _plan(self, work: Work, codec: Codec) -> Plan:
        name, place = work.operation, work.place
        if name not in OPERATIONS:
            raise Unimplemented(f"This encoder does not know the operation '{name}'; it knows {', '.join(OPERATIONS)}.")
        materials = PlanContext(work.sources, place.folder, str(place.result), codec, work.threads, self.fonts)
        plan = OPERATIONS[name](work.request, materials)
        if plan.duration_seconds > self.max_duration_seconds:
            text = (
                f"the result would last {plan.duration_seconds:.0f} s; {self.max_duration_seconds:.0f} s are the most."
            )
            raise FailedPrecondition(f"{plan.field}: {text}", reason="TOO_LONG", fields={plan.field: text})
        return plan


def _finished(path: Path, plan: Plan, reason: str, started: float) -> Result:
    if plan.finish is not None:
        plan.finish(path)
    measures = check_results(plan, path)
    seconds = time.monotonic() - started
    return Result(plan.codec, reason if plan.codec else "", plan.content_type, measures, seconds, plan.warnings)
