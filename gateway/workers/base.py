"""The seam between the queue and whatever encodes: run one task, inputs in, progress and result out.

Two transports stand behind it. An encoder reached by gRPC is sent the inputs and sends the result back in chunks. One
behind a provider's queue fetches and puts both by link, so that its result is an asset already when the run ends.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from gateway.sources import Source
from servicekit.errors import InvalidArgument, ServiceError, Unavailable

Opened = AbstractAsyncContextManager[Source]


class EncoderLost(Unavailable):
    """The encoder took the task and went away in the middle of it; the try counts."""


class EncoderBusy(Unavailable):
    """The encoder did not take the task: not reachable, no slot, shutting down. The try does not count."""


class EncoderRefuses(EncoderBusy):
    """The encoder will take no task until somebody mends something: its key, its credit. The try does not count."""


@dataclass(frozen=True)
class Input:
    """An input of a task: the path of its field, the text that names its source, how to open it when its turn comes,
    and the paths of other fields with the same source."""

    field: str
    source: str
    open: Callable[[], Opened]
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class EncodeJob:
    """One task as an encoder sees it. `id` stays the same from try to try; `filename` is that of the result."""

    id: str
    operation: video_pb2.Operation
    inputs: Sequence[Input]
    filename: str = ""
    # Further results that it may have.
    max_files: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a task came to. `asset_id` is that of the result where it came by link, `file_ids` are those of the further
    results; else they came in chunks."""

    summary: encoder_pb2.Summary
    asset_id: str = ""
    file_ids: tuple[str, ...] = ()


class InputFailed(Exception):
    """An input could not be read; `error` says why and names the field."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error


class Events(Protocol):
    """The caller's side of a run: what happens to the task, in order. What it raises ends the run."""

    @property
    def is_leaving(self) -> bool:
        """Whether a run that is cancelled now is so because this gateway stops: another one will take the task up, so
        what can go on without a gateway may."""

    async def waiting(self, *, is_starting: bool) -> None:
        """The provider has the task and no worker works on it; `is_starting`: one is on its way. Told repeatedly."""

    async def started(self) -> None:
        """An encoder has taken the task. Told once."""

    async def progress(self, progress: encoder_pb2.EncodeProgress) -> None:
        """How far it is."""

    async def chunk(self, data: bytes) -> None:
        """The next bytes of the result, where it does not come by link."""

    async def file(self, name: str, content_type: str) -> None:
        """A further result begins: the next chunks are its. Raises DataLoss for more than the operation may have."""


class Encoder(Protocol):
    """One encoder, or all workers behind a provider's queue."""

    name: str

    async def capabilities(self) -> encoder_pb2.GetCapabilitiesResponse:
        """What it can do. Raises EncoderBusy when it does not answer."""

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        """Run a task to its end.

        Cancelling ends it on the encoder. Raises EncoderBusy, EncoderLost, InputFailed, or the ServiceError that
        the encoder gave.
        """

    async def release(self, task_id: str) -> None:
        """The outcome of the task is recorded: nothing need be kept by which it could be taken up again."""

    async def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class ResumableEncoder(Encoder, Protocol):
    """An encoder whose runs go on when their gateway ends, so that another gateway can resume them."""

    async def can_resume(self, task_id: str) -> bool:
        """Return True if an earlier gateway left a run of the task, or its result: `run` will take it up."""

    async def resumable_tasks(self) -> list[str]:
        """Return the keys of all tasks of which something may be left, runs that this gateway follows included."""

    async def abandon(self, task_id: str, result: str) -> None:
        """End what still runs for a task that has ended, and delete any result but `result` ("assets/…" or "")."""


def shown_name(field: str) -> str:
    """Return the name of an input's field for a caller: with its place in a list, else without what it is part of."""
    return field if "[" in field else field.rpartition(".")[2]


def about(field: str, error: ServiceError) -> ServiceError:
    """The same error with the field's name before its text."""
    name = shown_name(field)
    return type(error)(f"{name}: {error.message}", reason=error.reason, fields={name: error.message})


def empty() -> ServiceError:
    """The error of an input without a byte."""
    return InvalidArgument("the file is empty; check the link or upload it again")
