"""Tickets: which attempt of a task may fetch its inputs and put its results by link, and its run at the provider.

A ticket is stored before the provider is asked, and gets the id of the run after: the gateway that resumes the task
finds what runs already. Links without a ticket open no more, so a run that nobody knows of ends by itself.
"""

import base64
import contextlib
import hashlib
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.links import LinkSigner
from gateway.assets.record import PREFIX, new_id, parse_name
from gateway.assets.store import AssetStore
from gateway.callers import DEFAULT_TENANT
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from gateway.sources import ByteRanges, Source, Sources
from gateway.sources.outline import MIN_BYTES
from gateway.workers.base import EncodeJob, Input, InputFailed, about
from servicekit.codec import SPARSE
from servicekit.errors import Aborted, NotFound, ServiceError


@dataclass(frozen=True, slots=True)
class InputRanges:
    """The ranges that an input is, by its number."""

    number: int
    ranges: ByteRanges


@dataclass(frozen=True, slots=True)
class AttemptTicket:
    """One attempt of a task. `id` is unguessable, `asset_id` and `filename` are those of the result to come, `inputs`
    are field and source of each; `run_id` is the provider's, "" until it is known, and once it is over. One that
    `is_closed` opens nothing any more; it is kept so that a result which was put all the same is found."""

    id: str
    asset_id: str
    filename: str
    inputs: tuple[tuple[str, str], ...]
    run_id: str = ""
    is_closed: bool = False
    # Further results that may be put.
    max_files: int = 0
    # Of the inputs, by number, those that may be outlines.
    outlines: tuple[int, ...] = field(default=(), metadata=SPARSE)
    min_outline_bytes: int = field(default=MIN_BYTES, metadata=SPARSE)
    # Of the inputs, by number, those that are ranges of their sources.
    ranges: tuple[InputRanges, ...] = field(default=(), metadata=SPARSE)
    # Whose inputs its links open, and whose its results are.
    tenant: str = field(default=DEFAULT_TENANT, metadata=SPARSE)
    # The versions of its sources, by their texts, as they were when its links were opened.
    versions: tuple[tuple[str, str], ...] = field(default=(), metadata=SPARSE)

    def file_id(self, number: int) -> str:
        """Return the asset id of the further result `number`, from 0: as hard to guess as `asset_id`."""
        digest = hashlib.sha256(f"{self.asset_id}/{number}".encode()).digest()
        return base64.b32encode(digest).decode().lower()[: len(self.asset_id)]

    def open_input(self, sources: Sources, number: int) -> AbstractAsyncContextManager[Source]:
        """Open the input `number`, as far as its task has it."""
        _, source = self.inputs[number]
        for found in self.ranges:
            if found.number == number:
                return sources.open_ranges(source, self.tenant, found.ranges)
        if number in self.outlines:
            return sources.open_outline(source, self.tenant, self.min_outline_bytes)
        return sources.open(source, self.tenant)

    @property
    def result_ids(self) -> tuple[str, ...]:
        """Asset ids of all results that may come, the first one first."""
        return self.asset_id, *(self.file_id(number) for number in range(self.max_files))

    @classmethod
    def new(cls, job: EncodeJob) -> "AttemptTicket":
        """Make a ticket for the next attempt of the task."""
        inputs = tuple((entry.field, entry.source) for entry in job.inputs)
        outlines = tuple(number for number, entry in enumerate(job.inputs) if entry.is_outline)
        ranges = tuple(InputRanges(number, entry.ranges) for number, entry in enumerate(job.inputs) if entry.ranges)
        return cls(
            new_id(),
            new_id(),
            job.filename,
            inputs,
            max_files=job.max_files,
            outlines=outlines,
            min_outline_bytes=max((job.inputs[number].min_outline_bytes for number in outlines), default=MIN_BYTES),
            ranges=ranges,
            tenant=job.tenant,
        )


class Tickets(Records[AttemptTicket]):
    """The tickets of all tasks, by the task's key. Errors are those of Records."""

    def __init__(self, bucket: KeyValue) -> None:
        super().__init__(bucket, AttemptTicket, "ticket", keeps_values=False)

    async def issue(self, key: str, ticket: AttemptTicket) -> None:
        """Make this the task's ticket; an earlier one opens nothing any more."""
        await self.update(key, lambda _: ticket, default=ticket)

    async def note_run(self, key: str, ticket: AttemptTicket, run_id: str) -> AttemptTicket:
        """Write down what runs for the ticket. Raise Aborted when the task has another one by now, or none."""
        with contextlib.suppress(NotFound):
            noted = await self.update(
                key, lambda found: replace(found, run_id=run_id) if found.id == ticket.id else found
            )
            if noted.id == ticket.id:
                return noted
        raise Aborted(f"Task {key} was taken up by another gateway meanwhile.", reason="CHANGED_MEANWHILE")

    async def note_version(self, key: str, ticket: AttemptTicket, number: int, version: str) -> None:
        """Write down which version of the source of an input was opened for the ticket."""
        _, source = ticket.inputs[number]
        if not version or (source, version) in ticket.versions:
            return

        def noted(found: AttemptTicket) -> AttemptTicket:
            versions = tuple({**dict(found.versions), source: version}.items())
            return replace(found, versions=versions) if found.id == ticket.id else found

        with contextlib.suppress(NotFound):
            await self.update(key, noted)

    async def close(self, key: str, ticket: AttemptTicket) -> None:
        """Let its links open nothing any more, and keep it; another ticket that the task has by now stays."""
        with contextlib.suppress(NotFound):
            await self.update(
                key, lambda found: replace(found, run_id="", is_closed=True) if found.id == ticket.id else found
            )

    async def drop(self, key: str, ticket: AttemptTicket) -> bool:
        """Delete the ticket, so that its links open nothing any more; return False if the task has another one."""
        found = await self.get(key)
        if found is None or found.id != ticket.id:
            return False
        await self.delete(key)
        return True


@dataclass(frozen=True)
class TaskLinks:
    """Makes the links of a ticket; they lead to gateway/rest/worker_links.py, or straight to a store that can sign.

    Workers reach this gateway's HTTP port at `public_url`; links open for `seconds` at most.
    """

    links: LinkSigner
    assets: AssetStore
    public_url: str
    seconds: float

    async def remote_task(self, job: EncodeJob, ticket: AttemptTicket) -> encoder_pb2.RemoteTask:
        """Return the task with the links of this ticket. Raises InputFailed for an asset that is not there."""
        return encoder_pb2.RemoteTask(
            task=job.message(),
            input_urls=[await self._input_url(job.id, ticket, entry, n) for n, entry in enumerate(job.inputs)],
            result_url=self._url(f"/tasks/{job.id}/{ticket.id}/result"),
            file_urls=[self._url(f"/tasks/{job.id}/{ticket.id}/files/{n}") for n in range(job.max_files)],
        )

    async def _input_url(self, key: str, ticket: AttemptTicket, entry: Input, number: int) -> str:
        direct = None
        if entry.source.startswith(PREFIX) and not entry.has_holes:
            try:
                direct = await self.assets.signed_url(parse_name(entry.source), self.seconds, ticket.tenant)
            except ServiceError as error:
                raise InputFailed(about(entry.field, error)) from error
        return direct or self._url(f"/tasks/{key}/{ticket.id}/inputs/{number}")

    def _url(self, path: str) -> str:
        return self.public_url.rstrip("/") + self.links.sign(path, self.seconds)
