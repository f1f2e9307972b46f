"""The plan of a task: the FFmpeg runs that make its result, as plain values that tests can build by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoder.captions.fonts import FontLibrary
from encoder.codecs.base import Codec
from encoder.ffmpeg.command import FfmpegRun, OutputSpec
from encoder.media.info import ResultWarning, Source
from servicekit.errors import InvalidArgument

COPY = "copy"


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

    def output(self, audio: Sequence[Any], options: Mapping[str, str]) -> OutputSpec:
        """Return the output that writes the result, with streams of audio and options of FFmpeg."""
        names = {source.path.name: field for field, source in self.sources.items()}
        return OutputSpec(audio, options, self.result, names, self.threads)

    def source(self, field: str) -> Source:
        """Return the input of a field. Raises InvalidArgument when the task came without it."""
        if field not in self.sources:
            raise InvalidArgument(f"{field}: the task has no such input.", fields={field: "is missing"})
        return self.sources[field]


@dataclass(frozen=True)
class Plan:
    """FFmpeg runs, one after the other; one that depends on those before is a function that makes it after them.

    The last run makes the result, and its frames are the progress. `field` is to blame when the result is not as it
    should be. `codec` is the name of what made the video, or COPY. `finish` changes the finished file in place; it may
    block. No byte of a `streamable` result changes once it is written. The result must have the sound of
    `required_audio_field`; it may be silent where that is "".
    """

    runs: tuple[FfmpegRun | Callable[[], FfmpegRun], ...]
    field: str
    codec: str
    duration_seconds: float
    frames_total: int
    warnings: tuple[ResultWarning, ...] = ()
    finish: Callable[[Path], None] | None = None
    streamable: bool = False
    required_audio_field: str = ""


Operation = Callable[[Any, PlanContext], Plan]
"""Plans the runs for its request message; raises ServiceError for inputs that it cannot work with. May block: it reads
the inputs. The last run must write MP4 to `PlanContext.result`."""
