"""`python -m tools.demo`: the three operations over gRPC and over JSON, on a pair of its own, judged by decoding.

Results are left in out/; everything else, the pair too, is gone afterwards. Exit code 1 when a check fails.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
from rich.console import Console
from rich.table import Column, Table

from api_gpu.assets import check_readable
from servicekit.errors import ServiceError
from tools import scratch
from tools.media_check import Footage, changed_share, footage, sound_seconds
from tools.pair import running
from tools.samples import Samples, cues, make_audio, make_images, make_subtitles, make_video
from tools.transports import GrpcTransport, JsonTransport, Transport

OUT = Path("out")
CLIP_SECONDS = 2.0
CLIP_FRAMES = 48
CLIP_SIZE = "1920×1080"
TOLERANCE_SECONDS = 0.1
CAPTION_SHARE = 0.001
# Of the demo, over each transport.
OPERATIONS = 3


@dataclass(frozen=True)
class Outcome:
    """One operation over one transport: seconds from the first byte sent to the last received, results, faults."""

    operation: str
    transport: str
    seconds: float
    results: dict[Path, Footage]
    faults: list[str]


class Demo:
    """The operations on one set of files."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._source = footage(samples.video)

    def run(self, transport: Transport) -> Iterator[Outcome]:
        """Yield the outcome of each operation."""
        samples = self._samples
        yield self._outcome("caption", transport, lambda: transport.caption(samples, OUT), self._caption_faults)
        yield self._outcome(
            "img2vid", transport, lambda: transport.img2vid(samples, CLIP_SECONDS, OUT), self._clip_faults
        )
        yield self._outcome("addaudio", transport, lambda: transport.addaudio(samples, OUT), self._audio_faults)

    def _outcome(
        self,
        operation: str,
        transport: Transport,
        call: Callable[[], list[Path]],
        judge: Callable[[Path, Footage], Iterator[str]],
    ) -> Outcome:
        started = time.monotonic()
        paths = call()
        seconds = time.monotonic() - started
        results = {path: footage(path) for path in paths}
        faults = [fault for path, found in results.items() for fault in judge(path, found)]
        return Outcome(operation, transport.name, seconds, results, faults)

    def _caption_faults(self, path: Path, found: Footage) -> Iterator[str]:
        source, (shown, hidden) = self._source, cues(self._samples.subtitles, self._source.seconds)
        yield from unequal("frames", found.frames, source.frames)
        yield from unequal("size", found.size, source.size)
        yield from apart("duration", found.seconds, source.seconds)
        yield from apart("sound", found.audio_seconds or 0.0, source.audio_seconds or 0.0)
        if shown is not None and changed_share(path, self._samples.video, shown) < CAPTION_SHARE:
            yield f"no caption at {shown:.1f} s"
        if hidden is not None and changed_share(path, self._samples.video, hidden) >= CAPTION_SHARE:
            yield f"the picture differs at {hidden:.1f} s, where no caption is"

    def _clip_faults(self, path: Path, found: Footage) -> Iterator[str]:
        yield from unequal("frames", found.frames, CLIP_FRAMES)
        yield from unequal("size", found.size, CLIP_SIZE)
        yield from apart("duration", found.seconds, CLIP_SECONDS)
        if changed_share(path, path, 0.0, CLIP_SECONDS - TOLERANCE_SECONDS) < CAPTION_SHARE:
            yield "no zoom"

    def _audio_faults(self, path: Path, found: Footage) -> Iterator[str]:
        shorter = min(self._source.seconds, sound_seconds(self._samples.audio) or 0.0)
        yield from unequal("size", found.size, self._source.size)
        yield from apart("duration", found.seconds, shorter)
        yield from apart("sound", found.audio_seconds or 0.0, shorter)


def unequal(name: str, actual: object, expected: object) -> Iterator[str]:
    """Yield a fault when the two are not equal."""
    if actual != expected:
        yield f"{name} {actual}, not {expected}"


def apart(name: str, actual: float, expected: float) -> Iterator[str]:
    """Yield a fault when the two times are further apart than TOLERANCE_SECONDS."""
    if abs(actual - expected) > TOLERANCE_SECONDS:
        yield f"{name} {actual:.2f} s, not {expected:.2f} s"


def samples_in(folder: Path, video: Path | None, subtitles: Path | None) -> Samples:
    """Return the user's files, and samples made in `folder` in place of those that are not given."""
    folder.mkdir()
    video = video or make_video(folder / "sample.mp4")
    subtitles = subtitles or make_subtitles(folder / "sample.srt", footage(video).seconds)
    return Samples(video, subtitles, make_images(folder), make_audio(folder / "sample.wav"))


def table(outcomes: list[Outcome]) -> Table:
    """Return a table of the outcomes, a row for each result."""
    result = Column("result", overflow="fold")
    made = Table("operation", "by", "seconds", result, "frames", "size", "check", box=None, pad_edge=False)
    for outcome in outcomes:
        verdict = "; ".join(outcome.faults) or "ok"
        for number, (path, found) in enumerate(outcome.results.items()):
            first = number == 0
            made.add_row(
                outcome.operation if first else "",
                outcome.transport if first else "",
                f"{outcome.seconds:.1f}" if first else "",
                str(path),
                str(found.frames),
                found.size,
                verdict if first else "",
            )
    return made


def demonstrate(video: Path | None, subtitles: Path | None, console: Console) -> list[Outcome]:
    """Run everything and return the outcomes. Raises ServiceError, and httpx.HTTPError for JSON."""
    OUT.mkdir(exist_ok=True)
    with scratch.folder("demo") as folder:
        console.print("making sample media")
        demo = Demo(samples_in(folder / "media", video, subtitles))
        console.print("starting a gateway and an encoder on free ports")
        with (
            running(folder / "data") as pair,
            pair.client() as client,
            closing(JsonTransport(pair.http_url, pair.key)) as json,
        ):
            return told(demo, (GrpcTransport(client), json), console)


def told(demo: Demo, transports: Sequence[Transport], console: Console) -> list[Outcome]:
    """Run the operations over each transport, and print a line for each that is done; return the outcomes."""
    count, outcomes = OPERATIONS * len(transports), []
    for outcome in chain.from_iterable(map(demo.run, transports)):
        outcomes.append(outcome)
        name = f"{outcome.operation} over {outcome.transport}"
        console.print(f"{len(outcomes)} of {count}: {name}, {outcome.seconds:.1f} s")
    return outcomes


def path_in(variable: str) -> Path | None:
    """Return the path that an environment variable holds; None when it is not set or empty."""
    text = os.environ.get(variable)
    return Path(text) if text else None


def main() -> None:
    """Run the demo on the files of the command line, or of VIDEO and SRT."""
    parser = argparse.ArgumentParser(prog="tools.demo", description="The three operations over gRPC and over JSON.")
    parser.add_argument("--video", type=Path, default=path_in("VIDEO"), help="your video instead of a sample")
    parser.add_argument("--srt", type=Path, default=path_in("SRT"), help="your subtitles instead of a sample")
    arguments = parser.parse_args()
    console = Console(markup=False, highlight=False, soft_wrap=True)
    try:
        check_readable(filter(None, (arguments.video, arguments.srt)))
        outcomes = demonstrate(arguments.video, arguments.srt, console)
    except av.FFmpegError as error:
        sys.exit(f"tools.demo: cannot decode the video: {error}")
    except ServiceError as error:
        sys.exit(f"tools.demo: {error}")
    console.print()
    console.print(table(outcomes))
    if any(outcome.faults for outcome in outcomes):
        sys.exit("tools.demo: a check failed")


if __name__ == "__main__":
    main()
