"""The planner of one task, as the encoder sees it: asks the process that plans, and tells what its end means."""

import asyncio
import contextlib
import errno
import math
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import TypeVar

import structlog
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import probe_pb2, story_pb2, video_pb2
from encoder.codecs.base import Codec
from encoder.ffmpeg.command import ExtraFile, FfmpegRun
from encoder.ffmpeg.process import KILL_SECONDS
from encoder.media.facts import MAX_FACTS
from encoder.media.info import Range, Source
from encoder.planning.processes import PlanningProcess, ProcessSource
from encoder.planning.protocol import (
    LENGTH,
    FileData,
    PlanData,
    PlannerReply,
    PlannerRequest,
    PlanRequest,
    check_length,
    pack,
)
from encoder.planning.runs import BadReply, check_name, from_data
from encoder.sandbox.sandboxes import ProcessLimits, SandboxAccess
from servicekit.codec import from_json
from servicekit.composing import MAX_COMPOSED
from servicekit.errors import InvalidArgument, ServiceError, Unavailable, from_status
from servicekit.playback import playback_fault

log = structlog.get_logger("encoder")

T = TypeVar("T")

GIB = 1024**3
MAX_WARNINGS, MAX_FIELDS = 1000, 64
MAX_NAME_CHARS, MAX_TEXT_CHARS = 200, 1000
# The tasks of a story of as many pieces as it may have, and bytes of them all.
MAX_FURTHER, MAX_FURTHER_BYTES = 1010, 1024 * 1024
# Ranges of one input.
MAX_WANTED = 256
# A hundred tracks.
MAX_REPORT_BYTES = 64 * 1024
SIGNALLED = 128

TOO_COMPLEX = "INPUT_TOO_COMPLEX"
TOO_LONG = "reading it takes more processor time than the encoder gives it ({} s); give a simpler or smaller file."
TOO_LARGE = "reading it takes more memory than the encoder gives it ({} MiB); give a simpler or smaller file."
CRASHED = "the file is damaged in a way that what reads it does not survive; send it again, or convert it first."
UNTRUE = "what reads it told of it what cannot be, as of a file that was made to deceive; convert it first."
KILLED = "What plans the task was killed on the encoder, likely for lack of memory; try again."


@dataclass(frozen=True)
class PlanningLimits:
    """What planning of one task may take: seconds of processor time, more for each GiB of inputs, and bytes of memory.

    Far more than honest files take: an hour of video without an index is counted in a few seconds.
    """

    cpu_seconds: int = 60
    cpu_seconds_per_gib: int = 60
    memory_bytes: int = 2 * GIB

    def cpu_seconds_for(self, sources: Mapping[str, Source]) -> int:
        """Return the seconds of processor time for these inputs, each file counted once."""
        size = sum(path.stat().st_size for path in {source.path for source in sources.values()})
        return self.cpu_seconds + self.cpu_seconds_per_gib * size // GIB


USUAL_LIMITS = PlanningLimits()


@dataclass(frozen=True)
class PlannedTask:
    """What a plan makes: see Plan. A run that can only be made after those before it is None."""

    runs: tuple[FfmpegRun | None, ...]
    field: str
    codec: str
    duration_seconds: float
    frames_total: int
    warnings: tuple[video_pb2.Warning, ...]
    streamable: bool
    content_type: str
    files: tuple[ExtraFile, ...]
    further: tuple[encoder_pb2.FurtherTask, ...] = ()
    scenes: tuple[story_pb2.SceneSpan, ...] = ()
    size: tuple[int, int] = (0, 0)
    reports: bool = False
    progress: tuple[int, ...] = ()
    finishes: bool = False
    inputs: tuple[probe_pb2.MediaFacts, ...] = ()
    wanted: tuple[tuple[str, tuple[Range, ...]], ...] = ()

    def frames_before(self, run: int) -> int | None:
        """Return how many frames are done before a run; None for one whose frames are no progress."""
        if not self.progress:
            return 0 if run == len(self.runs) - 1 else None
        return self.progress[run] if self.progress[run] >= 0 else None

    def frames_of(self, run: int) -> int:
        """Return how many frames a run makes; 0 where that is not known."""
        before = self.frames_before(run)
        if before is None:
            return 0
        later = (done for done in self.progress[run + 1 :] if done >= 0)
        return next(later, self.frames_total) - before

    def prepares(self, run: int) -> bool:
        """Return True for a run that is before those that make the frames."""
        return run < len(self.runs) - 1 and self.frames_before(run) is None

    @property
    def may_be_checked_early(self) -> bool:
        """True for results that are as they stay once the last run has written them."""
        return self.has_result and not self.finishes

    @property
    def has_result(self) -> bool:
        """False for a task that answers with further tasks, or with a report, alone."""
        return bool(self.content_type)


