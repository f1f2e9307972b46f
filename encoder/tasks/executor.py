"""Workshop: all that a task needs, made once, for whoever brings tasks: the gRPC service, or a provider's queue."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from apigpu.encoder.v1 import encoder_pb2
from encoder.captions.fonts import Library
from encoder.codecs.base import Candidate
from encoder.config import EncoderSettings
from encoder.operations.plan import Source
from encoder.server import capabilities
from encoder.server.capabilities import Capabilities
from encoder.tasks import inputs, messages
from encoder.tasks.result_stream import ResultStream
from encoder.tasks.runner import Runner, Step, Work
from encoder.tasks.slots import Slots
from encoder.tasks.workspace import TaskFolder, Workspace
from servicekit.errors import InvalidArgument

Report = Callable[[encoder_pb2.EncodeProgress], Awaitable[None]]


@dataclass(frozen=True)
class TaskLimits:
    """What one task may cost."""

    max_input_bytes: int
    max_duration_seconds: float
    max_task_seconds: float


@dataclass(frozen=True)
class TaskExecutor:
    """What a task needs."""

    runner: Runner
    workspace: Workspace
    slots: Slots
    limits: TaskLimits
    capabilities: Capabilities

    @property
    def first(self) -> Candidate:
        """The codec that tasks try first."""
        return self.runner.codecs[0]

    @contextlib.asynccontextmanager
    async def place(self, task: encoder_pb2.Task) -> AsyncIterator[TaskFolder]:
        """A slot and a folder for a task, until the block is left. Raises ServiceError for a task that is not taken."""
        if task.operation.WhichOneof("kind") is None:
            raise InvalidArgument("The task has no operation, or one that this encoder does not know.")
        fields = [field for item in task.inputs for field in (item.field, *item.also)]
        if len(set(fields)) != len(fields):
            raise InvalidArgument("The task names a field twice in `inputs`.")
        with self.slots.taken():
            inputs.check_announced(task.inputs, self.limits.max_input_bytes)
            async with self.workspace.task() as place:
                yield place

    async def make(
        self,
        task: encoder_pb2.Task,
        sources: Mapping[str, Source],
        place: TaskFolder,
        report: Report,
        outlet: ResultStream,
    ) -> encoder_pb2.Summary:
        """Do a task whose inputs are there; its result is then in `place.result`, and went through the outlet. Raises
        ServiceError."""

        async def told(step: Step) -> None:
            await report(messages.progress(step))

        name = task.operation.WhichOneof("kind") or ""
        work = Work(name, getattr(task.operation, name), sources, place, self.slots.threads)
        return messages.summary(await self.runner.run(work, told, outlet), outlet)


@contextlib.asynccontextmanager
async def open_executor(settings: EncoderSettings) -> AsyncIterator[TaskExecutor]:
    """A workshop, until the block is left. Raises ConfigError."""
    workspace = Workspace(settings.work_dir, settings.output_dir)
    with workspace.opened():
        async with capabilities.found(settings) as found:
            candidates = found.candidates(settings.codec)
            runner = Runner(found.ffmpeg, candidates, Library(settings.fonts_dir), settings.max_duration_seconds)
            limits = TaskLimits(settings.max_input_bytes, settings.max_duration_seconds, settings.max_task_seconds)
            yield TaskExecutor(runner, workspace, Slots(settings.batch_size), limits, found)
