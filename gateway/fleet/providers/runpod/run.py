"""Follow one run at RunPod to its end, and parse what its worker reports."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from google.protobuf import json_format

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.store import StoredAsset
from gateway.fleet.providers.runpod.client import MAX_TEXT, RunpodClient, RunState, RunStatus
from gateway.workers.base import EncodeJob, EncoderBusy, EncoderLost, Events, Outcome, is_without_result
from gateway.workers.faults import reported
from gateway.workers.tickets import AttemptTicket
from servicekit.chunks import BESIDE_FURTHER
from servicekit.errors import CLASSES, CODES, DataLoss, DeadlineExceeded, Internal, NotFound, ServiceError

log = structlog.get_logger("gateway.fleet.runpod")


@dataclass(frozen=True, slots=True)
class RunTimeouts:
    """Limits and poll intervals, seconds. A worker may take `max_seconds` for one task; a task that no worker took in
    `queue_seconds` is taken back. Polls of a status begin at `first_poll_seconds`, after every change anew."""

    max_seconds: float
    queue_seconds: float = 900.0
    first_poll_seconds: float = 0.1
    max_poll_seconds: float = 2.0
    poll_growth: float = 1.5
    health_seconds: float = 2.0
    # A task that has waited for `shortage_seconds` may wait for a card: whether one is in stock is asked, and again
    # each `stock_seconds`.
    shortage_seconds: float = 5.0
    stock_seconds: float = 60.0

    @property
    def life_seconds(self) -> float:
        """How long a run, and the links that it was given, may be of use."""
        return self.queue_seconds + self.max_seconds + 60.0


@dataclass
class RunpodRun:
    """The run of a ticket. `poll_until_done` raises what base.Encoder.run raises.

    `find_results` returns the results that were put; `is_starting` is True if a run in the queue will soon have a
    worker; `shortage` says why it will not.
    """

    job: EncodeJob
    ticket: AttemptTicket
    client: RunpodClient
    events: Events
    timeouts: RunTimeouts
    find_results: Callable[[AttemptTicket], Awaitable[Sequence[StoredAsset]]]
    is_starting: Callable[[], Awaitable[bool]]
    shortage: Callable[[], Awaitable[str]]
    _last: RunStatus | None = None
    _is_started: bool = False
    _is_working: bool = False
    _queued_at: float = field(default_factory=time.monotonic)
    _progress: encoder_pb2.EncodeProgress | None = None

    async def poll_until_done(self) -> Outcome:
        """Return the outcome. While RunPod does not answer nothing is lost: the worker goes on, and so do the polls."""
        pause_seconds = self.timeouts.first_poll_seconds
        while True:
            try:
                status = await self.client.status(self.ticket.run_id)
            except NotFound:
                return await self._expired()
            except ServiceError as error:
                log.warning("RunPod status poll failed", run=self.ticket.run_id, error=error.message)
                self._check_queue_time()
            else:
                if outcome := await self._handle(status):
                    return outcome
                if status != self._last:
                    self._last, pause_seconds = status, self.timeouts.first_poll_seconds
            await asyncio.sleep(pause_seconds * random.uniform(0.8, 1.0))
            pause_seconds = min(pause_seconds * self.timeouts.poll_growth, self.timeouts.max_poll_seconds)

    async def _handle(self, status: RunStatus) -> Outcome | None:
        """Report a status; return the outcome of a completed run, raise that of a failed one."""
        match status.state:
            case RunState.IN_QUEUE:
                await self._queued()
            case RunState.IN_PROGRESS:
                await self._working(status)
            case RunState.UNKNOWN:
                log.warning("unknown state of a RunPod run", run=self.ticket.run_id)
                self._check_queue_time()
            case RunState.COMPLETED:
                await self._started()
                return await self._done(status)
            case _:
                await self._failed(status)
        return None

    async def _queued(self) -> None:
        if self._last is not None and self._last.state is not RunState.IN_QUEUE:  # its worker died; RunPod tries again
            self._queued_at, self._is_working = time.monotonic(), False
        self._check_queue_time()
        is_starting = await self.is_starting()
        has_waited = time.monotonic() > self._queued_at + self.timeouts.shortage_seconds
        if has_waited and (reason := await self.shortage()):
            await self.events.waiting(is_starting=False, reason=reason)
        else:
            await self.events.waiting(is_starting=is_starting)

    def _check_queue_time(self) -> None:
        """Raise EncoderBusy for a run that no worker took in time."""
        if not self._is_working and time.monotonic() > self._queued_at + self.timeouts.queue_seconds:
            raise EncoderBusy(f"No worker of RunPod took the task for {self.timeouts.queue_seconds:g} s.")

    async def _working(self, status: RunStatus) -> None:
        self._is_working = True
        await self._started()
        latest = parse_progress(status.output)
        if latest is not None and latest != self._progress:
            self._progress = latest
            await self.events.progress(latest)

    async def _started(self) -> None:
        if not self._is_started:
            self._is_started = True
            await self.events.started()

    async def _done(self, status: RunStatus) -> Outcome:
        results = await self.find_results(self.ticket)
        summary = parse_summary(status.output)
        if not results and not is_without_result(summary):
            raise DataLoss("The worker reported success, but its result was not put.", reason="NO_RESULT")
        return checked_outcome(summary, results)

    async def _expired(self) -> Outcome:
        """Return the outcome of a run that RunPod has dropped: its result may have been put all the same."""
        results = await self.find_results(self.ticket)
        await self._started()
        if not is_complete(results):
            raise EncoderLost("RunPod has dropped the run, and its result was not put.")
        return bare_outcome(results)

    async def _failed(self, status: RunStatus) -> None:
        """Raise the error of a run that has no result."""
        if status.state is RunState.TIMED_OUT and not self._is_started and not status.execution_seconds:
            raise EncoderBusy("No worker of RunPod took the task before it expired.")
        await self._started()
        if status.state is RunState.TIMED_OUT:
            text = "The task took longer than RUNPOD_MAX_TIMEOUT allows; give it less to do."
            raise DeadlineExceeded(text, reason="TASK_TIMEOUT")
        if status.state is RunState.CANCELLED:
            raise EncoderLost("The run was cancelled at RunPod, by somebody else.")
        error = parse_fault(status.error)
        if error is None:
            raise EncoderLost(f"The worker at RunPod failed: {status.error[:MAX_TEXT] or 'it gave no reason'}")
        raise reported(error, "The worker at RunPod", self.job.inputs, is_queue=True)


def parse_summary(output: Any) -> encoder_pb2.Summary:
    """Return the summary in a worker's output. Raises DataLoss if there is none."""
    try:
        return json_format.ParseDict(_object(output), encoder_pb2.RemoteResult(), ignore_unknown_fields=True).summary
    except (json_format.ParseError, TypeError) as error:
        raise DataLoss("The worker's output is not the summary of a result.", reason="NO_SUMMARY") from error


