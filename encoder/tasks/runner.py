"""Runner: takes a task from its inputs on disk to its result on disk."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from encoder.captions.fonts import FontLibrary
from encoder.codecs.base import Codec, CodecChoice, CodecFault
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import Ffmpeg
from encoder.media.info import Source
from encoder.operations import OPERATIONS
from encoder.operations.plan import COPY, Plan, PlanContext
from encoder.tasks.results import ResultStream, TaskProgress, TaskResult, check_results
from encoder.tasks.workspace import TaskFolder
from servicekit.errors import FailedPrecondition, Unimplemented

log = structlog.get_logger("encoder")

COPIED = "the video need not be encoded"


@dataclass(frozen=True)
class Work:
    """An operation by name, its request message, its inputs, where it may write, and the threads to keep busy."""

    operation: str
    request: Any
    sources: Mapping[str, Source]
    folder: TaskFolder
    threads: int


ReportProgress = Callable[[TaskProgress], Awaitable[None]]


@dataclass(frozen=True)
class Runner:
    """Runs operations with one FFmpeg, and the first of several codecs that works."""

    ffmpeg: Ffmpeg
    codecs: tuple[CodecChoice, ...]
    fonts: FontLibrary
    max_duration_seconds: float

    async def run(self, work: Work, report: ReportProgress, stream: ResultStream) -> TaskResult:
        """Do the work, and send the result out. Raises ServiceError, also when part of the result is out; leaves
        nothing running when it is cancelled."""
        started_at = time.monotonic()
        current, *others = self.codecs
        while True:
            try:
                return await self._run_with(current, work, started_at, report, stream)
            except CodecFault as error:
                if not others or stream.checksum.size_bytes:
                    raise
                log.warning("codec failed; falling back", error=error.message, codec=others[0].codec.name)
                await asyncio.to_thread(work.folder.clear, [source.path for source in work.sources.values()])
                current, *others = CodecChoice(others[0].codec, error.message), *others[1:]

    async def _run_with(
        self, choice: CodecChoice, work: Work, started_at: float, report: ReportProgress, stream: ResultStream
    ) -> TaskResult:
        plan = await asyncio.to_thread(self._plan, work, choice.codec)
        for number, planned in enumerate(plan.runs, 1):
            run = planned if isinstance(planned, FfmpegRun) else await asyncio.to_thread(planned)
            async with self.ffmpeg.start(run, work.folder.sandbox_access) as running:
                async for progress in running.progress():
                    if number == len(plan.runs):
                        if plan.streamable and stream.is_live:
                            await stream.pump(work.folder.result)
                        await report(TaskProgress(progress.frames_done, plan.frames_total, progress.fps))
                await running.finish()
        reason = choice.reason if plan.codec != COPY else COPIED
        result = await asyncio.to_thread(_finish, work.folder.result, plan, reason, started_at)
        await stream.pump(work.folder.result)
        for file in plan.files:
            await stream.send_file(file.name, file.content_type, file.path(work.folder.result))
        return result

    def _plan(self, work: Work, codec: Codec) -> Plan:
        name, folder = work.operation, work.folder
        if name not in OPERATIONS:
            raise Unimplemented(f"This encoder does not know the operation '{name}'; it knows {', '.join(OPERATIONS)}.")
        context = PlanContext(work.sources, folder.path, str(folder.result), codec, work.threads, self.fonts)
        plan = OPERATIONS[name](work.request, context)
        if plan.duration_seconds > self.max_duration_seconds:
            text = (
                f"the result would last {plan.duration_seconds:.0f} s; {self.max_duration_seconds:.0f} s are the most."
            )
            raise FailedPrecondition(f"{plan.field}: {text}", reason="TOO_LONG", fields={plan.field: text})
        return plan


def _finish(path: Path, plan: Plan, codec_reason: str, started_at: float) -> TaskResult:
    if plan.finish is not None:
        plan.finish(path)
    measures = check_results(plan, path)
    seconds = time.monotonic() - started_at
    reason = codec_reason if plan.codec else ""
    return TaskResult(plan.codec, reason, plan.content_type, measures, seconds, plan.warnings)
