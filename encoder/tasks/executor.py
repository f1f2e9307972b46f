"""TaskExecutor: takes a task from its inputs on disk to its result on disk, for whoever brings tasks: the gRPC service,
or a provider's queue."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.captions.fonts import FontLibrary
from encoder.codecs.base import Codec, CodecChoice, CodecFault, SizeFault
from encoder.config import EncoderSettings
from encoder.ffmpeg.command import FfmpegRun
from encoder.media.info import Source
from encoder.operations import OPERATIONS
from encoder.operations.plan import COPY, Plan, PlanContext, check_options
from encoder.sandbox.sandboxes import SandboxAccess
from encoder.tasks import capabilities, inputs
from encoder.tasks.capabilities import Capabilities
from encoder.tasks.results import ResultStream, check_results
from encoder.tasks.workspace import TaskFolder, Workspace
from servicekit.errors import (
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    ServiceError,
    Unavailable,
    Unimplemented,
)

log = structlog.get_logger("encoder")

COPIED = "the video need not be encoded"

Report = Callable[[encoder_pb2.EncodeProgress], Awaitable[None]]


@dataclass
class Slots:
    """Counts running tasks. A task without a slot is refused at once: the gateway queues, not the encoder."""

    total: int
    busy: int = 0
    is_closed: bool = False

    def close(self) -> None:
        """Take no more tasks: the encoder is shutting down."""
        self.is_closed = True

    @property
    def offered(self) -> int:
        """The slots that gateways may count on: none once closed."""
        return 0 if self.is_closed else self.total

    @property
    def threads(self) -> int:
        """x264 threads for the next task: 1.5 × cores / running tasks (x264's own default is 1.5 × cores)."""
        cores = len(os.sched_getaffinity(0))
        return max(1, round(1.5 * cores / max(self.busy, 1)))

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold a slot. Raises ResourceExhausted (reason NO_FREE_SLOT), or Unavailable once closed."""
        if self.is_closed:
            raise Unavailable("The encoder is shutting down; send the task to another.", reason="DRAINING")
        if self.busy >= self.total:
            text = f"All {self.total} slots are busy; try another encoder."
            raise ResourceExhausted(text, reason="NO_FREE_SLOT")
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1


@dataclass(frozen=True)
class Work:
    """A task whose inputs have arrived: its operation, its inputs by field, where it may write, who is told of its
    progress, and what sends its results."""

    operation: video_pb2.Operation
    sources: Mapping[str, Source]
    folder: TaskFolder
    report: Report
    stream: ResultStream
    started_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class TaskExecutor:
    """Runs tasks, each with a slot and a folder of its own, by the first of several codecs that works."""

    settings: EncoderSettings
    capabilities: Capabilities
    codecs: tuple[CodecChoice, ...]
    workspace: Workspace
    slots: Slots
    fonts: FontLibrary

    @contextlib.asynccontextmanager
    async def reserve(self, task: encoder_pb2.Task) -> AsyncIterator[TaskFolder]:
        """Hold a slot and a folder for a task. Raises ServiceError for a task that is refused."""
        if task.operation.WhichOneof("kind") is None:
            text = "The task has no operation, or one that this encoder does not know."
            raise InvalidArgument(text, reason="UNKNOWN_OPERATION")
        fields = [field for item in task.inputs for field in (item.field, *item.also)]
        if len(set(fields)) != len(fields):
            raise InvalidArgument("The task names a field twice in `inputs`.")
        with self.slots.hold():
            for item in task.inputs:
                inputs.check_size(item.field, item.size_bytes, self.settings.max_input_bytes)
            async with self.workspace.task_folder() as folder:
                yield folder

    async def run(self, work: Work) -> encoder_pb2.Summary:
        """Do the work, and send the results out; they lie in the folder then. Raises ServiceError, also when part of a
        result is out; leaves nothing running when it is cancelled."""
        current, *others = self.codecs
        while True:
            try:
                return await self._run_with(current, work)
            except CodecFault as error:
                others = _fitting(others, current, error)
                if not others or work.stream.checksum.size_bytes:
                    raise _final(error) from error
                log.warning("codec failed; falling back", error=error.message, codec=others[0].codec.name)
                await asyncio.to_thread(work.folder.clear, [source.path for source in work.sources.values()])
                current, *others = CodecChoice(others[0].codec, error.message), *others[1:]

    async def _run_with(self, choice: CodecChoice, work: Work) -> encoder_pb2.Summary:
        plan = await asyncio.to_thread(self._plan, work, choice.codec)
        stream, result = work.stream, work.folder.result
        access = SandboxAccess((work.folder.path, result.parent), ())
        for number, planned in enumerate(plan.runs, 1):
            run = planned if isinstance(planned, FfmpegRun) else await asyncio.to_thread(planned)
            async with self.capabilities.ffmpeg.start(run, access) as running:
                async for progress in running.progress():
                    work.folder.check_room()
                    if number == len(plan.runs):
                        if plan.streamable and stream.is_live:
                            await stream.pump(result)
                        await work.report(_complete(progress, plan.frames_total))
                await running.finish()
        if plan.finish is not None:
            await asyncio.to_thread(plan.finish, result)
        summary = await asyncio.to_thread(check_results, plan, result)
        summary.encode_seconds = time.monotonic() - work.started_at
        await stream.pump(result)
        for file in plan.files:
            await stream.send_file(file, file.path(result))
        reason = COPIED if plan.codec == COPY else choice.reason
        summary.MergeFrom(
            encoder_pb2.Summary(
                size_bytes=stream.checksum.size_bytes,
                sha256=stream.checksum.sha256,
                content_type=plan.content_type,
                codec=plan.codec,
                codec_reason=reason if plan.codec else "",
                warnings=plan.warnings,
                files=stream.files,
            )
        )
        return summary

    def _plan(self, work: Work, codec: Codec) -> Plan:
        name, folder = work.operation.WhichOneof("kind") or "", work.folder
        if name not in OPERATIONS:
            text = f"This encoder does not know the operation '{name}'; it knows {', '.join(OPERATIONS)}."
            raise Unimplemented(text, reason="UNKNOWN_OPERATION")
        context = PlanContext(work.sources, folder.path, str(folder.result), codec, self.slots.threads, self.fonts)
        request = getattr(work.operation, name)
        check_options(request)
        plan = OPERATIONS[name](request, context)
        most = self.settings.max_duration_seconds
        if plan.duration_seconds > most:
            text = f"the result would last {plan.duration_seconds:.0f} s; {most:.0f} s are the most."
            raise FailedPrecondition(f"{plan.field}: {text}", reason="TOO_LONG", fields={plan.field: text})
        return plan


def _fitting(others: Sequence[CodecChoice], failed: CodecChoice, error: CodecFault) -> list[CodecChoice]:
    """Return the choices that may do after a failed one: of a size that it does not make, those of other codecs."""
    if isinstance(error, SizeFault):
        return [choice for choice in others if choice.codec.name != failed.codec.name]
    return [choice for choice in others if not choice.for_sizes]


def _final(error: CodecFault) -> ServiceError:
    """Return the error of a task for which no codec is left: no other encoder makes a size that this one does not."""
    if isinstance(error, SizeFault):
        text = error.message.removeprefix("nvenc: ")
        return FailedPrecondition(f"No codec makes this size here: {text}", reason=error.reason)
    return error


def _complete(progress: encoder_pb2.EncodeProgress, frames_total: int) -> encoder_pb2.EncodeProgress:
    """Return the progress with the seconds that are left at the present rate; `frames_total` is 0 while not known."""
    progress.frames_total = frames_total
    if frames_total and progress.fps > 0:
        progress.seconds_left = max(frames_total - progress.frames_done, 0) / progress.fps
    return progress


@contextlib.asynccontextmanager
async def open_executor(settings: EncoderSettings) -> AsyncIterator[TaskExecutor]:
    """Open an executor until the block is left. Raises ConfigError."""
    output_dir = settings.output_dir or settings.work_dir
    workspace = Workspace(settings.work_dir.resolve(), output_dir.resolve(), settings.min_free_bytes)
    with workspace.lock():
        async with capabilities.detect(settings) as detected:
            codecs = detected.codec_choices(settings.codec)
            fonts = FontLibrary(settings.fonts_dir)
            yield TaskExecutor(settings, detected, codecs, workspace, Slots(settings.batch_size), fonts)
