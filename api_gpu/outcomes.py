"""What jobs tell: a job as it is read, its results, where they are put, how far it is, and its events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Self, TypeVar

from api_gpu.attempts import JobAttempt
from api_gpu.destinations import ResultDelivery
from api_gpu.requests import from_message, to_datetime
from apigpu.options import Status
from apigpu.v1 import jobs_pb2, probe_pb2, quote_pb2, video_pb2
from servicekit.errors import Cancelled, DeadlineExceeded, Internal, ServiceError, from_code


@dataclass(frozen=True)
class ResultFile:
    """One of the files that a job made: its file name, its asset, a link to it, its MIME type."""

    name: str
    asset: str
    url: str
    content_type: str


@dataclass(frozen=True)
class JobInput:
    """An input of a job: where the request names it ("url_video", "images[2].image_url"), and its file's name, "" where
    it has none."""

    field: str
    name: str


@dataclass(frozen=True)
class MediaFacts:
    """What a file of a job is, as an encoder read it: of an input its `field`, of one of several results the `item`.
    `duration` is in seconds, 0 of a picture; what is not known is 0 or ""."""

    field: str
    item: str
    duration: float
    width: int
    height: int
    codec: str
    size_bytes: int


@dataclass(frozen=True)
class SceneSpan:
    """When a scene of a story is seen, in seconds of the film; with a transition from its middle on, and up to it."""

    id: str
    start: float
    end: float


@dataclass(frozen=True)
class Clip:
    """The video of one image of a batch, or of a step of a chain: either `asset` and `video_url`, or `error`.

    `warnings` list how it deviates from the request; `codec` encoded it, for `codec_reason`; `frames_copied` are those
    of the source, or `whole_reason` says why all were encoded. `duration` (seconds, else None)
    and `scenes` are those of a story, and `media` is what a probe tells of a file."""

    id: str
    asset: str
    video_url: str
    error: ServiceError | None
    warnings: tuple[str, ...] = ()
    codec: str = ""
    codec_reason: str = ""
    frames_copied: int = 0
    whole_reason: str = ""
    duration: float | None = None
    scenes: tuple[SceneSpan, ...] = ()
    media: probe_pb2.MediaReport | None = None

    @classmethod
    def from_message(cls, message: video_pb2.Video) -> Clip:
        """Return the clip that the gateway describes."""
        return from_message(
            cls,
            message,
            error=failure(message.error) if message.HasField("error") else None,
            warnings=tuple(warning.message for warning in message.warnings),
            codec=message.encoding.codec,
            codec_reason=message.encoding.reason,
            frames_copied=message.encoding.frames_copied,
            whole_reason=message.encoding.whole_reason,
            duration=message.duration if message.HasField("duration") else None,
            scenes=tuple(from_message(SceneSpan, span) for span in message.scenes),
            media=message.media if message.HasField("media") else None,
        )


def delivery(message: jobs_pb2.ResultDelivery) -> ResultDelivery:
    """Return where a result is put, as the gateway tells it."""
    return from_message(ResultDelivery, message, state=jobs_pb2.ResultDelivery.State.Name(message.state))


@dataclass(frozen=True)
class Preview:
    """A film that plays while the rest of it is made: a link to a playlist of HTTP Live Streaming, and how many seconds
    can be played now. Its `sound` is there a little later than its first pictures; it is `complete` once nothing more
    is to come."""

    url: str
    seconds: float
    sound: bool
    complete: bool


def preview_of(message: jobs_pb2.Job | jobs_pb2.Progress) -> Preview | None:
    """Return where a film plays; None where that was not asked for."""
    return from_message(Preview, message.preview) if message.HasField("preview") else None


@dataclass(frozen=True)
class Queued:
    """The job waits; 1 is next. `phase` is "COLD_START" while an encoder is on its way, else "WAITING_FOR_WORKER";
    `reason` says why none is, "" where that is not known; `starts_in_seconds` is when it is expected to begin, None
    where that is not known."""

    place: int
    phase: str = "WAITING_FOR_WORKER"
    reason: str = ""
    starts_in_seconds: float | None = None

    @classmethod
    def from_message(cls, message: jobs_pb2.Queued) -> Queued:
        """Return the place that the gateway describes."""
        starts_in = message.starts_in_seconds if message.HasField("starts_in_seconds") else None
        return cls(message.place, jobs_pb2.Phase.Name(message.phase), message.reason, starts_in)


@dataclass(frozen=True)
class Progress:
    """The job runs. `frames_total` is 0 and `seconds_left` None while not known; `total` counts tasks. `phase` is that
    of the task that is furthest: "ENCODING", or what it waits for, as in Queued. `rented` counts the instances that
    work on it. `preview` is where its film plays, where that was asked for."""

    frames_done: int
    frames_total: int
    fps: float
    seconds_left: float | None
    processed: int
    total: int
    phase: str = "ENCODING"
    cost_usd: float | None = None
    rented: int = 0
    preview: Preview | None = None

    @classmethod
    def from_message(cls, message: jobs_pb2.Progress) -> Progress:
        """Return the progress that the gateway describes."""
        return from_message(
            cls,
            message,
            seconds_left=message.seconds_left if message.HasField("seconds_left") else None,
            phase=jobs_pb2.Phase.Name(message.phase),
            cost_usd=message.cost_usd if message.HasField("cost_usd") else None,
            preview=preview_of(message),
        )


@dataclass(frozen=True)
class JobRecord:
    """A job as it stood when it was read. `asset` and `video_url` are those of the result, "" before the end and for a
    batch, which has `clips`, and so are `warnings`, `codec`, `codec_reason`, `frames_copied` and `whole_reason`;
    `error` says why it did not complete.
    A result that is an image has `image_url` in place of `video_url`. `files` are all results, the first one first;
    there are none where a video is all. `duration` (seconds, else None) and `scenes` are those of a story, and
    `media` is what a probe tells of a file: apigpu.v1.MediaReport, whose `HasField` says what is
    known. `quote` is what a dry run tells of a job that there is not: apigpu.v1.Quote.
    `cost_usd` is what it cost so far, None where nothing was rented for it; `metadata` what was noted on it,
    `deliveries` where its results are put, `preview` where its film plays, where that was asked for. `inputs` have the
    names of its files; `request` is what was asked for, without secrets: apigpu.v1.JobRequest. `queued` and `progress`
    say how far one is that has not ended; `attempts` what encoders tried, `input_facts` and `result_facts` what its
    files are, as far as that is known, not in lists. Times are UTC."""

    id: str
    status: Status
    operation: str
    queued_milliseconds: int
    encoding_milliseconds: int
    processed: int
    total: int
    asset: str
    video_url: str
    image_url: str
    files: tuple[ResultFile, ...]
    clips: tuple[Clip, ...]
    error: ServiceError | None
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    warnings: tuple[str, ...]
    codec: str
    codec_reason: str
    frames_copied: int
    whole_reason: str
    cost_usd: float | None
    metadata: dict[str, str]
    deliveries: tuple[ResultDelivery, ...]
    duration: float | None
    scenes: tuple[SceneSpan, ...]
    media: probe_pb2.MediaReport | None
    quote: quote_pb2.Quote | None
    preview: Preview | None
    inputs: tuple[JobInput, ...]
    request: jobs_pb2.JobRequest
    queued: Queued | None
    progress: Progress | None
    attempts: tuple[JobAttempt, ...]
    input_facts: tuple[MediaFacts, ...]
    result_facts: tuple[MediaFacts, ...]
    # The bytes of the result, where they came along with the end that was waited for, as it is small; else b"".
    result: bytes = field(repr=False, compare=False)

    @classmethod
    def from_message(cls, message: jobs_pb2.Job, service: object) -> Self:
        """Return the job that the gateway describes, with the `service` that reads it again."""
        output = message.output
        return from_message(
            cls,
            message,
            status=Status(jobs_pb2.Job.Status.Name(message.status)),
            queued_milliseconds=message.delay_time,
            encoding_milliseconds=message.execution_time,
            asset=output.asset,
            video_url=output.video_url,
            image_url=output.image_url,
            files=tuple(from_message(ResultFile, file) for file in output.files),
            clips=tuple(Clip.from_message(video) for video in output.videos),
            error=failure(message.error) if message.HasField("error") else None,
            created=to_datetime(message.create_time),
            started=to_datetime(message.start_time),
            ended=to_datetime(message.end_time),
            warnings=tuple(warning.message for warning in output.warnings),
            codec=output.encoding.codec,
            codec_reason=output.encoding.reason,
            frames_copied=output.encoding.frames_copied,
            whole_reason=output.encoding.whole_reason,
            cost_usd=message.cost.usd if message.HasField("cost") else None,
            metadata=dict(message.metadata),
            deliveries=tuple(delivery(found) for found in message.deliveries),
            duration=output.duration if output.HasField("duration") else None,
            scenes=tuple(from_message(SceneSpan, span) for span in output.scenes),
            media=output.media if output.HasField("media") else None,
            quote=message.quote if message.HasField("quote") else None,
            preview=preview_of(message),
            inputs=tuple(from_message(JobInput, found) for found in message.inputs),
            queued=Queued.from_message(message.queued) if message.HasField("queued") else None,
            progress=Progress.from_message(message.progress) if message.HasField("progress") else None,
            attempts=tuple(JobAttempt.from_message(found) for found in message.attempts),
            input_facts=tuple(from_message(MediaFacts, found) for found in message.input_facts),
            result_facts=tuple(from_message(MediaFacts, found) for found in message.result_facts),
            service=service,
        )

    def checked(self) -> Self:
        """Return the job when it completed. Raises like `wait` when it ended otherwise."""
        if self.status is Status.COMPLETED:
            return self
        raise self.error or ENDINGS.get(self.status, Internal)(f"Job {self.id} is {self.status} and says no more.")


ENDINGS: dict[Status, type[ServiceError]] = {
    Status.CANCELLED: Cancelled,
    Status.TIMED_OUT: DeadlineExceeded,
}


def failure(message: video_pb2.Failure) -> ServiceError:
    """Return the error that a job, or one image of it, carries."""
    return from_code(message.code, message.message, message.reason, fields=dict(message.fields))


class WaitTimeout(DeadlineExceeded, TimeoutError, reason="WAIT_TIMEOUT"):
    """A job did not end within the seconds that it was waited for; it goes on."""


J = TypeVar("J", bound=JobRecord)


@dataclass(frozen=True)
class Finished(Generic[J]):
    """The job ended, well or not: always the last event."""

    job: J


def event_of(
    message: jobs_pb2.WatchJobResponse, job: Callable[[jobs_pb2.Job], J]
) -> Queued | Progress | Clip | Finished[J]:
    """Return the event that the gateway tells, with a `job` of its last one."""
    match message.WhichOneof("event"):
        case "queued":
            return Queued.from_message(message.queued)
        case "item":
            return Clip.from_message(message.item)
        case "finished":
            return Finished(job(message.finished))
        case _:
            return Progress.from_message(message.progress)