@dataclass
class Planner:
    """Plans one task in a process of its own. Raises ServiceError: what is wrong with the request or its inputs;
    InvalidArgument for an input that meets a limit (INPUT_TOO_COMPLEX), or after which the process replies what cannot
    be (BAD_INPUT); Unavailable when the process is lost."""

    process: PlanningProcess
    source: ProcessSource
    planning: PlanningLimits
    limits: ProcessLimits
    folder: Path
    result: Path
    fields: tuple[str, ...] = ()
    reading: str = ""
    cpu_seconds: int = 0
    # Processor time that the process has used, as it tells.
    used_seconds: float = 0.0

    async def plan(
        self,
        task: encoder_pb2.Task,
        sources: Mapping[str, Source],
        codec: Codec,
        threads: int,
        lanes: int = 1,
        *,
        asks: int = 0,
    ) -> PlannedTask:
        """Return the plan of a task, an operation or a part of one, whose inputs lie in the folder. It can be planned
        again, for another codec. It may ask for more of the inputs where `asks` is more than 0."""
        self.fields, self.reading = tuple(sources), ""
        self.cpu_seconds = min(self.planning.cpu_seconds_for(sources), self.limits.cpu_seconds)
        request = PlanRequest(
            operation=task.operation.SerializeToString(),
            inputs={field: source.path.name for field, source in sources.items()},
            folder=str(self.folder),
            result=str(self.result),
            codec=codec.name,
            threads=threads,
            cpu_seconds=self.cpu_seconds,
            charsets={field: source.charset for field, source in sources.items() if source.charset},
            part=task.part,
            workers=task.workers,
            lanes=lanes,
            is_watched=task.is_watched,
            plan_only=task.plan_only,
            composes=task.composes,
            asks=asks,
            outlines=tuple(field for field, source in sources.items() if source.is_outline),
        )
        with self._replies():
            plan = _given((await self._ask(PlannerRequest(plan=request))).plan)
            planned = _planned_task(plan, codec, self.folder)
            _check_wanted(planned, sources, asks)
        self.source.prepare_fonts(plan.font_tiers)
        return planned

    async def run(self, number: int, codec: Codec) -> FfmpegRun | None:
        """Return a run of the plan that depends on those before it, which have been; None where it is not needed."""
        with self._replies():
            reply = await self._ask(PlannerRequest(run=number))
            return None if reply.needless else from_data(_given(reply.run), codec, self.folder)

    async def check(self) -> encoder_pb2.Summary:
        """Finish the results, and return what players show of the first one: frames, length, size; or what is told in
        place of a result."""
        with self._replies():
            reply = _given((await self._ask(PlannerRequest(check=True))).summary)
            return self._checked(encoder_pb2.Summary.FromString(reply))

    def _checked(self, reply: encoder_pb2.Summary) -> encoder_pb2.Summary:
        if reply.media.ByteSize() > MAX_REPORT_BYTES:
            raise BadReply("a report is larger than one can be")
        return encoder_pb2.Summary(
            frames=reply.frames,
            duration_seconds=reply.duration_seconds,
            width=reply.width,
            height=reply.height,
            media=reply.media if reply.HasField("media") else None,
            playback=self._checked_playback(reply),
            index_bytes=self._checked_index(reply),
            composed=self._checked_ranges(reply),
            frames_copied=reply.frames_copied,
            whole_reason=reply.whole_reason[:MAX_TEXT_CHARS],
        )

    def _checked_playback(self, reply: encoder_pb2.Summary) -> encoder_pb2.Playback | None:
        if not reply.HasField("playback"):
            return None
        size_bytes = self.result.stat().st_size if self.result.is_file() else 0
        if fault := playback_fault(reply.playback, size_bytes):
            raise BadReply(f"a result cannot play so: {fault}")
        return reply.playback

    def _checked_index(self, reply: encoder_pb2.Summary) -> int:
        if reply.index_bytes and not (self.result.is_file() and reply.index_bytes <= self.result.stat().st_size):
            raise BadReply("an index is larger than its result")
        return reply.index_bytes

    def _checked_ranges(self, reply: encoder_pb2.Summary) -> Sequence[encoder_pb2.ComposedRange]:
        if len(reply.composed) > MAX_COMPOSED:
            raise BadReply("a result is composed of more ranges than one can be")
        return reply.composed

    async def close(self) -> bool:
        """Kill the process; True once it is gone, False when it does not go. That takes some milliseconds of a core,
        which whoever waits for the results should not wait for."""
        self.process.channel.close()
        self.process.kill()
        await asyncio.wait([self.process.ended], timeout=KILL_SECONDS)
        return self.process.ended.done()

    async def _ask(self, request: PlannerRequest) -> PlannerReply:
        try:
            await asyncio.get_running_loop().sock_sendall(self.process.channel, pack(request))
            while (reply := await self._receive()).reading is not None:
                self.reading = reply.reading
        except (OSError, EOFError) as error:
            raise await self._lost() from error
        self.used_seconds = reply.cpu_seconds
        if reply.out_of_memory:
            raise self._blame(TOO_LARGE.format(self.limits.memory_bytes >> 20), TOO_COMPLEX)
        if reply.status is not None:
            raise _bounded(from_status(status_pb2.Status.FromString(reply.status)))
        if reply.is_disk_full:  # whose meaning is known to the folder of the task
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if reply.traceback is not None:
            raise RuntimeError(f"planning failed:\n{reply.traceback}")
        return reply

    async def _receive(self) -> PlannerReply:
        length = check_length(await self._read(LENGTH.size))
        return from_json(PlannerReply, await self._read(length))

    async def _read(self, size: int) -> bytes:
        loop, data = asyncio.get_running_loop(), bytearray()
        while len(data) < size:
            part = await loop.sock_recv(self.process.channel, size - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    @contextlib.contextmanager
    def _replies(self) -> Iterator[None]:
        """Blame the input that was read last for a reply that cannot be: its file may have the process under its
        command."""
        try:
            yield
        except (ValueError, DecodeError) as error:
            log.exception("a planning process replied what cannot be", reading=self.reading)
            raise self._blame(UNTRUE, "BAD_INPUT") from error

    async def _lost(self) -> ServiceError:
        """Return the error of a process whose channel is closed, by how it ended."""
        await asyncio.wait([self.process.ended], timeout=KILL_SECONDS)
        code = self.process.ended.result() if self.process.ended.done() else -signal.SIGKILL
        # Bubblewrap reports a signal as a shell does.
        number = -code if code < 0 else code - SIGNALLED
        log.warning("planning process lost", return_code=code, reading=self.reading)
        if number == signal.SIGXCPU:
            return self._blame(TOO_LONG.format(self.cpu_seconds), TOO_COMPLEX)
        if number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS):
            return self._blame(CRASHED, "BAD_INPUT")
        return Unavailable(KILLED, reason="KILLED")

    def _blame(self, text: str, reason: str) -> InvalidArgument:
        """Return the error of the input that was being read."""
        if self.reading in self.fields:
            return InvalidArgument.field(self.reading, text, reason=reason)
        return InvalidArgument(text[0].upper() + text[1:], reason=reason)


