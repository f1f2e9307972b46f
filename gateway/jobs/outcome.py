"""What becomes of a task: a result, or a failure. Pure."""

from dataclasses import dataclass, field

from servicekit.codec import SPARSE


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed: number of the gRPC code, text for the caller, reason for programs ("": none), and what is
    wrong with which fields of the request."""

    code: int
    message: str
    reason: str = ""
    fields: tuple[tuple[str, str], ...] = field(default=(), metadata=SPARSE)


@dataclass(frozen=True, slots=True)
class ResultWarning:
    """A deviation of a result from the request: Warning in video.proto."""

    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A further result of a task: its file name, its asset ("assets/…"), its MIME type."""

    name: str
    asset: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Result:
    """A stored result: the asset, its frames, what made the video and why that ("" where it is not known), its MIME
    type (in records of before there were others "" for MP4), the further results, its seconds, and the bytes of all (0
    where they are not known). A task that answers with further tasks may have no asset (""); one whose result is a
    `report`, a serialized apigpu.v1.MediaReport, has none. `frames_copied` of its frames were not encoded, or there is
    a `whole_reason`. `encode_seconds` passed from the last byte of the inputs to the finished file, 0 where that is not
    known. `playback`, a serialized apigpu.encoder.v1.Playback, tells how it plays. `facts`, a serialized
    apigpu.encoder.v1.Summary with these alone, has the size of its picture, and what its inputs are."""

    asset: str
    frames: int
    codec: str = ""
    codec_reason: str = ""
    warnings: tuple[ResultWarning, ...] = ()
    content_type: str = ""
    files: tuple[ResultFile, ...] = ()
    duration_seconds: float = 0.0
    report: bytes = b""
    playback: bytes = b""
    frames_copied: int = 0
    whole_reason: str = ""
    size_bytes: int = 0
    encode_seconds: float = 0.0
    facts: bytes = b""
