"""Tickets: which try of a task may fetch its inputs and put its result by link, and what runs for it at the provider.

A ticket is written before the provider is asked, and gets the provider's name of the run after: whoever takes the task
up next finds what runs already. Links without a ticket open no more, so a run that nobody knows of ends by itself.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.links import Links
from gateway.assets.record import PREFIX, new_id, parse_name
from gateway.assets.store import AssetStore
from gateway.jetstream.codec import drop_unknown_fields
from gateway.jetstream.keyvalue import KeyValue
from gateway.workers.base import EncodeJob, Input, InputFailed, about
from servicekit.errors import Aborted, ServiceError, Unavailable

WRITE_TRIES = 10


@dataclass(frozen=True, slots=True)
class AttemptTicket:
    """One try of a task. `id` is unguessable, `asset_id` is that of the result to come, `filename` its name, `inputs`
    are field and source of each; `run_id` is the provider's, "" until it is known, and once it is over. One that
    `is_closed` opens nothing any more; it is kept so that a result which came all the same is found."""

    id: str
    asset_id: str
    filename: str
    inputs: tuple[tuple[str, str], ...]
    run_id: str = ""
    is_closed: bool = False

    @classmethod
    def new(cls, job: EncodeJob) -> "AttemptTicket":
        """A ticket for the next try of the task."""
        inputs = tuple((entry.field, entry.source) for entry in job.inputs)
        return cls(new_id(), new_id(), job.filename, inputs)


class Tickets:
    """The tickets of all tasks, by the task's key. Errors: Unavailable (the store does not answer)."""

    def __init__(self, records: KeyValue) -> None:
        self._records = records

    async def find(self, key: str) -> AttemptTicket | None:
        """The task's ticket, or None."""
        entry = await self._records.get(key)
        return _ticket(entry.value) if entry else None

    async def issue(self, key: str, ticket: AttemptTicket) -> None:
        """Make this the task's ticket; one that it had opens nothing any more."""
        for _ in range(WRITE_TRIES):
            entry = await self._records.get(key)
            try:
                if entry is None:
                    await self._records.create(key, _json(ticket))
                else:
                    await self._records.update(key, _json(ticket), entry.revision)
            except Aborted:
                continue
            return
        raise Unavailable(f"The ticket of task {key} changes too fast; try again.")

    async def note_run(self, key: str, ticket: AttemptTicket, run_id: str) -> AttemptTicket:
        """Write down what runs for the ticket. Raises Aborted when the task has another one by now, or none."""
        entry = await self._records.get(key)
        if entry is None or _ticket(entry.value).id != ticket.id:
            raise Aborted(f"Task {key} was taken up by another gateway meanwhile.")
        running = replace(ticket, run_id=run_id)
        await self._records.update(key, _json(running), entry.revision)
        return running

    async def close(self, key: str, ticket: AttemptTicket) -> None:
        """Let its links open nothing any more, and keep it; another ticket that the task has by now stays. Raises
        Aborted when it was changed meanwhile."""
        entry = await self._records.get(key)
        if entry is not None and (found := _ticket(entry.value)).id == ticket.id:
            closed = replace(found, run_id="", is_closed=True)
            await self._records.update(key, _json(closed), entry.revision)

    async def drop(self, key: str, ticket: AttemptTicket) -> bool:
        """Let its links open nothing any more; whether it was the task's still. Another one stays."""
        found = await self.find(key)
        if found is None or found.id != ticket.id:
            return False
        await self._records.delete(key)
        return True

    async def keys(self) -> list[str]:
        """The tasks that have tickets."""
        return await self._records.keys()


def _json(ticket: AttemptTicket) -> bytes:
    return json.dumps(asdict(ticket), separators=(",", ":")).encode()


def _ticket(data: bytes) -> AttemptTicket:
    record: dict[str, Any] = drop_unknown_fields(AttemptTicket, json.loads(data))
    return AttemptTicket(**record | {"inputs": tuple((field, source) for field, source in record["inputs"])})


class TaskLinks:
    """Makes the links of a ticket; they lead to gateway/rest/worker_links.py, or straight to a store that can sign."""

    def __init__(self, links: Links, assets: AssetStore, public_url: str, seconds: float) -> None:
        """`public_url` is where workers reach this gateway's HTTP port; links open for `seconds` at most."""
        self._links = links
        self._assets = assets
        self._public_url = public_url.rstrip("/")
        self._seconds = seconds

    async def remote_task(self, job: EncodeJob, ticket: AttemptTicket) -> encoder_pb2.RemoteTask:
        """The task with the links of this ticket. Raises InputFailed for an asset that is not there."""
        inputs = [encoder_pb2.Input(field=entry.field) for entry in job.inputs]
        return encoder_pb2.RemoteTask(
            task=encoder_pb2.Task(id=job.id, operation=job.operation, inputs=inputs),
            input_urls=[await self._input_url(job.id, ticket, entry, n) for n, entry in enumerate(job.inputs)],
            result_url=self._url(f"/tasks/{job.id}/{ticket.id}/result"),
        )

    async def _input_url(self, key: str, ticket: AttemptTicket, entry: Input, number: int) -> str:
        direct = None
        if entry.source.startswith(PREFIX):
            try:
                direct = await self._assets.signed_url(parse_name(entry.source), self._seconds)
            except ServiceError as error:
                raise InputFailed(about(entry.field, error)) from error
        return direct or self._url(f"/tasks/{key}/{ticket.id}/inputs/{number}")

    def _url(self, path: str) -> str:
        return self._public_url + self._links.signed(path, self._seconds)