def _bounded(error: ServiceError) -> ServiceError:
    """Return an error of the process with no more text than a caller can be sent."""
    fields = {name[:MAX_NAME_CHARS]: text[:MAX_TEXT_CHARS] for name, text in islice(error.fields.items(), MAX_FIELDS)}
    metadata = {
        name[:MAX_NAME_CHARS]: text[:MAX_NAME_CHARS] for name, text in islice(error.metadata.items(), MAX_FIELDS)
    }
    return type(error)(error.message[:MAX_TEXT_CHARS], reason=error.reason[:64], fields=fields, metadata=metadata)


def _given(value: T | None) -> T:
    if value is None:
        raise BadReply("a reply lacks what was asked for")
    return value


def _planned_task(data: PlanData, codec: Codec, folder: Path) -> PlannedTask:
    planned = PlannedTask(
        runs=(None,) * len(data.runs),
        field=data.field,
        codec=data.codec,
        duration_seconds=data.duration_seconds,
        frames_total=data.frames_total,
        warnings=tuple(video_pb2.Warning.FromString(warning) for warning in data.warnings[:MAX_WARNINGS]),
        streamable=data.streamable,
        content_type=data.content_type,
        files=tuple(map(_file, data.files)),
        further=tuple(encoder_pb2.FurtherTask.FromString(task) for task in _checked_further(data)),
        scenes=tuple(story_pb2.SceneSpan.FromString(scene) for scene in data.scenes[:MAX_FURTHER]),
        size=data.size,
        reports=data.reports,
        progress=_checked_progress(data),
        finishes=data.finishes,
        inputs=tuple(map(_facts, data.inputs[:MAX_FACTS])),
        wanted=data.wanted,
    )
    suited = [codec.for_frames(planned.frames_of(run) or data.frames_total) for run in range(len(data.runs))]
    runs = zip(data.runs, suited, strict=True)
    return replace(planned, runs=tuple(from_data(run, one, folder) if run is not None else None for run, one in runs))


