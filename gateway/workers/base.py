"""The interface to encoders: run one task, inputs in, progress and results out.

There are two transports. An encoder reached by gRPC is sent the inputs and sends the results back in chunks. A worker
behind a provider's queue fetches and puts both by link, so that its results are assets already when the run ends.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from gateway.callers import DEFAULT_TENANT
from gateway.sources import ByteRanges, Source
from gateway.sources.outline import MIN_BYTES
from servicekit import log_context, tracing
from servicekit.chunks import Data
from servicekit.errors import InvalidArgument, ServiceError, Unavailable

Opened = AbstractAsyncContextManager[Source]


class EncoderLost(Unavailable, reason="ENCODER_LOST"):
    """The encoder took the task and could not go on with it; the attempt counts. One that `is_unfit` would fail again:
    the task goes to another one, if there is another."""

    def __init__(self, message: str, *, is_unfit: bool = False, **details: Any) -> None:
        super().__init__(message, **details)
        self.is_unfit = is_unfit


class EncoderCutOff(EncoderLost):
    """The connection to the encoder broke in the middle of the task: the line failed, or the encoder ended."""


class EncoderBusy(Unavailable, reason="ENCODER_BUSY"):
    """The encoder did not take the task: not reachable, no slot, shutting down. The attempt does not count."""


class EncoderRefuses(EncoderBusy):
    """The encoder takes no task until somebody mends something: its key, its credit. The attempt does not count."""


@dataclass(frozen=True)
class More:
    """How more of an input is opened, of which the beginning comes: ranges that an encoder asks for; or the whole, for
    one that asks for nothing."""

    ranges: Callable[[ByteRanges], Opened]
    whole: Callable[[], Opened]


@dataclass(frozen=True)
class Input:
    """An input of a task: the path of its field, the text that names its source, how to open it when its turn comes,
    the paths of other fields with the same source, whether what is opened may be an outline, and from which size on;
    the ranges of the source that it is, where it is not the whole; how to open its index alone, where a result may be
    composed of it; where `open` leaves out its index, how to open it with that, for an encoder that does not know tasks
    with one of their own; the size of the source, where that is known without a look at it; and, where `open` opens
    the beginning of a large one, how more of it is opened."""

    field: str
    source: str
    open: Callable[[], Opened]
    also: tuple[str, ...] = ()
    is_outline: bool = False
    min_outline_bytes: int = MIN_BYTES
    ranges: ByteRanges | None = None
    open_index: Callable[[], Opened] | None = None
    open_indexed: Callable[[], Opened] | None = None
    size_bytes: int | None = None
    more: More | None = None

    @property
    def has_holes(self) -> bool:
        """True where what is opened may have holes."""
        return self.is_outline or self.ranges is not None or self.more is not None


@dataclass(frozen=True)
class EncodeJob:
    """One task as an encoder sees it. `id` is the same for every attempt; `filename` is that of the result. A further
    task is a `part` in place of an operation, and may have a `codec` that it must be made with."""

    id: str
    operation: video_pb2.Operation | None
    inputs: Sequence[Input]
    filename: str = ""
    # Further results that it may have.
    max_files: int = 0
    part: bytes = b""
    codec: str = ""
    # Whose inputs it may open, and whose its results are.
    tenant: str = DEFAULT_TENANT
    # It is planned, and not carried out; inputs may be missing.
    plan_only: bool = False
    # Machines that could work side by side, 0 where that is not known.
    workers: int = 0
    # The place of its job in a trace.
    traceparent: str = ""
    # Its job's result is watched while it is made.
    is_watched: bool = False
    # When its own result plays, of a film that is watched.
    play_order: encoder_pb2.PlayOrder | None = None
    # The versions of its sources, by their texts, as they were when they were opened for it; see sources/versions.py.
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def composes(self) -> bool:
        """True where the result may be composed of ranges of the inputs."""
        return any(entry.open_index is not None for entry in self.inputs)

    def message(self, small: Sequence[encoder_pb2.SmallInput] = (), *, composes: bool = False) -> encoder_pb2.Task:
        """Return the task as encoders are sent it, with its inputs if they are `small`; where its result `composes`,
        inputs may be no more than an index."""
        inputs = [
            encoder_pb2.Input(
                field=entry.field,
                also=entry.also,
                is_outline=entry.has_holes or (composes and entry.open_index is not None),
            )
            for entry in self.inputs
        ]
        ids = log_context.current()
        return encoder_pb2.Task(
            id=self.id,
            operation=self.operation,
            inputs=inputs,
            part=self.part,
            codec=self.codec,
            plan_only=self.plan_only,
            workers=self.workers,
            attempt=ids.get("attempt", ""),
            request_id=ids.get("request_id", ""),
            traceparent=tracing.traceparent(),
            is_watched=self.is_watched,
            play_order=self.play_order,
            composes=composes,
            small_inputs=small,
        )


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task. `asset_id` is that of the result if it was put by link, `file_ids` are those of further
    ones; else they came in chunks."""

    summary: encoder_pb2.Summary
    asset_id: str = ""
    file_ids: tuple[str, ...] = ()