def is_complete(results: Sequence[StoredAsset]) -> bool:
    """Return True for results that are all of an outcome. One beside further tasks is not: they are in the summary."""
    return bool(results) and results[0].content_type != BESIDE_FURTHER


def checked_outcome(made: encoder_pb2.Summary, results: Sequence[StoredAsset]) -> Outcome:
    """Return the outcome of a task whose results were put by link. Raises DataLoss if the summary is not that of these
    results."""
    if is_without_result(made) and not results:
        return Outcome(made)
    announced = [(made.size_bytes, made.sha256), *((file.size_bytes, file.sha256) for file in made.files)]
    if announced != [(asset.size_bytes, asset.sha256) for asset in results]:
        raise DataLoss("The result that was put is not the one that the worker reports.", reason="DIGEST_MISMATCH")
    return _outcome(made, results)


def bare_outcome(results: Sequence[StoredAsset]) -> Outcome:
    """Return the outcome of a task of which only the results are left."""
    first, *others = results
    summary = encoder_pb2.Summary(
        size_bytes=first.size_bytes,
        sha256=first.sha256,
        content_type=first.content_type,
        files=[
            encoder_pb2.ResultFile(
                name=file.filename, content_type=file.content_type, size_bytes=file.size_bytes, sha256=file.sha256
            )
            for file in others
        ],
    )
    return _outcome(summary, results)


def _outcome(summary: encoder_pb2.Summary, results: Sequence[StoredAsset]) -> Outcome:
    return Outcome(summary, results[0].id, tuple(asset.id for asset in results[1:]))


def parse_progress(output: Any) -> encoder_pb2.EncodeProgress | None:
    """Parse the progress in a worker's output; None if it is something else."""
    try:
        return json_format.ParseDict(_object(output), encoder_pb2.EncodeProgress(), ignore_unknown_fields=True)
    except (json_format.ParseError, TypeError):
        return None


def parse_fault(error: str) -> ServiceError | None:
    """Parse the error that our worker wrote; None for any other text."""
    try:
        found = json_format.Parse(error, encoder_pb2.RemoteFault(), ignore_unknown_fields=True)
    except (json_format.ParseError, RecursionError):
        return None
    if found.code not in CODES or not found.code:
        return None
    kind = CLASSES.get(CODES[found.code], Internal)
    return kind(found.message, reason=found.reason, fields=dict(found.fields))


def _object(output: Any) -> dict[str, Any]:
    """Return an output that is an object. Raises TypeError: letters of a text would pass for fields."""
    if not isinstance(output, dict):
        raise TypeError(type(output).__name__)
    return output
