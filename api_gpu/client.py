"""The client of a gateway.

Operations take local files, http(s) URLs that the gateway can reach, and names of assets; local files are uploaded
first. Their options are in `apigpu.options`. Each call raises InvalidArgument for an option that is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self, Unpack

from api_gpu.assets import Asset, Transfers, is_sent_for_once
from api_gpu.attempts import JobLog
from api_gpu.connection import Connection
from api_gpu.destinations import Destinations
from api_gpu.fleet import DayCosts, Fleet
from api_gpu.inline import inlined
from api_gpu.jobs import Job, Jobs
from api_gpu.keys import Keys
from api_gpu.operations import Operations, filled, set_sources, wanted_assets, wanted_jobs
from api_gpu.outcomes import JobRecord
from api_gpu.requests import from_message
from api_gpu.scenes import scenes_of
from api_gpu.tenants import QuotaUse, Tenants, Usage, read_usage
from api_gpu.uploads import OnBytes
from apigpu.options import (
    Scene,
    Source,
    Status,
    StoryOptions,
)
from apigpu.v1 import fleet_pb2, jobs_pb2, quote_pb2, system_pb2, video_pb2
from apigpu.v1.fleet_pb2_grpc import FleetServiceStub
from apigpu.v1.system_pb2_grpc import SystemServiceStub
from servicekit.errors import ServiceError


@dataclass(frozen=True)
class Health:
    """State of the gateway: "healthy" or "draining", encoders that answer, tasks that they run at once."""

    status: str
    encoders: int
    slots: int

    @classmethod
    def from_message(cls, message: system_pb2.GetHealthResponse) -> Self:
        """Return the state that the gateway describes."""
        return cls(message.status, message.encoders.ready, message.encoders.slots)


class Client(Operations[Job]):
    """A connection to a gateway. Blocking, safe to share between threads; errors are subclasses of ServiceError."""

    endpoint_class = Connection

    def __init__(self, connection: Connection, options: jobs_pb2.JobOptions | None = None) -> None:
        super().__init__(connection, options)
        self._transfers = Transfers(connection)
        self._jobs = Jobs(connection)
        self._fleet = FleetServiceStub(connection.channel)
        # The buckets that results are put into.
        self.destinations = Destinations(connection)
        # For an operator: the keys of tenants, and what is said of these.
        self.keys, self.tenants = Keys(connection), Tenants(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Jobs go on."""
        self._connection.close()

    def quote(self, operation: str, *args: Any, **values: Any) -> quote_pb2.Quote:
        """Return what a job would do, of an operation by its name, with the arguments of its method. Local files are
        uploaded for it, and deleted again."""
        quote = getattr(self.quoting(), operation)(*args, **values).quote
        assert isinstance(quote, quote_pb2.Quote)
        return quote

    def story(self, scenes: Sequence[Source | Scene | Mapping[str, Any]], **options: Unpack[StoryOptions]) -> Job:
        """Queue a job that makes a finished film of scenes, in their order.

        A scene is a Scene, or a mere source, whose name says whether it is a still or a video. The ended job has
        `duration` and, for each scene, in `scenes` when it is seen.
        """
        return self._submit("story", options, scenes=scenes_of(scenes, self.asset_type))

    def asset_type(self, name: str) -> str:
        """Return the media type of an asset. Raises NotFound."""
        return self.asset(name).content_type

    def submit(
        self,
        operation: video_pb2.Operation,
        idempotency_key: str = "",
        *,
        webhook_url: str = "",
        webhook_events: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
        options: jobs_pb2.JobOptions | None = None,
    ) -> Job:
        """Queue a job from a message of the API, whose sources are URLs and names of assets; `telling` has the rest, or
        `options`, which stand in place of all of it.

        With the same `idempotency_key` and operation there is one job, however often it is submitted. Raises
        AlreadyExists for a key that came with another operation.
        """
        is_said = webhook_url or webhook_events or metadata
        said = self._saying(webhook_url, webhook_events, metadata) if is_said else self._options
        return self._jobs.submit(operation, idempotency_key, options or said)

    def get(self, job_id: str) -> Job:
        """Read a job. Raises NotFound."""
        return self._jobs.get(job_id)

    def jobs(
        self,
        status: Status | None = None,
        *,
        operation: str = "",
        metadata: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tenant: str = "",
    ) -> Iterator[Job]:
        """Yield the jobs, the newest first; fetched in pages, as they are needed. Where they are given, only those of a
        status, of an operation, with all of these entries of metadata, accepted `since` then and before `until`; and,
        for a key with the scope admin, of a tenant."""
        wanted = wanted_jobs(status, operation, metadata, since, until, tenant)
        return self._jobs.list(wanted)

    def cancel(self, job_id: str) -> None:
        """Cancel a job. Raises NotFound, and FailedPrecondition when it has ended."""
        self._jobs.cancel(job_id)

    def retry(self, job_id: str) -> Job:
        """Queue a job anew that has ended, as a new one. Raises NotFound, and FailedPrecondition when it has not ended
        or an input is gone."""
        return self._jobs.retry(job_id)

    def logs(self, job_id: str) -> tuple[JobLog, ...]:
        """Return the end of what FFmpeg said in attempts at a job's tasks, where it said something. Raises NotFound."""
        return self._jobs.logs(job_id)

    def upload(self, path: Path | str, on_bytes: OnBytes | None = None) -> Asset:
        """Upload a local file. It goes on where it was cut, also when the gateway was away for up to a minute. Of an
        upload that failed the gateway keeps nothing."""
        return self._transfers.upload(Path(path), on_bytes)

    def kept(self, path: Path | str) -> Asset | None:
        """Return the asset that a large local file is, where the gateway has it: of the same name, size and SHA-256,
        with half of its time left or more; else None."""
        return self._transfers.kept(Path(path))

    def download(self, asset: str | Asset | JobRecord, target: Path | str, on_bytes: OnBytes | None = None) -> Path:
        """Write an asset, or the result of an ended job, to `target`, which appears only when size and SHA-256 are
        right; return its path.

        A download that broke off is resumed, by a later call too. A small result of a job that was waited for is there
        already. Raises NotFound, DataLoss, FailedPrecondition.
        """
        return self._transfers.download(asset, Path(target), on_bytes)

    def asset(self, name: str) -> Asset:
        """Describe an asset. Raises NotFound."""
        return self._transfers.get(name)

    def assets(
        self, content_type: str = "", *, since: datetime | None = None, until: datetime | None = None, tenant: str = ""
    ) -> Iterator[Asset]:
        """Yield the assets, the newest first; fetched in pages, as they are needed. Where they are given, only those of
        a MIME type or kind ("video"), stored `since` then and before `until`; and, for a key with the scope admin, of
        a tenant."""
        wanted = wanted_assets(content_type, since, until, tenant)
        return self._transfers.list(wanted)

    def delete(self, name: str) -> None:
        """Delete an asset. Raises NotFound."""
        self._transfers.delete(name)

    def health(self) -> Health:
        """Return the state of the gateway. Needs no key."""
        stub = SystemServiceStub(self._connection.channel)
        return Health.from_message(self._connection.call(stub.GetHealth, system_pb2.GetHealthRequest()))

    def usage(
        self, since: date | None = None, until: date | None = None, *, tenant: str = "", operation: str = ""
    ) -> list[Usage]:
        """Return what was done by day (UTC), tenant and operation, the newest day first: of the last 31 days, or those
        given, 92 at most; of your tenant, or for a key with the scope admin of one, or all."""
        return read_usage(self._connection, since, until, tenant, operation)[0]

    def quotas(self, tenant: str = "") -> list[QuotaUse]:
        """Return the limits of your tenant and of your key, or for a key with the scope admin of another tenant, with
        how much is used."""
        today = datetime.now(UTC).date()
        return read_usage(self._connection, today, today, tenant, "")[1]

    def fleet(self) -> Fleet:
        """Return the encoders that are rented by the second, and what they cost."""
        return Fleet.from_message(self._connection.call(self._fleet.GetFleet, fleet_pb2.GetFleetRequest()))

    def fleet_costs(self, days: int = 7) -> list[DayCosts]:
        """Return what was spent, by day and provider, the newest day first; `days` from 1 to 31."""
        answer = self._connection.call(self._fleet.GetCosts, fleet_pb2.GetCostsRequest(days=days))
        return [from_message(DayCosts, day) for day in answer.days]

    def resolve_sources(self, sources: Sequence[Source]) -> list[str]:
        """Upload the local files among sources, and return the names of all at the gateway: assets and URLs. A large
        file that the gateway has already is not sent again: see `kept`.

        Nothing is sent when one cannot be read. When an upload fails, and on Ctrl-C, those that are known to have
        arrived are deleted, but for large ones, which another job may have by then.
        """
        return self._transfers.resolve(sources)

    def _submit(self, operation: str, options: Mapping[str, Any], **values: Any) -> Job:
        message, inputs = filled(operation, options, values)
        sources = [each.source for each in inputs]
        names = self.resolve_sources(sources if self.is_quoting else inlined(sources))
        set_sources(inputs, names)
        once = {name for source, name in zip(sources, names, strict=True) if is_sent_for_once(source)}
        try:
            return self._jobs.submit(message, options=self._options)
        finally:
            if self.is_quoting:
                for name in once:
                    with suppress(ServiceError):
                        self.delete(name)
