"""The seam between the queue and whatever encodes: run one task, inputs in, progress and result out."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from gateway.sources import Source
from rpc.errors import ServiceError, Unavailable

Opened = AbstractAsyncContextManager[Source]
OnProgress = Callable[[encoder_pb2.EncodeProgress], Awaitable[None]]
OnChunk = Callable[[bytes], Awaitable[None]]


class EncoderLost(Unavailable):
    """The encoder took the task and went away in the middle of it; the try counts."""


class EncoderBusy(Unavailable):
    """The encoder did not take the task: not reachable, no slot, shutting down. The try does not count."""


@dataclass(frozen=True)
class Input:
    """An input of a task: its field, and how to open its source when its turn comes."""

    field: str
    open: Callable[[], Opened]


@dataclass(frozen=True)
class EncodeJob:
    """One task as an encoder sees it."""

    id: str
    operation: video_pb2.Operation
    inputs: Sequence[Input]


class InputFailed(Exception):
    """An input could not be read; `error` says why and names the field."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error


class Encoder(Protocol):
    """One encoder."""

    name: str

    async def run(
        self, job: EncodeJob, on_start: Callable[[], Awaitable[None]], on_progress: OnProgress, on_chunk: OnChunk
    ) -> encoder_pb2.Summary:
        """Run a task to its end. `on_start` is called when the encoder has taken it, `on_chunk` for the result.

        Cancelling ends it on the encoder. Raises EncoderBusy, EncoderLost, InputFailed, or the ServiceError that
        the encoder gave.
        """
