"""The plan of a task: the FFmpeg runs that make its result, as plain values that tests can build by hand; and the
containers of results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import options_pb2, probe_pb2, story_pb2, video_pb2
from encoder.captions.fonts import FontLibrary
from encoder.codecs.base import Codec
from encoder.ffmpeg.command import ExtraFile, FfmpegRun, OutputSpec
from encoder.ffmpeg.errors import CUT_OFF
from encoder.media.info import Range, Size, Source
from servicekit.errors import InvalidArgument

MP4_TYPE = "video/mp4"
INPUT_MISSING = "INPUT_MISSING"

MP4: Mapping[str, str] = {"f": "mp4", "movflags": "+faststart"}
# Fragments of a second at most, each whole when it is written. The index waits for the first one, as the edit lists,
# which keep sound and picture together, are not known before.
FRAGMENTED: Mapping[str, str] = {
    "f": "mp4",
    "movflags": "+empty_moov+delay_moov+default_base_moof+frag_keyframe",
    "frag_duration": "1000000",
}
CONTAINERS = {
    video_pb2.CONTAINER_UNSPECIFIED: MP4,
    video_pb2.CONTAINER_MP4: MP4,
    video_pb2.CONTAINER_FRAGMENTED_MP4: FRAGMENTED,
}
# Video that is copied: what MP4 can hold and players of MP4 can be expected to play. Anything else is made H.264.
COPIED_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")


def check_options(message: Message, prefix: str = "") -> None:
    """Raise InvalidArgument for a number outside the range that the proto gives its field, or a value that its enum
    lacks. Elements of lists, of which there may be thousands, are left to the gateway, but for those of a batch."""
    for field in message.DESCRIPTOR.fields:
        rules, value = field.GetOptions().Extensions[options_pb2.field], getattr(message, field.name)
        name, is_set = prefix + field.name, message.HasField(field.name) if field.has_presence else bool(value)
        if rules.batch:
            for element in value:
                check_options(element, f"{name}.")
        elif field.is_repeated or not (is_set or rules.required):
            continue
        elif field.message_type is not None:
            check_options(value, f"{name}.")
        elif field.enum_type is not None and value not in field.enum_type.values_by_number:
            known = ", ".join(known.name for known in field.enum_type.values)
            raise InvalidArgument.field(name, f"{value} is not known; give one of {known}.")
        # Written so that NaN is refused.
        elif rules.HasField("max") and not rules.min <= value <= rules.max:
            raise InvalidArgument.field(name, f"{value:g} is out of range; give {rules.min:g} to {rules.max:g}.")


@dataclass(frozen=True)
class PlanContext:
    """What an operation works with. FFmpeg runs in `folder`, where file names suffice. `threads` is how many the task
    should keep busy."""

    sources: Mapping[str, Source]
    folder: Path
    result: str
    codec: Codec
    threads: int
    fonts: FontLibrary
    # How many machines could work side by side, 0 where that is not known.
    workers: int = 0
    # How many tasks this one works on side by side.
    lanes: int = 1
    # True where the result is watched while it is made.
    is_watched: bool = False
    # True where nothing but the plan is wanted.
    plan_only: bool = False
    # True where the result may be composed of ranges of the inputs.
    composes: bool = False
    # How often a plan may still ask for more of its inputs.
    asks: int = 0

    def output(
        self,
        audio: Sequence[Any],
        options: Mapping[str, str | None],
        tags_of: Source | None = None,
        chapters_of: Source | None = None,
    ) -> OutputSpec:
        """Return the output that writes the result, with streams of audio and options of FFmpeg, and with the tags and
        chapters of inputs."""
        # Of a source that several fields name, the first one is blamed.
        names = {source.path.name: field for field, source in reversed(list(self.sources.items()))}
        tags, chapters = (source.path.name if source else "" for source in (tags_of, chapters_of))
        signs = "" if self.allow_partial else CUT_OFF
        return OutputSpec(audio, options, self.result, names, self.threads, tags, chapters, signs)

    @property
    def allow_partial(self) -> bool:
        """True where inputs that are cut off are taken as they are."""
        return any(source.allow_partial for source in self.sources.values())

    def listed(self, field: str, count: int) -> list[Source]:
        """Return the inputs of the elements of a repeated field. Raises InvalidArgument for one that is missing."""
        return [self.source(f"{field}[{index}]") for index in range(count)]

    def source(self, field: str) -> Source:
        """Return the input of a field. Raises InvalidArgument when the task came without it."""
        if field not in self.sources:
            text = f"{field}: the task has no such input."
            raise InvalidArgument(text, reason=INPUT_MISSING, fields={field: "is missing"})
        return self.sources[field]


@dataclass(frozen=True)
class Extent:
    """How much of a film was encoded: the frames that are those of the source, packet by packet; and why none is, ""
    where some are or none could be."""

    frames_copied: int = 0
    whole_reason: str = ""


Run = FfmpegRun | Callable[[], FfmpegRun | None]


@dataclass(frozen=True)
class Plan:
    """FFmpeg runs, one after the other; one that depends on those before is a function that makes it after them, or
    returns None where it is not needed.

    The last run makes the result, and its frames are the progress. `field` is to blame when the result is not as it
    should be. `codec` is the name of what made the video, or COPY. `finish` changes the finished file in place; it may
    block. No byte of a `streamable` result changes once it is written. The result must have the sound of
    `required_audio_field`; it may be silent where that is "". `content_type` is its MIME type, and `files` are the
    results beside it. With `further` tasks the job goes on; there is no result then where `content_type` is "".
    `scenes` tell when each scene of the result is shown, and `size` what the codec is to make.
    One that `plays` is a fragmented MP4, each segment of which can be played once it is there; of a head, which ends
    before what it is the head of, all but the last. Its index is appended.
    `compose` has a finished MP4, whose samples nobody reads, become the head of one that goes on with ranges of inputs.
    `report` returns, after the runs, what is told in place of a result; there is none then either. `progress` has for
    each run the frames that are done before it, -1 for one whose frames are no progress; where it has nothing, only the
    last one's are. `extent` tells, after the runs, how much was encoded. `wanted` are ranges of inputs, with their
    fields, that the runs need and that have not come; one that has no runs yet is planned anew once they are there.
    """

    runs: tuple[Run, ...]
    field: str
    codec: str
    duration_seconds: float
    frames_total: int
    warnings: tuple[video_pb2.Warning, ...] = ()
    finish: Callable[[Path], None] | None = None
    streamable: bool = False
    required_audio_field: str = ""
    content_type: str = MP4_TYPE
    files: tuple[ExtraFile, ...] = ()
    further: tuple[encoder_pb2.FurtherTask, ...] = ()
    scenes: tuple[story_pb2.SceneSpan, ...] = ()
    size: Size | None = None
    plays: bool = False
    is_head: bool = False
    compose: Callable[[Path], Sequence[encoder_pb2.ComposedRange]] | None = None
    report: Callable[[], probe_pb2.MediaReport] | None = None
    progress: tuple[int, ...] = ()
    extent: Callable[[], Extent] | None = None
    wanted: tuple[tuple[str, Sequence[Range]], ...] = ()

    @property
    def changes_result(self) -> bool:
        """True where what the runs wrote is not the result yet: nothing of it may be sent before it was finished."""
        return self.plays or self.finish is not None or self.compose is not None


Operation = Callable[[Any, PlanContext], Plan]
"""Plans the runs for its request message; raises ServiceError for inputs that it cannot work with. May block: it reads
the inputs. The runs must write the result, of the type that the plan names, to `PlanContext.result`."""


def copy_video(codec: str) -> dict[str, str]:
    """Return options that copy a video of a codec."""
    # Apple's players know no other tag of HEVC.
    return {"c:v": "copy"} | ({"tag:v": "hvc1"} if codec == "hevc" else {})


def container(request: Any) -> Mapping[str, str]:
    """Return options that write the requested container."""
    return CONTAINERS[request.container]


def is_streamable(request: Any) -> bool:
    """Return True if the file can be sent while it is written."""
    return container(request) is FRAGMENTED
