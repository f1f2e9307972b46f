"""What the encoder, the fork server and the process that plans one task say to each other: JSON of these dataclasses.

A process that plans has read what callers sent, and may be under their command: of it the encoder takes nothing but
data, bounded in size and held against these types. It never unpickles, and opens no path that it is told.
"""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from encoder.codecs.nvenc.request import EncodeRequest, Parameters
from servicekit.codec import from_json, to_json

# Requests have the words of captions in them, replies the command lines.
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
LENGTH = struct.Struct(">I")
MAX_PACKET_BYTES = 128 * 1024
# Of the folders of samples, beside those of tasks.
SAMPLE_PREFIX = "sample-"

T = TypeVar("T")


@dataclass(frozen=True)
class PlanningSettings:
    """What planning needs of the encoder's settings."""

    x264_preset: str
    crf: int
    nvenc: Parameters
    fonts_dir: str
    work_dir: str


@dataclass(frozen=True)
class PlanRequest:
    """A task: a serialized apigpu.v1.Operation, or in its place a serialized StoryPart; its inputs, by field the name
    of the file in `folder`; the path that the result is to be written to; the name of the codec; the seconds of
    processor time that planning may take; by field what is said of its encoding; the fields of inputs that have
    holes; how many machines could work side by side, 0 where that is not known, and how many tasks this one does;
    whether its result is watched while it is made; whether it is planned alone; whether its result may be composed of
    ranges of inputs; how often its plan may ask for more of the inputs."""

    operation: bytes
    inputs: dict[str, str]
    folder: str
    result: str
    codec: str
    threads: int
    cpu_seconds: int
    charsets: dict[str, str] = field(default_factory=dict)
    part: bytes = b""
    outlines: tuple[str, ...] = ()
    workers: int = 0
    lanes: int = 1
    is_watched: bool = False
    plan_only: bool = False
    composes: bool = False
    asks: int = 0


@dataclass(frozen=True)
class PlannerRequest:
    """One of: plan a task; make run number `run` of it, for which those before it have been; check its results."""

    plan: PlanRequest | None = None
    run: int | None = None
    check: bool = False


@dataclass(frozen=True)
class FramesData:
    """StillFrames: files in the task's folder, by their name, width, height and grid; with `following` ones, a
    StillReel."""

    levels: tuple[tuple[str, int, int, int], ...]
    width: int
    height: int
    motion: bytes
    count: int
    field: str
    first: int = 0
    whole: int = 0
    following: tuple["MeetingData", ...] = ()


@dataclass(frozen=True)
class MeetingData:
    """A still that another one leads to: frames of the transition, the message that says which, and the still."""

    frames: int
    transition: bytes
    still: FramesData


@dataclass(frozen=True)
class SourceRun:
    """A run of FFmpeg that a session of a codec gets its frames from; its standard input is nothing, or `frames`."""

    arguments: tuple[str, ...]
    fields: tuple[str, ...]
    allows_partial: bool = False
    frames: FramesData | None = None


@dataclass(frozen=True)
class RunData:
    """An FfmpegRun; where it `allows_partial`, inputs that are cut off are taken as they are. Its standard input is
    nothing, or `frames`; or what a session makes for `request`, of `frames` or of what `source` decodes. The files that
    it `keeps` are in the task's folder."""

    arguments: tuple[str, ...]
    fields: tuple[str, ...]
    is_image: bool
    frames: FramesData | None = None
    request: EncodeRequest | None = None
    source: SourceRun | None = None
    allows_partial: bool = False
    keeps: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileData:
    """An ExtraFile."""

    name: str
    content_type: str


@dataclass(frozen=True)
class PlanData:
    """A plan. A run that can only be made after those before it is None. `warnings` are serialized apigpu.v1.Warning,
    `further` FurtherTask, `scenes` SceneSpan, `size` the width and height that the further tasks make, 0 where there
    are none; one that `reports` tells something in place of a result; one that `finishes` changes its result as
    it is checked; `font_tiers` tells how many tiers of fonts were read for it; `inputs` are apigpu.v1.MediaFacts;
    `wanted` are the ranges that it lacks, with the fields of inputs."""

    runs: tuple[RunData | None, ...]
    field: str
    codec: str
    duration_seconds: float
    frames_total: int
    warnings: tuple[bytes, ...]
    streamable: bool
    content_type: str
    files: tuple[FileData, ...]
    font_tiers: int
    further: tuple[bytes, ...] = ()
    scenes: tuple[bytes, ...] = ()
    size: tuple[int, int] = (0, 0)
    reports: bool = False
    progress: tuple[int, ...] = ()
    finishes: bool = False
    inputs: tuple[bytes, ...] = ()
    wanted: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = ()


@dataclass(frozen=True)
class PlannerReply:
    """What comes back of a request, after any number of notes of which input is `reading`: the answer, or an error as a
    serialized google.rpc.Status, or the traceback of one that nobody foresaw. A run may be `needless`. `summary` is a
    serialized Summary.
    `cpu_seconds` is the processor time that the process has used so far."""

    reading: str | None = None
    plan: PlanData | None = None
    run: RunData | None = None
    needless: bool = False
    summary: bytes | None = None
    status: bytes | None = None
    traceback: str | None = None
    out_of_memory: bool = False
    is_disk_full: bool = False
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class ForkRequest:
    """Fork process number `number`, which may take so many seconds of processor time, bytes of memory beyond what it
    begins with, and bytes of a file; and, where it `is_confined`, see these paths alone."""

    number: int
    cpu_seconds: int
    memory_bytes: int
    file_bytes: int
    is_confined: bool
    readable: tuple[str, ...]
    writable: tuple[str, ...]


@dataclass(frozen=True)
class LaunchRequest:
    """To the launch server, one of: launch a program as number `launch`, which `waits` until it is told what to do;
    kill number `kill`, if it lives. With a program come descriptors: a file that holds its ProgramData, and its
    standard input, output and error."""

    launch: int | None = None
    kill: int | None = None
    waits: bool = False


@dataclass(frozen=True)
class ProgramData:
    """A program: its command line, as a sandbox wraps it, and the folder that it begins in."""

    command: tuple[str, ...]
    folder: str


@dataclass(frozen=True)
class ServerRequest:
    """One of: fork a process; kill number `kill`, if it lives; have `font_tiers` tiers of fonts read for those to
    come."""

    fork: ForkRequest | None = None
    kill: int | None = None
    font_tiers: int | None = None


@dataclass(frozen=True)
class ServerReply:
    """First, empty: the server is ready. Then: process number `ended` ended with a return code, negative for a signal;
    or could not be made, for lack of memory or processes."""

    ended: int | None = None
    return_code: int = 0


def pack(message: object) -> bytes:
    """Return a message as it is sent."""
    data = to_json(message)
    return LENGTH.pack(len(data)) + data


def check_length(head: bytes) -> int:
    """Return the length of the message behind a head. Raises ValueError for one that is too long."""
    (length,) = LENGTH.unpack(head)
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {length} bytes is too long")
    return int(length)


def iter_messages(channel: socket.socket, kind: type[T]) -> Iterator[T]:
    """Yield the messages that come over a blocking channel, until it is closed."""
    with channel.makefile("rb") as file:
        while len(head := file.read(LENGTH.size)) == LENGTH.size:
            yield from_json(kind, file.read(check_length(head)))
