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

from api_gpu.assets import Asset, Transfers, check_readable
from api_gpu.connection import RECONNECT_SECONDS, Connection, credentials
from api_gpu.destinations import Destinations
from api_gpu.fleet import DayCosts, Fleet
from api_gpu.jobs import Job, Jobs
from api_gpu.keys import Keys
from api_gpu.local.data_dir import DataDir
from api_gpu.requests import elements, fill, from_message, local_file, set_times, stems
from api_gpu.scenes import Request, scenes_of, with_ids
from api_gpu.tenants import QuotaUse, Tenants, Usage, read_usage
from api_gpu.uploads import OnBytes
from apigpu.options import (
    AddAudioOptions,
    CaptionOptions,
    ConcatOptions,
    FrameOptions,
    Img2VidOptions,
    ProbeOptions,
    Scene,
    Source,
    Status,
    Still,
    StoryOptions,
    ThumbnailOptions,
)
from apigpu.v1 import assets_pb2, fleet_pb2, jobs_pb2, quote_pb2, system_pb2, video_pb2
from apigpu.v1.fleet_pb2_grpc import FleetServiceStub
from apigpu.v1.system_pb2_grpc import SystemServiceStub
from servicekit import secret_files
from servicekit.errors import ServiceError


@dataclass(frozen=True)
class Health:
    """State of the gateway: "healthy" or "draining", encoders that answer, tasks that they run at once."""

    status: str
    encoders: int
    slots: int