def _check_wanted(plan: PlannedTask, sources: Mapping[str, Source], asks: int) -> None:
    if plan.wanted and not asks:
        raise BadReply("a plan asks for more than it may")
    for name, ranges in plan.wanted:
        if name not in sources:
            raise BadReply("a plan asks for more of what is no input")
        edges = [edge for found in ranges for edge in found]
        is_rising = all(one < other for one, other in pairwise([-1, *edges]))
        if len(ranges) > MAX_WANTED or not is_rising or max(edges, default=0) > sources[name].path.stat().st_size:
            raise BadReply("a plan asks for ranges that cannot be")


def _facts(data: bytes) -> probe_pb2.MediaFacts:
    found = probe_pb2.MediaFacts.FromString(data)
    if max(len(found.field), len(found.codec)) > MAX_NAME_CHARS or not 0 <= found.duration < math.inf:
        raise BadReply("what it tells of an input cannot be")
    return found


def _checked_progress(data: PlanData) -> tuple[int, ...]:
    if data.progress and len(data.progress) != len(data.runs):
        raise BadReply("a plan has progress of other runs than its own")
    return data.progress


def _checked_further(data: PlanData) -> tuple[bytes, ...]:
    if len(data.further) > MAX_FURTHER or sum(map(len, data.further)) > MAX_FURTHER_BYTES:
        raise BadReply("a plan has more further tasks than an operation can have")
    if not (data.content_type or data.further or data.reports):
        raise BadReply("a plan has neither a result nor further tasks")
    return data.further


def _file(data: FileData) -> ExtraFile:
    return ExtraFile(check_name(data.name), data.content_type)


async def open_planner(
    source: ProcessSource, planning: PlanningLimits, base: ProcessLimits, folder: Path, result: Path
) -> Planner:
    """Return a planner for a task; it must be closed. No limit of its process is above `base`."""
    limits = replace(base, memory_bytes=min(planning.memory_bytes, base.memory_bytes))
    process = await source.open(limits, SandboxAccess((folder, result.parent), ()))
    return Planner(process, source, planning, limits, folder, result)
