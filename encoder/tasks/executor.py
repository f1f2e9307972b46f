"""TaskExecutor: takes a task from its inputs on disk to its result on disk, for whoever brings tasks: the gRPC service,
or a provider's queue."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from apigpu.encoder.v1 import encoder_pb2
from encoder.codecs.base import X264, CodecChoice, CodecFault, SizeFault
from encoder.config import EncoderSettings
from encoder.ffmpeg.ahead import StartedAhead
from encoder.ffmpeg.command import COPY
from encoder.ffmpeg.process import FfmpegProcess
from encoder.media.info import Range, Source
from encoder.planning.planner import USUAL_LIMITS, PlannedTask, Planner, PlanningLimits, open_planner
from encoder.planning.processes import ProcessSource, process_source
from encoder.planning.protocol import PlanningSettings
from encoder.sandbox.sandboxes import Sandbox
from encoder.tasks import capabilities, inputs
from encoder.tasks.capabilities import Capabilities
from encoder.tasks.finishing import finish_checked
from encoder.tasks.kept import KeptFiles
from encoder.tasks.metrics import count_result, counted
from encoder.tasks.play_order import PlayTurn
from encoder.tasks.readiness import Readiness
from encoder.tasks.results import ResultStream
from encoder.tasks.slots import Slots
from encoder.tasks.task_log import TaskFacts, logged
from encoder.tasks.workspace import TaskFolder, Workspace
from servicekit import tracing
from servicekit.chunks import MAX_ASKS
from servicekit.errors import FailedPrecondition, InvalidArgument, ServiceError, Unavailable
from servicekit.tasks import run_to_completion
from servicekit.tasks import running as going_on

log = structlog.get_logger("encoder")

# Operations that have no FFmpeg, or have it read what is written to it.
NOT_AHEAD = ("probe", "img2vid")
COPIED = "the video need not be encoded"

Report = Callable[[encoder_pb2.EncodeProgress], Awaitable[None]]
Ask = Callable[[str, Sequence[Range]], Awaitable[None]]
"""Has ranges of the input of a field come, which lie in its file then. Raises ServiceError."""


@dataclass(frozen=True)
class Reservation:
    """What a task has of the encoder: a folder of its own, a process that plans it, its place among those that wait for
    each other, an FFmpeg that was started ahead; and what is told of its end."""

    folder: TaskFolder
    planner: Planner
    facts: TaskFacts
    place: PlayTurn
    ahead: StartedAhead | None = None


@dataclass(frozen=True)
class Work:
    """A task whose inputs have arrived, by field, what it has of the encoder, who is told of its progress, what sends
    its results, and how more of an input is asked for, where it can be."""

    task: encoder_pb2.Task
    sources: Mapping[str, Source]
    reservation: Reservation
    report: Report
    stream: ResultStream
    ask: Ask | None = None
    started_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class TaskExecutor:
    """Runs tasks, each with a slot and a folder of its own, by the first of several codecs that works."""

    settings: EncoderSettings
    capabilities: Capabilities
    workspace: Workspace
    slots: Slots
    processes: ProcessSource
    planning: PlanningLimits
    # None where FFmpeg is not started ahead.
    readiness: Readiness | None = None
    kept: KeptFiles = field(default_factory=KeptFiles)

    @property
    def codecs(self) -> tuple[CodecChoice, ...]:
        """The codecs that a task tries now, in this order."""
        return self.capabilities.codec_choices(self.settings.codec)

    @contextlib.asynccontextmanager
    async def reserve(self, task: encoder_pb2.Task) -> AsyncIterator[Reservation]:
        """Hold a slot, a folder and a planner for a task. Raises ServiceError for a task that is refused."""
        if task.operation.WhichOneof("kind") is None and not task.part:
            text = "The task has no operation, or one that this encoder does not know."
            raise InvalidArgument(text, reason="UNKNOWN_OPERATION")
        fields = [field for item in task.inputs for field in (item.field, *item.also)]
        if len(set(fields)) != len(fields):
            raise InvalidArgument("The task names a field twice in `inputs`.")
        with self.slots.hold(), self.slots.play_queue.hold(task) as place, logged(task) as facts:
            for item in task.inputs:
                inputs.check_size(item.field, item.size_bytes, self.settings.max_input_bytes)
            async with self._folder(task) as (folder, ahead), self._planner(folder) as planner:
                yield Reservation(folder, planner, facts, place, ahead)

    @contextlib.asynccontextmanager
    async def _planner(self, folder: TaskFolder) -> AsyncIterator[Planner]:
        planner = await open_planner(
            self.processes, self.planning, self.capabilities.ffmpeg.sandbox.limits, folder.path, folder.result
        )
        try:
            yield planner
        finally:
            if not await run_to_completion(planner.close()):
                self.slots.take_out(planner.process.ended)

    @contextlib.asynccontextmanager
    async def _folder(self, task: encoder_pb2.Task) -> AsyncIterator[tuple[TaskFolder, StartedAhead | None]]:
        """Return the folder of a task, and an FFmpeg that waits in it where the task is likely to have it encode."""
        if self.readiness is not None:
            async with self.readiness.task_folder(encodes=_reads_by_ffmpeg(task)) as (folder, ahead):
                yield folder, ahead
        else:
            async with self.workspace.task_folder() as folder:
                yield folder, None

    async def run(self, work: Work) -> encoder_pb2.Summary:
        """Do the work, and send the results out; they lie in the folder then. Raises ServiceError, also when part of a
        result is out; leaves nothing running when it is cancelled."""
        facts = work.reservation.facts
        facts.note_inputs(work.sources.values())
        work.reservation.place.has_inputs = True
        with counted(work.task):
            try:
                summary = await self._run_with_any(work)
            except ServiceError as error:
                error.log = facts.ffmpeg_log
                raise
        count_result(work.task, summary)
        facts.note_result(summary)
        # Of what went well without a warning it says what nobody needs: of holes in the parts of a film, as a rule.
        summary.log = facts.ffmpeg_log if summary.warnings else ""
        return summary

    async def _run_with_any(self, work: Work) -> encoder_pb2.Summary:
        current, *others = self._codecs_for(work.task)
        while True:
            try:
                return await self._run_with(current, work)
            except CodecFault as error:
                others = _fitting(others, current, error)
                if not others or work.stream.checksum.size_bytes:
                    raise _final(error) from error
                log.warning("codec failed; falling back", error=error.message, codec=others[0].codec.name)
                kept = [source.path for source in work.sources.values()]
                await asyncio.to_thread(work.reservation.folder.clear, kept)
                current, *others = CodecChoice(others[0].codec, error.message), *others[1:]

    def _codecs_for(self, task: encoder_pb2.Task) -> Sequence[CodecChoice]:
        """Return the codecs that a task may try; of one that must be made with a certain codec only that. Raises
        Unavailable where it does not work here."""
        choices = [choice for choice in self.codecs if task.codec in ("", choice.codec.name)]
        if not choices:
            text = (
                f"The codec '{task.codec}', which this task must be made with, does not work here; try another encoder."
            )
            raise Unavailable(text, reason="CODEC_MISSING")
        return choices

    async def _run_with(self, choice: CodecChoice, work: Work) -> encoder_pb2.Summary:
        planner, stream = work.reservation.planner, work.stream
        task = work.task
        began = time.monotonic()
        with tracing.span("plan", codec=choice.codec.name) as note:
            plan = await self._plan(choice, work)
            note(runs=len(plan.runs), frames=plan.frames_total, cpu_seconds=planner.used_seconds)
        work.reservation.facts.note_plan(time.monotonic() - began, planner.used_seconds)
        self._check_length(plan)
        if any(plan.size) and (error := choice.codec.size_error(*plan.size)):
            raise SizeFault(f"{choice.codec.name}: {error}.", reason="SIZE_UNSUPPORTED")
        if task.plan_only:
            return _planned(plan)
        access, ahead = work.reservation.folder.access, work.reservation.ahead
        checked: encoder_pb2.Summary | None = None
        for number, planned in enumerate(plan.runs):
            run = planned or await planner.run(number, choice.codec.for_frames(plan.frames_of(number)))
            if run is None or await self.kept.restore(run, work.sources, access.writable[0]):
                continue
            await work.reservation.place.turn(to_prepare=plan.prepares(number))
            with tracing.span("ffmpeg", run=number + 1, runs=len(plan.runs), codec=plan.codec):
                async with self.capabilities.ffmpeg.start(run, access, self.slots.take_out, ahead) as running:
                    try:
                        await self._follow(running, number, plan, work)
                        is_checked = number == len(plan.runs) - 1 and plan.may_be_checked_early
                        checked = await finish_checked(running, self._checked(planner) if is_checked else None)
                    finally:
                        work.reservation.facts.note_messages(running.messages)
            await self.kept.keep(run, work.sources, access.writable[0])
        work.reservation.place.encoded()
        summary = await self._check_and_send(plan, work, checked)
        if plan.further:  # of what is to come
            summary.duration_seconds, summary.frames = plan.duration_seconds, plan.frames_total
        reason = COPIED if plan.codec == COPY else choice.reason
        summary.MergeFrom(
            encoder_pb2.Summary(
                size_bytes=stream.checksum.size_bytes,
                sha256=stream.checksum.sha256 if plan.has_result else "",
                content_type=plan.content_type,
                codec=plan.codec,
                codec_reason=reason if plan.codec else "",
                warnings=plan.warnings,
                files=stream.files,
                further=plan.further,
                scenes=plan.scenes,
                inputs=plan.inputs,
            )
        )
        return summary

    async def _plan(self, choice: CodecChoice, work: Work) -> PlannedTask:
        """Return the plan of a task whose inputs are there then, as far as it needs them."""
        asks = MAX_ASKS if work.ask is not None else 0
        while True:
            given = (work.task, work.sources, choice.codec, self.slots.threads, self.slots.lanes)
            plan = await work.reservation.planner.plan(*given, asks=asks)
            for name, ranges in plan.wanted:
                assert work.ask is not None
                with tracing.span("ask for more of an input", ranges=len(ranges)):
                    await work.ask(name, ranges)
            if plan.runs or not plan.wanted:
                return plan
            asks -= 1

    async def _check_and_send(
        self, plan: PlannedTask, work: Work, checked: encoder_pb2.Summary | None
    ) -> encoder_pb2.Summary:
        """Return what the results are, once they are `checked`, unless they are already, and sent: side by side, where
        checking leaves them as they are. Who gets them keeps nothing of a task that fails."""
        planner, summary = work.reservation.planner, checked or encoder_pb2.Summary()
        if plan.finishes:
            summary = await self._checked(planner)
        async with going_on(self._send_results(plan, work)) as sending:
            if checked is None and not plan.finishes and (plan.has_result or plan.reports):
                summary = await self._checked(planner)
            summary.encode_seconds = time.monotonic() - work.started_at
            await sending
        return summary

    async def _checked(self, planner: Planner) -> encoder_pb2.Summary:
        with tracing.span("check results"):
            return await planner.check()

    async def _send_results(self, plan: PlannedTask, work: Work) -> None:
        stream, result = work.stream, work.reservation.folder.result
        with tracing.span("send results"):
            if plan.has_result:
                await stream.pump(result)
            for file in plan.files:
                await stream.send_file(file, file.path(result))

    async def _follow(self, running: FfmpegProcess, number: int, plan: PlannedTask, work: Work) -> None:
        """Tell of the progress of a run until all is written, and send what there is of the result."""
        stream, folder = work.stream, work.reservation.folder
        async for progress in running.progress():
            folder.check_room()
            if number == len(plan.runs) - 1 and plan.streamable and stream.is_live:
                await stream.pump(folder.result)
            if (before := plan.frames_before(number)) is not None:
                await work.report(_complete(progress, before, plan.frames_total))

    def _check_length(self, plan: PlannedTask) -> None:
        most = self.settings.max_duration_seconds
        # Written so that NaN is refused.
        if not plan.duration_seconds <= most:
            text = f"the result would last {plan.duration_seconds:.0f} s; {most:.0f} s are the most."
            raise FailedPrecondition(f"{plan.field}: {text}", reason="TOO_LONG", fields={plan.field: text})


def _reads_by_ffmpeg(task: encoder_pb2.Task) -> bool:
    """Return True for a task whose first run most likely reads the inputs itself, so that it can be started ahead."""
    is_planned = task.plan_only or any(item.is_outline for item in task.inputs)
    return not is_planned and task.operation.WhichOneof("kind") not in NOT_AHEAD


def _planned(plan: PlannedTask) -> encoder_pb2.Summary:
    """Return what a plan knows, of a task that is not carried out."""
    return encoder_pb2.Summary(
        content_type=plan.content_type,
        codec=plan.codec,
        frames=plan.frames_total,
        duration_seconds=plan.duration_seconds,
        width=plan.size[0],
        height=plan.size[1],
        warnings=plan.warnings,
        further=plan.further,
        scenes=plan.scenes,
    )


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


def _complete(progress: encoder_pb2.EncodeProgress, before: int, frames_total: int) -> encoder_pb2.EncodeProgress:
    """Return the progress of a run, `before` which so many frames were done, with the seconds that are left at the
    present rate; `frames_total` is 0 while not known."""
    progress.frames_done += before
    progress.frames_total = frames_total
    if frames_total and progress.fps > 0:
        progress.seconds_left = max(frames_total - progress.frames_done, 0) / progress.fps
    return progress


@contextlib.asynccontextmanager
async def open_executor(
    settings: EncoderSettings,
    planning: PlanningLimits = USUAL_LIMITS,
    make_source: Callable[[PlanningSettings, Sandbox], ProcessSource] = process_source,
) -> AsyncIterator[TaskExecutor]:
    """Open an executor until the block is left; `make_source` makes what starts the processes that plan. Raises
    ConfigError."""
    output_dir = settings.output_dir or settings.work_dir
    workspace = Workspace(settings.work_dir.resolve(), output_dir.resolve(), settings.min_free_bytes)
    with workspace.lock():
        async with capabilities.detect(settings) as detected:
            detected.codec_choices(settings.codec)  # which raises where none works
            processes = make_source(_planning_settings(settings), detected.ffmpeg.sandbox)
            async with contextlib.aclosing(processes):
                await processes.start()
                detected = replace(detected, ffmpeg=replace(detected.ffmpeg, launch=processes.launch))
                slots = Slots(settings.batch_size)
                async with _readiness(settings, detected, workspace, slots) as readiness:
                    yield TaskExecutor(settings, detected, workspace, slots, processes, planning, readiness)


@contextlib.asynccontextmanager
async def _readiness(
    settings: EncoderSettings, detected: Capabilities, workspace: Workspace, slots: Slots
) -> AsyncIterator[Readiness | None]:
    """Keep folder and FFmpeg ready for the next task, where FFmpeg encodes and can be started ahead."""
    encodes = detected.codec_choices(settings.codec)[0].codec.name == X264.name
    if not encodes or not detected.ffmpeg.starts_ahead or workspace.output_dir != workspace.work_dir:
        yield None
        return
    readiness = Readiness(workspace, detected.ffmpeg, slots)
    async with going_on(readiness.keep()):
        yield readiness


def _planning_settings(settings: EncoderSettings) -> PlanningSettings:
    fonts_dir = str(settings.fonts_dir.resolve()) if settings.fonts_dir else ""
    work_dir = str(settings.work_dir.resolve())
    nvenc = capabilities.nvenc_parameters(settings)
    return PlanningSettings(settings.x264_preset, settings.crf, nvenc, fonts_dir, work_dir)