class Client:
    """A connection to a gateway. Blocking, safe to share between threads; errors are subclasses of ServiceError."""

    def __init__(self, connection: Connection, options: jobs_pb2.JobOptions | None = None) -> None:
        self._connection = connection
        # Of every job that is queued.
        self._options = options
        self._transfers = Transfers(connection)
        self._jobs = Jobs(connection)
        self._fleet = FleetServiceStub(connection.channel)
        # The buckets that results are put into.
        self.destinations = Destinations(connection)
        # For an operator: the keys of tenants, and what is said of these.
        self.keys, self.tenants = Keys(connection), Tenants(connection)

    @classmethod
    def connect(
        cls,
        target: str,
        key: str,
        ca: Path | str | None = None,
        certificate: Path | str | None = None,
        private_key: Path | str | None = None,
        reconnect_seconds: float = RECONNECT_SECONDS,
    ) -> Self:
        """Connect to host:port over TLS. Without `ca` public authorities are trusted; certificate and key (PEM files)
        are needed where the gateway asks for them. What can go on is tried again for `reconnect_seconds` where the
        gateway is away. Raises FailedPrecondition for files that cannot be used."""
        files = (Path(file) if file else None for file in (ca, certificate, private_key))
        return cls(Connection(target, key.strip(), credentials(*files), reconnect_seconds))

    @classmethod
    def local(cls, data_dir: Path | str = ".api-gpu") -> Self:
        """Connect to the pair that `api-gpu up` runs on this machine, with the key and the certificates it made; with
        the (first) key of X_API_KEY or X_API_KEY_FILE where the environment has it, as `up` and the command line do."""
        folder = DataDir(Path(data_dir))
        certificates = folder.certificates
        return cls.connect(
            folder.target(),
            (secret_files.from_environment("X_API_KEY") or "").split(",")[0].strip() or folder.key(),
            certificates / "ca.crt",
            certificates / "client.crt",
            certificates / "client.key",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Jobs go on."""
        self._connection.close()

    def telling(
        self,
        webhook_url: str = "",
        webhook_events: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
        *,
        output: str | Sequence[str] = "",
        output_headers: Mapping[str, str] | None = None,
        priority: str = "",
        deadline_seconds: float = 0.0,
    ) -> Self:
        """Return a client on the same connection whose jobs are told of to `webhook_url`, and carry `metadata`. With
        the `priority` "interactive" they go before those of yours that are "normal", and these before "batch". For
        those that are to be done within `deadline_seconds` as many encoders are rented as that takes, within the
        limits.

        The events are "job.queued", "job.started", "job.item", "job.progress" and "job.ended"; without any it is the
        end that is told. `api_gpu.webhooks` reads what arrives.

        Results are put to `output` too before a job ends: a presigned URL, with these headers; a list of them for
        several results; or "s3://BUCKET/KEY" in a bucket of `destinations`, as "s3://media/{item}.mp4".
        """
        options = self._saying(webhook_url, webhook_events, metadata)
        options.priority = priority or options.priority
        options.deadline_seconds = deadline_seconds or options.deadline_seconds
        if output:
            one, several = (output, ()) if isinstance(output, str) else ("", output)
            options.output.CopyFrom(jobs_pb2.JobOutput(url=one, urls=several, headers=output_headers or {}))
        return type(self)(self._connection, options)

    def previewing(self) -> Self:
        """Return a client on the same connection whose films play while they are made, and after: `preview` of the
        job. Their pieces are kept beside the result for that."""
        options = self._saying()
        options.preview = True
        return type(self)(self._connection, options)

    def quoting(self) -> Self:
        """Return a client on the same connection whose operations make no job: what they return has `quote`, which says
        what a job would do and take, and all that is wrong with the request and its inputs."""
        options = self._saying()
        options.dry_run = True
        return type(self)(self._connection, options)

    def quote(self, operation: str, *args: Any, **values: Any) -> quote_pb2.Quote:
        """Return what a job would do, of an operation by its name, with the arguments of its method. Local files are
        uploaded for it, and deleted again."""
        quote = getattr(self.quoting(), operation)(*args, **values).quote
        assert isinstance(quote, quote_pb2.Quote)
        return quote

    def caption(self, video: Source, subtitles: Source | None = None, **options: Unpack[CaptionOptions]) -> Job:
        """Queue a job that burns subtitles (SubRip, WebVTT, ASS or SSA) into a video: a file, or `srt_text` or `words`
        among the options."""
        return self._submit("caption", options, video=video, subtitles=subtitles)

    def addaudio(self, video: Source, audio: Source, **options: Unpack[AddAudioOptions]) -> Job:
        """Queue a job that puts the sound of `audio` on a video, as the option `soundtrack` says."""
        return self._submit("addaudio", options, video=video, audio=audio)

    def concat(self, videos: Sequence[Source], **options: Unpack[ConcatOptions]) -> Job:
        """Queue a job that joins videos, one after the other."""
        return self._submit("concat", options, videos=videos)

    def thumbnail(self, video: Source, **options: Unpack[ThumbnailOptions]) -> Job:
        """Queue a job that takes a picture of a video, and if wanted a sheet of small ones."""
        return self._submit("thumbnail", options, video=video)

    def img2vid(
        self,
        images: Sequence[Source | Still] | Mapping[str, Source | Still],
        seconds: float = 5.0,
        *,
        size: tuple[int, int] | None = None,
        **options: Unpack[Img2VidOptions],
    ) -> Job:
        """Queue a job that makes a Ken Burns clip of `seconds` from every image.

        The clips carry the keys of a mapping as ids; of a sequence the files' stems, made unique. `size` is `width` and
        `height` in one. A Still may have seconds and a motion of its own.
        """
        if size is not None:
            options["width"], options["height"] = size
        stills = [
            {
                "id": name,
                "source": still.source,
                "seconds": seconds if still.seconds is None else still.seconds,
                "motion": still.motion,
            }
            for name, still in stills_by_name(images).items()
        ]
        return self._submit("img2vid", options, images=stills)

    def story(self, scenes: Sequence[Source | Scene | Mapping[str, Any]], **options: Unpack[StoryOptions]) -> Job:
        """Queue a job that makes a finished film of scenes, in their order.

        A scene is a Scene, or a mere source, whose name says whether it is a still or a video. The ended job has
        `duration` and, for each scene, in `scenes` when it is seen.
        """
        return self._submit("story", options, scenes=scenes_of(scenes, self.asset_type))

    def probe(self, file: Source, **options: Unpack[ProbeOptions]) -> Job:
        """Queue a job that tells what a file holds: video, sound, an image or subtitles. The ended job has `media`."""
        return self._submit("probe", options, file=file)

    def frame(
        self, caption: Request | None = None, img2vid: Request | None = None, **options: Unpack[FrameOptions]
    ) -> Job:
        """Queue a job that renders one picture of what another operation would make: `caption={"video": "talk.mp4",
        "subtitles": "talk.srt"}`, or `img2vid={"images": [{"source": "cover.jpg", "seconds": 5}]}`, as in a chain."""
        return self._submit("frame", options, caption=caption, img2vid=img2vid and with_ids(img2vid))

    def asset_type(self, name: str) -> str:
        """Return the media type of an asset. Raises NotFound."""
        return self.asset(name).content_type

    def chain(
        self, steps: Sequence[Mapping[str, Any]], *, keep: Sequence[str] = (), max_cost_usd: float | None = None
    ) -> Job:
        """Queue a job of several operations: `{"id": "clip", "img2vid": {"images": [{…}]}}`, `{"id": "talk", "caption":
        {"video": "step:clip", "subtitles": "talk.srt"}}`.

        The values are those of the operations' methods, or of the JSON surface. "step:ID" is the result of a step,
        "step:ID[0]" the first one of several. The results of the steps in `keep`, or of those that no other needs, are
        the job's; with several they are its `clips`, with the ids of their steps.
        """
        return self._submit("chain", {}, steps=steps, keep=list(keep), max_cost_usd=max_cost_usd)

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
        wanted = jobs_pb2.ListJobsRequest(
            status=jobs_pb2.Job.Status.Value(status or "STATUS_UNSPECIFIED"),
            operation=operation,
            tenant=tenant,
            metadata=[f"{name}={value}" for name, value in (metadata or {}).items()],
        )
        set_times(wanted, since, until)
        return self._jobs.list(wanted)

    def cancel(self, job_id: str) -> None:
        """Cancel a job. Raises NotFound, and FailedPrecondition when it has ended."""
        self._jobs.cancel(job_id)

    def retry(self, job_id: str) -> Job:
        """Queue a job anew that has ended, as a new one. Raises NotFound, and FailedPrecondition when it has not ended
        or an input is gone."""
        return self._jobs.retry(job_id)

    def upload(self, path: Path | str, on_bytes: OnBytes | None = None) -> Asset:
        """Upload a local file. It goes on where it was cut, also when the gateway was away for up to a minute. Of an
        upload that failed the gateway keeps nothing."""
        return self._transfers.upload(Path(path), on_bytes)

    def download(self, asset: str | Asset, target: Path | str, on_bytes: OnBytes | None = None) -> Path:
        """Write an asset to `target`, which appears only when size and SHA-256 are right; return its path.

        A download that broke off is resumed, by a later call too. Raises NotFound, DataLoss, FailedPrecondition.
        """
        return self._transfers.download(asset.name if isinstance(asset, Asset) else asset, Path(target), on_bytes)

    def asset(self, name: str) -> Asset:
        """Describe an asset. Raises NotFound."""
        return self._transfers.get(name)

    def assets(
        self, content_type: str = "", *, since: datetime | None = None, until: datetime | None = None, tenant: str = ""
    ) -> Iterator[Asset]:
        """Yield the assets, the newest first; fetched in pages, as they are needed. Where they are given, only those of
        a MIME type or kind ("video"), stored `since` then and before `until`; and, for a key with the scope admin, of
        a tenant."""
        wanted = assets_pb2.ListAssetsRequest(content_type=content_type, tenant=tenant)
        set_times(wanted, since, until)
        return self._transfers.list(wanted)

    def delete(self, name: str) -> None:
        """Delete an asset. Raises NotFound."""
        self._transfers.delete(name)

    def health(self) -> Health:
        """Return the state of the gateway. Needs no key."""
        stub = SystemServiceStub(self._connection.channel)
        answer = self._connection.call(stub.GetHealth, system_pb2.GetHealthRequest())
        return Health(answer.status, answer.encoders.ready, answer.encoders.slots)

    def usage(
        self, since: date | None = None, until: date | None = None, *, tenant: str = "", operation: str = ""
    ) -> list[Usage]:
        """Return what was done by day (UTC), tenant and operation, the newest day first: of the last 31 days, or those
        given, 92 at most; of your tenant, or for a key with the scope admin of one, or all."""
        return read_usage(self._connection, since, until, tenant, operation)[0]

    def quotas(self, tenant: str = "") -> list[QuotaUse]:
        """Return the limits of your tenant, or for a key with the scope admin of another, with how much is used."""
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
        """Upload the local files among sources, and return the names of all at the gateway: assets and URLs.

        Nothing is sent when one cannot be read. When an upload fails, and on Ctrl-C, those that are known to have
        arrived are deleted.
        """
        check_readable(sources)
        paths = [local_file(source) for source in sources]
        assets = iter(self._transfers.upload_all(path for path in paths if path))
        return [next(assets).name if path else str(source) for source, path in zip(sources, paths, strict=True)]

    def _saying(
        self, webhook_url: str = "", webhook_events: Sequence[str] = (), metadata: Mapping[str, str] | None = None
    ) -> jobs_pb2.JobOptions:
        """Return the options of this client's jobs, with what is given in place of what they say of it."""
        options = jobs_pb2.JobOptions()
        options.CopyFrom(self._options or options)
        if webhook_url:
            options.webhook_url = webhook_url
        if webhook_events:
            options.webhook_events[:] = webhook_events
        if metadata is not None:
            options.metadata.clear()
            options.metadata.update(metadata)
        return options

    def _submit(self, operation: str, options: Mapping[str, Any], **values: Any) -> Job:
        message = video_pb2.Operation()
        request = getattr(message, operation)
        request.SetInParent()
        inputs = fill(request, **values, **options)
        names = self.resolve_sources([each.source for each in inputs])
        for each, name in zip(inputs, names, strict=True):
            each.set(name)
        try:
            return self._jobs.submit(message, options=self._options)
        finally:
            if self._options is not None and self._options.dry_run:
                for name in {name for each, name in zip(inputs, names, strict=True) if local_file(each.source)}:
                    with suppress(ServiceError):
                        self.delete(name)


def stills_by_name(images: Sequence[Source | Still] | Mapping[str, Source | Still]) -> dict[str, Still]:
    """Return the stills by the ids of their clips."""
    values = images.values() if isinstance(images, Mapping) else elements(images, "images")
    stills = [image if isinstance(image, Still) else Still(image) for image in values]
    names = images if isinstance(images, Mapping) else stems(still.source for still in stills)
    return dict(zip(names, stills, strict=True))