class InputFailed(Exception):
    """An input could not be read; `error` says why and names the field."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error


class Events(Protocol):
    """Callbacks of a run, called in the order of what happens to the task. What they raise ends the run."""

    @property
    def is_shutting_down(self) -> bool:
        """True if a run that is cancelled now may go on without this gateway: it shuts down, and another resumes it."""

    async def waiting(self, *, is_starting: bool, reason: str = "") -> None:
        """Note, repeatedly, that the task waits for a worker; `is_starting`: one is starting; `reason` says why none
        is, where that is known."""

    async def started(self) -> None:
        """Note, once, that an encoder has taken the task."""

    async def progress(self, progress: encoder_pb2.EncodeProgress) -> None:
        """Note how far the task is."""

    async def chunk(self, data: Data) -> None:
        """Take the next bytes of the result, unless it is put by link. Who keeps them holds them against the digest
        that the summary tells."""

    async def file(self, name: str, content_type: str) -> None:
        """Begin a further result: the next chunks are its. Raises DataLoss for more than the operation may have."""


class Encoder(Protocol):
    """One encoder, or all workers behind a provider's queue."""

    name: str

    async def capabilities(self) -> encoder_pb2.GetCapabilitiesResponse:
        """Return its slots, codecs and operations. Raises EncoderBusy if it does not answer."""

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        """Run a task to its end. Canceling ends it on the encoder.

        Raises EncoderBusy, EncoderLost, InputFailed, or the encoder's own ServiceError.
        """

    async def release(self, task_id: str) -> None:
        """Drop what the task could be resumed by: its outcome is recorded."""

    async def until_ended(self, task_id: str) -> None:
        """Wait until the encoder has cleaned up behind a task whose result is here: its slot is free then."""

    async def close(self) -> None:
        """Close connections."""


@runtime_checkable
class ResumableEncoder(Encoder, Protocol):
    """An encoder whose runs go on when their gateway ends, so that another gateway can resume them."""

    async def can_resume(self, task_id: str) -> bool:
        """Return True if an earlier gateway left a run of the task, or its result: `run` will take it up."""

    async def resumable_tasks(self) -> list[str]:
        """Return the keys of all tasks of which something may be left, runs that this gateway follows included."""

    async def abandon(self, task_id: str, result: str) -> None:
        """End what still runs for a task that has ended, and delete any result but `result` ("assets/…" or "")."""


def is_without_result(summary: encoder_pb2.Summary) -> bool:
    """Return True for the summary of a task that answers with further tasks or a report, and has no file of its own."""
    return (bool(summary.further) or summary.HasField("media")) and not summary.size_bytes


def shown_name(field: str) -> str:
    """Return the name of an input's field for a caller: with its place in a list, else without what it is part of."""
    return field if "[" in field else field.rpartition(".")[2]


def about(field: str, error: ServiceError) -> ServiceError:
    """Return the error with the field's name before its text."""
    name = shown_name(field)
    return type(error)(f"{name}: {error.message}", reason=error.reason, fields={name: error.message})


def empty() -> ServiceError:
    """Return the error of an input without a byte."""
    return InvalidArgument("the file is empty; check the link or upload it again", reason="EMPTY_INPUT")
