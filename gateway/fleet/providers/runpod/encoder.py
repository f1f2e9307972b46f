"""The workers of one RunPod endpoint, as an encoder: a task goes into RunPod's queue, its files go by link."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from google.protobuf import json_format

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.record import PREFIX
from gateway.assets.store import AssetStore, StoredAsset
from gateway.fleet.providers.runpod.client import AnswerLost, EndpointHealth, NotTaken, RunpodClient
from gateway.fleet.providers.runpod.run import RunpodRun, RunTimeouts, bare_outcome, is_complete
from gateway.fleet.providers.runpod.stock import StockMonitor
from gateway.workers.base import EncodeJob, EncoderBusy, EncoderLost, EncoderRefuses, Events, Outcome
from gateway.workers.tickets import AttemptTicket, TaskLinks, Tickets
from servicekit.errors import (
    Aborted,
    Cancelled,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from servicekit.tasks import run_to_completion

log = structlog.get_logger("gateway.fleet.runpod")

# What is Unavailable on the side of encoders and of RunPod; all else that is so is a store of the gateway's own.
WORKER_ERRORS = (EncoderLost, EncoderBusy, NotTaken, AnswerLost)
# How long a cancelled task waits for the id of a run that it has asked for.
ANSWER_SECONDS = 5.0


@dataclass(eq=False)
class RunpodEncoder:
    """Run tasks on the workers of one RunPod endpoint. A task that an earlier gateway left running is resumed by its
    ticket."""

    client: RunpodClient
    tickets: Tickets
    assets: AssetStore
    links: TaskLinks
    timeouts: RunTimeouts
    _health: EndpointHealth = field(default_factory=EndpointHealth, init=False)
    _health_at: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self.name = f"runpod:{self.client.endpoint_id}"
        self.stock = StockMonitor(self.client, self.timeouts.stock_seconds)

    async def close(self) -> None:
        await self.client.close()

    async def capabilities(self) -> encoder_pb2.GetCapabilitiesResponse:
        """Return nothing of note, if the endpoint answers. Raises EncoderBusy, which says why it does not."""
        try:
            await self.client.health()
        except ServiceError as error:
            raise EncoderBusy(error.message) from error
        return encoder_pb2.GetCapabilitiesResponse()

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        """Run a task, or resume it; see base.Encoder."""
        ticket = await self._resumable_ticket(job.id)
        if ticket is None:
            ticket = AttemptTicket.new(job)
            payload = await self.links.remote_task(job, ticket)
            await self.tickets.issue(job.id, ticket)
        try:
            if not ticket.run_id and is_complete(results := await self.find_results(ticket)):
                await events.started()
                return bare_outcome(results)
            if not ticket.run_id:
                ticket = await self._submit(job.id, ticket, payload)
            asked = self.find_results, self.is_starting, self.shortage
            run = RunpodRun(job, ticket, self.client, events, self.timeouts, *asked)
            return await self._with_versions(job, await run.poll_until_done())
        except (asyncio.CancelledError, Cancelled):
            if not events.is_shutting_down:
                await run_to_completion(self._close(job.id, ticket))
            raise
        except BaseException as error:
            if not _is_of_our_stores(error):  # else the next try resumes the run by its ticket
                await run_to_completion(self._end(job.id, ticket))
            raise

    async def _with_versions(self, job: EncodeJob, outcome: Outcome) -> Outcome:
        """Return an outcome, once the job has the versions of its sources that a worker planned further tasks with."""
        if outcome.summary.further and (noted := await self.tickets.get(job.id)) is not None:
            job.versions.update(noted.versions)
        return outcome

    async def find_results(self, ticket: AttemptTicket) -> Sequence[StoredAsset]:
        """Return the results, the first one first; none while that was not put: workers put it last."""
        found: list[StoredAsset] = []
        for asset_id in ticket.result_ids:
            try:
                found.append(await self.assets.describe(asset_id))
            except (NotFound, DataLoss):
                break
        return found

    async def is_starting(self) -> bool:
        """Return True if a run in the queue will soon have a worker, by the endpoint's last health."""
        if time.monotonic() > self._health_at + self.timeouts.health_seconds:
            self._health_at = time.monotonic()
            with contextlib.suppress(ServiceError):
                self._health = await self.client.health()
        return self._health.is_starting

    async def shortage(self) -> str:
        """Return why a run in the queue will have no worker soon; "" where it may have one."""
        await self.stock.refresh()
        return self.stock.shortage

    async def can_resume(self, task_id: str) -> bool:
        """Return True if a run of the task, or its result, is left."""
        return await self._resumable_ticket(task_id) is not None

    async def release(self, task_id: str) -> None:
        """Drop the task's ticket: its outcome is recorded."""
        with contextlib.suppress(ServiceError):  # the reaper finds what stays
            await self.tickets.delete(task_id)

    async def until_ended(self, task_id: str) -> None:
        """Do nothing: runs wait for workers in a queue."""

    async def resumable_tasks(self) -> list[str]:
        """Return the keys of the tasks that have tickets."""
        return await self.tickets.keys()

    async def abandon(self, task_id: str, result: str) -> None:
        """Cancel the run of a task that has ended, and delete its result unless the task keeps it."""
        ticket = await self.tickets.get(task_id)
        if ticket is None:
            return
        log.info("canceling the run of a task that has ended", task=task_id, run=ticket.run_id)
        if PREFIX + ticket.asset_id == result:
            await self.tickets.drop(task_id, ticket)
        else:
            await run_to_completion(self._end(task_id, ticket))

    async def _resumable_ticket(self, task_id: str) -> AttemptTicket | None:
        """Return the ticket of an earlier try that has a run or a result."""
        ticket = await self.tickets.get(task_id)
        return ticket if ticket and (ticket.run_id or is_complete(await self.find_results(ticket))) else None

    async def _submit(self, key: str, ticket: AttemptTicket, payload: encoder_pb2.RemoteTask) -> AttemptTicket:
        """Queue a run for a ticket; return the ticket with the run's id."""
        try:
            run_id = await self._queue_run(payload)
        except (InvalidArgument, ResourceExhausted):
            raise
        except (Unauthenticated, FailedPrecondition, NotFound) as error:
            raise EncoderRefuses(error.message) from error
        except ServiceError as error:
            # Where the answer was lost a worker may get the run: the ticket is no longer there then, and it stops.
            raise EncoderBusy(error.message) from error
        log.info("task queued at RunPod", task=key, run=run_id)
        try:
            return await self.tickets.note_run(key, ticket, run_id)
        except Aborted as error:
            await run_to_completion(self._cancel(run_id))
            raise EncoderBusy(error.message) from error
        except BaseException as error:
            # It may be stored all the same. If not, the next try's ticket closes the links of this run.
            if not _is_of_our_stores(error):
                await run_to_completion(self._cancel(run_id))
            raise

    async def _queue_run(self, payload: encoder_pb2.RemoteTask) -> str:
        """Return the id of a new run. A call that is cancelled on its way is answered first: only the answer names the
        run, which would else wait for a worker, and have it paid."""
        limits, task = self.timeouts, json_format.MessageToDict(payload)
        call = asyncio.create_task(self.client.run(task, limits.max_seconds, limits.life_seconds))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await run_to_completion(self._cancel_answered(call))
            raise

    async def _cancel_answered(self, call: asyncio.Task[str]) -> None:
        """Cancel the run that a call queues, once it is answered; end a call that is not answered in time."""
        with contextlib.suppress(ServiceError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._cancel(await call)

    async def _close(self, key: str, ticket: AttemptTicket) -> None:
        """Close the ticket and cancel the run of a try that this gateway no longer follows.

        Links close first, so that a worker stops even when RunPod is away. Another gateway may have recorded the
        result: the reaper, which looks at the record, deletes it if not.
        """
        with contextlib.suppress(ServiceError):
            await self.tickets.close(key, ticket)
        if ticket.run_id:
            await self._cancel(ticket.run_id)

    async def _end(self, key: str, ticket: AttemptTicket) -> None:
        """Drop the ticket, cancel the run and delete the result, unless another gateway ended the try before."""
        is_ours = False
        with contextlib.suppress(ServiceError):
            is_ours = await self.tickets.drop(key, ticket)
        if ticket.run_id:
            await self._cancel(ticket.run_id)
        for asset_id in ticket.result_ids if is_ours else ():
            with contextlib.suppress(ServiceError):
                await self.assets.delete(asset_id)

    async def _cancel(self, run_id: str) -> None:
        try:
            await self.client.cancel(run_id)
        except ServiceError as error:
            text = "cannot cancel a run; its links are closed, so it ends by itself"
            log.warning(text, run=run_id, error=error.message)


def _is_of_our_stores(error: BaseException) -> bool:
    """Return True if the gateway's records or assets are unavailable: neither run nor result is at fault."""
    return isinstance(error, Unavailable | Aborted) and not isinstance(error, WORKER_ERRORS)
