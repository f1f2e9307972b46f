"""What jobs tell: results, clips of batches, where results are put, and how far a job is."""

from __future__ import annotations

from dataclasses import dataclass

from api_gpu.destinations import ResultDelivery
from api_gpu.requests import from_message
from apigpu.v1 import jobs_pb2, probe_pb2, video_pb2
from servicekit.errors import ServiceError, from_code


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
    `reason` says why none is, "" where that is not known."""

    place: int
    phase: str = "WAITING_FOR_WORKER"
    reason: str = ""

    @classmethod
    def from_message(cls, message: jobs_pb2.Queued) -> Queued:
        """Return the place that the gateway describes."""
        return cls(message.place, jobs_pb2.Phase.Name(message.phase), message.reason)


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


def failure(message: video_pb2.Failure) -> ServiceError:
    """Return the error that a job, or one image of it, carries."""
    return from_code(message.code, message.message, message.reason, fields=dict(message.fields))
