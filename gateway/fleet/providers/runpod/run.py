"""One run at RunPod, followed to its end."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.store import StoredAsset
from gateway.fleet.providers.runpod import messages
from gateway.fleet.providers.runpod.client import RunpodClient, RunState, RunStatus
from gateway.workers.base import EncodeJob, EncoderBusy, EncoderLost, Events, InputFailed, Outcome, shown_name
from gateway.workers.tickets import AttemptTicket
from servicekit.errors import DataLoss, DeadlineExceeded, NotFound, ServiceError

log = structlog.get_logger("runpod")

MAX_TEXT = 300
# Reasons for which another worker, or another ticket, may do the task. The try counts: the worker is paid for.
ELSEWHERE = ("NO_FREE_SLOT", "BUSY", "DISK_FULL", "GONE", "LINK_EXPIRED", "OTHER_RESULT")


@dataclass(frozen=True, slots=True)
class RunTimeouts:
    """How long a run may wait for a worker, and the pauses between questions: short at first and after every news."""

    queue_seconds: float
    first_seconds: float = 0.1
    most_seconds: float = 2.0
    growth: float = 1.5


class Endpoint(Protocol):
    """What a run has to ask beside its own status."""

    async def arrived(self, ticket: AttemptTicket) -> Sequence[StoredAsset]:
        """Return the results, the first one first; none while that has not come."""

    async def is_starting(self) -> bool:
        """Whether a run that waits will soon have a worker."""


class RunpodRun:
    """See base.Encoder.run for what `followed` raises."""

    def __init__(
        self,
        job: EncodeJob,
        ticket: AttemptTicket,
        client: RunpodClient,
        endpoint: Endpoint,
        events: Events,
        patience: RunTimeouts,
    ) -> None:
        self._job = job
        self._ticket = ticket
        self._client = client
        self._endpoint = endpoint
        self._events = events
        self._patience = patience
        self._last: RunStatus | None = None
        self._is_started = False
        self._is_working = False
        self._waits_since = time.monotonic()
        self._progress: encoder_pb2.EncodeProgress | None = None

    async def followed(self) -> Outcome:
        """The outcome. While RunPod does not answer nothing is lost: the worker goes on, and so does the waiting."""
        pause_seconds = self._patience.first_seconds
        while True:
            try:
                status = await self._client.status(self._ticket.run_id)
            except NotFound:
                return await self._expired()
            except ServiceError as error:
                log.warning("RunPod does not tell of a run", run=self._ticket.run_id, why=error.message)
                self._check_wait()
            else:
                if outcome := await self._noticed(status):
                    return outcome
                if status != self._last:
                    self._last, pause_seconds = status, self._patience.first_seconds
            await asyncio.sleep(pause_seconds * random.uniform(0.8, 1.0))
            pause_seconds = min(pause_seconds * self._patience.growth, self._patience.most_seconds)

    async def _noticed(self, status: RunStatus) -> Outcome | None:
        """The outcome, where there is one by now."""
        match status.state:
            case RunState.IN_QUEUE:
                await self._waiting()
            case RunState.IN_PROGRESS:
                await self._working(status)
            case RunState.UNKNOWN:
                log.warning("RunPod tells an unknown state of a run", run=self._ticket.run_id)
                self._check_wait()
            case RunState.COMPLETED:
                await self._started()
                return await self._done(status)
            case _:
                await self._failed(status)
        return None

    async def _waiting(self) -> None:
        if self._last is not None and self._last.state is not RunState.IN_QUEUE:  # its worker died; it has another try
            self._waits_since, self._is_working = time.monotonic(), False
        self._check_wait()
        await self._events.waiting(is_starting=await self._endpoint.is_starting())

    def _check_wait(self) -> None:
        """Raise EncoderBusy for a run that no worker is known to have taken in time."""
        if not self._is_working and time.monotonic() > self._waits_since + self._patience.queue_seconds:
            raise EncoderBusy(f"No worker of RunPod took the task for {self._patience.queue_seconds:g} s.")

    async def _working(self, status: RunStatus) -> None:
        self._is_working = True
        await self._started()
        progress = messages.progress(status.output)
        if progress is not None and progress != self._progress:
            self._progress = progress
            await self._events.progress(progress)

    async def _started(self) -> None:
        if not self._is_started:
            self._is_started = True
            await self._events.started()

    async def _done(self, status: RunStatus) -> Outcome:
        arrived = await self._endpoint.arrived(self._ticket)
        if not arrived:
            raise DataLoss("The worker says that it is done, and no result came.", reason="NO_RESULT")
        return messages.outcome(messages.summary(status.output, arrived), arrived)

    async def _expired(self) -> Outcome:
        """RunPod knows the run no more; its result may have come all the same."""
        arrived = await self._endpoint.arrived(self._ticket)
        await self._started()
        if not arrived:
            raise EncoderLost("RunPod does not know the run any more, and no result came.")
        return messages.outcome(messages.bare_summary(arrived), arrived)

    async def _failed(self, status: RunStatus) -> None:
        """Raise what a run came to that gave no result."""
        if status.state is RunState.TIMED_OUT and not self._is_started and not status.execution_seconds:
            raise EncoderBusy("No worker of RunPod took the task until its time was over.")
        await self._started()
        if status.state is RunState.TIMED_OUT:
            raise DeadlineExceeded("The task took longer than RUNPOD_MAX_TIMEOUT allows; give it less to do.")
        if status.state is RunState.CANCELLED:
            raise EncoderLost("The run was cancelled at RunPod, by somebody else.")
        error = messages.fault(status.error)
        if error is None:
            raise EncoderLost(f"The worker at RunPod failed: {status.error[:MAX_TEXT] or 'it gave no reason'}")
        if error.reason in ELSEWHERE:
            raise EncoderLost(f"The worker at RunPod cannot do the task: {error.message}")
        raise self._of_input(error) or error

    def _of_input(self, error: ServiceError) -> InputFailed | None:
        """An input that took too long is not the task that did."""
        names = {shown_name(entry.field) for entry in self._job.inputs}
        return InputFailed(error) if isinstance(error, DeadlineExceeded) and names & error.fields.keys() else None
