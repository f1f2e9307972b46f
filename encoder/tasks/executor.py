"""TaskExecutor: all that a task needs, for whoever brings tasks: the gRPC service, or a provider's queue."""

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

from apigpu.encoder.v1 import encoder_pb2
from encoder.captions.fonts import FontLibrary
from encoder.codecs.base import CodecChoice
from encoder.config import EncoderSettings
from encoder.media.info import Source
from encoder.tasks import capabilities, inputs
from encoder.tasks.capabilities import Capabilities
from encoder.tasks.results import ResultStream, TaskProgress
from encoder.tasks.runner import Runner, Work
from encoder.tasks.workspace import TaskFolder, Workspace
from servicekit.errors import InvalidArgument, ResourceExhausted, Unavailable

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
class TaskLimits:
    """The most that one task may take."""

    max_input_bytes: int
    max_duration_seconds: float
    max_task_seconds: float


@dataclass(frozen=True)
class TaskExecutor:
    """Runs tasks, each with a slot and a folder of its own."""

    runner: Runner
    workspace: Workspace
    slots: Slots
    limits: TaskLimits
    capabilities: Capabilities

    @property
    def preferred(self) -> CodecChoice:
        """The codec that tasks try first."""
        return self.runner.codecs[0]

    @contextlib.asynccontextmanager
    async def reserve(self, task: encoder_pb2.Task) -> AsyncIterator[TaskFolder]:
        """Hold a slot and a folder for a task. Raises ServiceError for a task that is refused."""
        if task.operation.WhichOneof("kind") is None:
            raise InvalidArgument("The task has no operation, or one that this encoder does not know.")
        fields = [field for item in task.inputs for field in (item.field, *item.also)]
        if len(set(fields)) != len(fields):
            raise InvalidArgument("The task names a field twice in `inputs`.")
        with self.slots.hold():
            inputs.check_announced_sizes(task.inputs, self.limits.max_input_bytes)
            async with self.workspace.task_folder() as folder:
                yield folder

    async def execute(
        self,
        task: encoder_pb2.Task,
        sources: Mapping[str, Source],
        folder: TaskFolder,
        report: Report,
        stream: ResultStream,
    ) -> encoder_pb2.Summary:
        """Run a task whose inputs have arrived; its result is then in `folder.result`, and was sent by the stream.
        Raises ServiceError."""

        async def report_progress(progress: TaskProgress) -> None:
            await report(progress.to_message())

        name = task.operation.WhichOneof("kind") or ""
        work = Work(name, getattr(task.operation, name), sources, folder, self.slots.threads)
        return (await self.runner.run(work, report_progress, stream)).to_summary(stream)


@contextlib.asynccontextmanager
async def open_executor(settings: EncoderSettings) -> AsyncIterator[TaskExecutor]:
    """Open an executor until the block is left. Raises ConfigError."""
    workspace = Workspace.of(settings.work_dir, settings.output_dir)
    with workspace.lock():
        async with capabilities.detect(settings) as detected:
            codecs = detected.codec_choices(settings.codec)
            fonts = FontLibrary(settings.fonts_dir)
            runner = Runner(detected.ffmpeg, codecs, fonts, settings.max_duration_seconds)
            limits = TaskLimits(settings.max_input_bytes, settings.max_duration_seconds, settings.max_task_seconds)
            yield TaskExecutor(runner, workspace, Slots(settings.batch_size), limits, detected)
