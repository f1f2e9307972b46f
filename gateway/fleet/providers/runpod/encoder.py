"""The workers of one RunPod endpoint, as an encoder: a task goes into its queue, and comes back by link."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from google.protobuf import json_format

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.record import PREFIX
from gateway.assets.store import AssetStore, StoredAsset
from gateway.fleet.providers.base import EndpointConfig
from gateway.fleet.providers.runpod import messages
from gateway.fleet.providers.runpod.client import AnswerLost, EndpointHealth, NotTaken, RunpodClient
from gateway.fleet.providers.runpod.run import RunpodRun, RunTimeouts
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

log = structlog.get_logger("runpod")

HEALTH_SECONDS = 2.0
# What is Unavailable on the side of encoders and of RunPod; all else that is so is a store of the gateway's own.
OF_ENCODERS = (EncoderLost, EncoderBusy, NotTaken, AnswerLost)


@dataclass(frozen=True, slots=True)
class RunpodTerms:
    """`max_seconds` is what a worker may take for one task. A task that no worker took within `queue_seconds` is taken
    back."""

    max_seconds: float
    queue_seconds: float = 900.0

    @property
    def life_seconds(self) -> float:
        """How long a run, and the links that it was given, may be of use."""
        return self.queue_seconds + self.max_seconds + 60.0


class RunpodEncoder:
    """See base.Encoder. A task that an earlier gateway left running is found by its ticket, and taken up."""

    def __init__(
        self,
        client: RunpodClient,
        tickets: Tickets,
        assets: AssetStore,
        links: TaskLinks,
        terms: RunpodTerms,
        patience: RunTimeouts | None = None,
    ) -> None:
        self.name = f"runpod:{client.endpoint_id}"
        self._client = client
        self._tickets = tickets
        self._assets = assets
        self._links = links
        self._terms = terms
        self._patience = patience or RunTimeouts(terms.queue_seconds)
        self._health = EndpointHealth(0, 0, 0, 0)
        self._health_at = float("-inf")
        self._ending: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Finish what is being cancelled, then let go of connections."""
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self._client.close()

    async def capabilities(self) -> encoder_pb2.GetCapabilitiesResponse:
        """Whether the endpoint answers. Raises EncoderBusy, which says why it does not."""
        try:
            await self._client.health()
        except ServiceError as error:
            raise EncoderBusy(error.message) from error
        return encoder_pb2.GetCapabilitiesResponse()

    async def config(self) -> EndpointConfig:
        """How the endpoint is set up. Raises what RunpodClient.config raises."""
        return await self._client.config()

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        """See base.Encoder."""
        ticket = await self._taken_up(job)
        if ticket is None:
            ticket = AttemptTicket.new(job)
            payload = await self._links.remote_task(job, ticket)
            await self._tickets.issue(job.id, ticket)
        try:
            if not ticket.run_id and (arrived := await self.arrived(ticket)):
                await events.started()
                return messages.outcome(messages.bare_summary(arrived), arrived)
            if not ticket.run_id:
                ticket = await self._submitted(job.id, ticket, payload)
            run = RunpodRun(job, ticket, self._client, self, events, self._patience)
            return await run.followed()
        except (asyncio.CancelledError, Cancelled):
            if not events.is_leaving:
                await self._shielded(self._close(job.id, ticket))
            raise
        except BaseException as error:
            if not _is_of_our_stores(error):  # else the next try takes up by the ticket what runs, or has come
                await self._shielded(self._end(job.id, ticket))
            raise

    async def arrived(self, ticket: AttemptTicket) -> Sequence[StoredAsset]:
        """Return the results, the first one first; none while that has not come: workers send it last."""
        arrived: list[StoredAsset] = []
        for asset_id in ticket.result_ids:
            try:
                arrived.append(await self._assets.describe(asset_id))
            except (NotFound, DataLoss):
                break
        return arrived

    async def is_starting(self) -> bool:
        """Whether a run that waits will soon have a worker, as far as RunPod tells."""
        if time.monotonic() > self._health_at + HEALTH_SECONDS:
            self._health_at = time.monotonic()
            with contextlib.suppress(ServiceError):
                self._health = await self._client.health()
        return self._health.is_starting

    async def can_resume(self, task_id: str) -> bool:
        """See base.ResumableEncoder: true with a run, or its result."""
        ticket = await self._tickets.find(task_id)
        return ticket is not None and (bool(ticket.run_id) or bool(await self.arrived(ticket)))

    async def release(self, task_id: str) -> None:
        """See base.Encoder."""
        with contextlib.suppress(ServiceError):  # what stays is found by `resumable_tasks`
            if ticket := await self._tickets.find(task_id):
                await self._tickets.drop(task_id, ticket)

    async def resumable_tasks(self) -> list[str]:
        """Return the keys of the tasks that have tickets."""
        return await self._tickets.keys()

    async def abandon(self, task_id: str, result: str) -> None:
        """The task has ended, with `result` ("assets/…" or ""): end what still runs for it, delete any other result."""
        ticket = await self._tickets.find(task_id)
        if ticket is None:
            return
        log.info("ending what a task left at RunPod", task=task_id, run=ticket.run_id)
        if PREFIX + ticket.asset_id == result:
            await self._tickets.drop(task_id, ticket)
        else:
            await self._shielded(self._end(task_id, ticket))

    async def _taken_up(self, job: EncodeJob) -> AttemptTicket | None:
        """The ticket of an earlier try that is of use."""
        ticket = await self._tickets.find(job.id)
        if ticket is None or not (ticket.run_id or await self.arrived(ticket)):
            return None
        log.info("taking a run up again", task=job.id, run=ticket.run_id)
        return ticket

    async def _submitted(self, key: str, ticket: AttemptTicket, payload: encoder_pb2.RemoteTask) -> AttemptTicket:
        """The ticket with the run that was started for it."""
        terms = self._terms
        try:
            run_id = await self._client.run(json_format.MessageToDict(payload), terms.max_seconds, terms.life_seconds)
        except (InvalidArgument, ResourceExhausted):
            raise
        except (Unauthenticated, FailedPrecondition, NotFound) as error:
            raise EncoderRefuses(error.message) from error
        except ServiceError as error:
            # Where the answer was lost a worker may get the run: the ticket is no longer there then, and it stops.
            raise EncoderBusy(error.message) from error
        log.info("task given to RunPod", task=key, run=run_id)
        try:
            return await self._tickets.note_run(key, ticket, run_id)
        except Aborted as error:
            await self._shielded(self._cancel(run_id))
            raise EncoderBusy(error.message) from error
        except BaseException as error:
            # It may be written down all the same. If not, the next try's ticket closes the links of this run.
            if not _is_of_our_stores(error):
                await self._shielded(self._cancel(run_id))
            raise

    async def _close(self, key: str, ticket: AttemptTicket) -> None:
        """The task goes on without this try, or is over. Links close first, so that a worker stops even when RunPod is
        away. Another gateway may have recorded the result: the sweep, which looks at the record, deletes it if not."""
        with contextlib.suppress(ServiceError):
            await self._tickets.close(key, ticket)
        if ticket.run_id:
            await self._cancel(ticket.run_id)

    async def _end(self, key: str, ticket: AttemptTicket) -> None:
        """Nobody waits for this try any more. Its result goes too, unless another gateway ended the try before."""
        is_ours = False
        with contextlib.suppress(ServiceError):
            is_ours = await self._tickets.drop(key, ticket)
        if ticket.run_id:
            await self._cancel(ticket.run_id)
        for asset_id in ticket.result_ids if is_ours else ():
            with contextlib.suppress(ServiceError):
                await self._assets.delete(asset_id)

    async def _cancel(self, run_id: str) -> None:
        try:
            await self._client.cancel(run_id)
        except ServiceError as error:
            log.warning(
                "cannot cancel a run; its links are closed, so it ends by itself", run=run_id, why=error.message
            )

    async def _shielded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it to its end, also when the caller is cancelled meanwhile."""
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        await asyncio.shield(task)


def _is_of_our_stores(error: BaseException) -> bool:
    """Whether records, tickets or assets cannot be read or written now: neither run nor result is at fault."""
    return isinstance(error, Unavailable | Aborted) and not isinstance(error, OF_ENCODERS)
