"""The operations, as methods of the clients, and what is said of the jobs that they make.

Both clients have them: what a method returns is up to the client.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, Unpack

from api_gpu.connection import RECONNECT_SECONDS, credentials
from api_gpu.local.data_dir import DataDir
from api_gpu.requests import RequestInput, elements, fill, set_times, stems
from api_gpu.scenes import Request, with_ids
from apigpu.options import (
    AddAudioOptions,
    CaptionOptions,
    ConcatOptions,
    FrameOptions,
    Img2VidOptions,
    ProbeOptions,
    Source,
    Status,
    Still,
    ThumbnailOptions,
)
from apigpu.v1 import assets_pb2, jobs_pb2, video_pb2
from servicekit import secret_files

Made = TypeVar("Made")


class Operations(Generic[Made]):
    """The operations over an endpoint; `options` are those of every job that is queued."""

    endpoint_class: ClassVar[type[Any]]

    def __init__(self, connection: Any, options: jobs_pb2.JobOptions | None = None) -> None:
        self._connection = connection
        self._options = options

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
        return cls(cls.endpoint_class(target, key.strip(), credentials(*files), reconnect_seconds))

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

    def caption(self, video: Source, subtitles: Source | None = None, **options: Unpack[CaptionOptions]) -> Made:
        """Queue a job that burns subtitles (SubRip, WebVTT, ASS or SSA) into a video: a file, or `srt_text` or `words`
        among the options."""
        return self._submit("caption", options, video=video, subtitles=subtitles)

    def addaudio(self, video: Source, audio: Source, **options: Unpack[AddAudioOptions]) -> Made:
        """Queue a job that puts the sound of `audio` on a video, as the option `soundtrack` says."""
        return self._submit("addaudio", options, video=video, audio=audio)

    def concat(self, videos: Sequence[Source], **options: Unpack[ConcatOptions]) -> Made:
        """Queue a job that joins videos, one after the other."""
        return self._submit("concat", options, videos=videos)

    def thumbnail(self, video: Source, **options: Unpack[ThumbnailOptions]) -> Made:
        """Queue a job that takes a picture of a video, and if wanted a sheet of small ones."""
        return self._submit("thumbnail", options, video=video)

    def img2vid(
        self,
        images: Sequence[Source | Still] | Mapping[str, Source | Still],
        seconds: float = 5.0,
        *,
        size: tuple[int, int] | None = None,
        **options: Unpack[Img2VidOptions],
    ) -> Made:
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

    def probe(self, file: Source, **options: Unpack[ProbeOptions]) -> Made:
        """Queue a job that tells what a file holds: video, sound, an image or subtitles. The ended job has `media`."""
        return self._submit("probe", options, file=file)

    def frame(
        self, caption: Request | None = None, img2vid: Request | None = None, **options: Unpack[FrameOptions]
    ) -> Made:
        """Queue a job that renders one picture of what another operation would make: `caption={"video": "talk.mp4",
        "subtitles": "talk.srt"}`, or `img2vid={"images": [{"source": "cover.jpg", "seconds": 5}]}`, as in a chain."""
        return self._submit("frame", options, caption=caption, img2vid=img2vid and with_ids(img2vid))

    def chain(
        self, steps: Sequence[Mapping[str, Any]], *, keep: Sequence[str] = (), max_cost_usd: float | None = None
    ) -> Made:
        """Queue a job of several operations: `{"id": "clip", "img2vid": {"images": [{…}]}}`, `{"id": "talk", "caption":
        {"video": "step:clip", "subtitles": "talk.srt"}}`.

        The values are those of the operations' methods, or of the JSON surface. "step:ID" is the result of a step,
        "step:ID[0]" the first one of several. The results of the steps in `keep`, or of those that no other needs, are
        the job's; with several they are its `clips`, with the ids of their steps.
        """
        return self._submit("chain", {}, steps=steps, keep=list(keep), max_cost_usd=max_cost_usd)

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

    @property
    def is_quoting(self) -> bool:
        """True for a client whose calls make no job: small files that were uploaded for one are deleted again."""
        return self._options is not None and self._options.dry_run

    def _submit(self, operation: str, options: Mapping[str, Any], **values: Any) -> Made:
        """Queue a job of an operation, by its values in Python."""
        raise NotImplementedError


def filled(
    operation: str, options: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[video_pb2.Operation, list[RequestInput]]:
    """Return an operation with all but its inputs, and these."""
    message = video_pb2.Operation()
    request = getattr(message, operation)
    request.SetInParent()
    return message, fill(request, **values, **options)


def set_sources(inputs: Sequence[RequestInput], names: Sequence[str]) -> None:
    """Set the inputs of a request to what the gateway calls them."""
    for each, name in zip(inputs, names, strict=True):
        each.set(name)


def wanted_jobs(
    status: Status | None,
    operation: str,
    metadata: Mapping[str, str] | None,
    since: datetime | None,
    until: datetime | None,
    tenant: str,
) -> jobs_pb2.ListJobsRequest:
    """Return the request for a list of jobs."""
    wanted = jobs_pb2.ListJobsRequest(
        status=jobs_pb2.Job.Status.Value(status or "STATUS_UNSPECIFIED"),
        operation=operation,
        tenant=tenant,
        metadata=[f"{name}={value}" for name, value in (metadata or {}).items()],
    )
    set_times(wanted, since, until)
    return wanted


def wanted_assets(
    content_type: str, since: datetime | None, until: datetime | None, tenant: str
) -> assets_pb2.ListAssetsRequest:
    """Return the request for a list of assets."""
    wanted = assets_pb2.ListAssetsRequest(content_type=content_type, tenant=tenant)
    set_times(wanted, since, until)
    return wanted


def stills_by_name(images: Sequence[Source | Still] | Mapping[str, Source | Still]) -> dict[str, Still]:
    """Return the stills by the ids of their clips."""
    values = images.values() if isinstance(images, Mapping) else elements(images, "images")
    stills = [image if isinstance(image, Still) else Still(image) for image in values]
    names = images if isinstance(images, Mapping) else stems(still.source for still in stills)
    return dict(zip(names, stills, strict=True))
