"""`python -m tools.demo`: the three operations over gRPC and over JSON, on a pair of its own, judged by decoding.

Results are left in out/; everything else, the pair too, is gone afterwards. Exit code 1 when a check fails.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from servicekit.errors import ServiceError
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


@dataclass(frozen=True)
class Outcome:
    """One operation, called one way: seconds from the first byte sent to the last received, results, their faults."""

    operation: str
    way: str
    seconds: float
    results: dict[Path, Footage]
    faults: list[str]


class Demo:
    """The operations on one set of files."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._source = footage(samples.video)

    def run(self, way: Transport) -> Iterator[Outcome]:
        """Each operation once."""
        samples = self._samples
        yield self._outcome("caption", way, lambda: way.caption(samples, OUT), self._caption_faults)
        yield self._outcome("img2vid", way, lambda: way.img2vid(samples, CLIP_SECONDS, OUT), self._clip_faults)
        yield self._outcome("addaudio", way, lambda: way.addaudio(samples, OUT), self._audio_faults)

    def _outcome(
        self,
        operation: str,
        way: Transport,
        call: Callable[[], list[Path]],
        judge: Callable[[Path, Footage], Iterator[str]],
    ) -> Outcome:
        started = time.monotonic()
        paths = call()
        seconds = time.monotonic() - started
        results = {path: footage(path) for path in paths}
        faults = [fault for path, found in results.items() for fault in judge(path, found)]
        return Outcome(operation, way.name, seconds, results, faults)

    def _caption_faults(self, path: Path, found: Footage) -> Iterator[str]:
        source, (shown, hidden) = self._source, cues(self._samples.subtitles, self._source.seconds)
        yield from differing("frames", found.frames, source.frames)
        yield from differing("size", found.size, source.size)
        yield from apart("duration", found.seconds, source.seconds)
        yield from apart("sound", found.audio_seconds or 0.0, source.audio_seconds or 0.0)
        if shown is not None and changed_share(path, self._samples.video, shown) < CAPTION_SHARE:
            yield f"no caption at {shown:.1f} s"
        if hidden is not None and changed_share(path, self._samples.video, hidden) >= CAPTION_SHARE:
            yield f"the picture differs at {hidden:.1f} s, where no caption is"

    def _clip_faults(self, path: Path, found: Footage) -> Iterator[str]:
        yield from differing("frames", found.frames, CLIP_FRAMES)
        yield from differing("size", found.size, CLIP_SIZE)
        yield from apart("duration", found.seconds, CLIP_SECONDS)
        if changed_share(path, path, 0.0, CLIP_SECONDS - TOLERANCE_SECONDS) < CAPTION_SHARE:
            yield "no zoom"

    def _audio_faults(self, path: Path, found: Footage) -> Iterator[str]:
        shorter = min(self._source.seconds, sound_seconds(self._samples.audio) or 0.0)
        yield from differing("size", found.size, self._source.size)
        yield from apart("duration", found.seconds, shorter)
        yield from apart("sound", found.audio_seconds or 0.0, shorter)


def differing(what: str, found: object, wanted: object) -> Iterator[str]:
    """A fault when the two are not the same."""
    if found != wanted:
        yield f"{what} {found}, not {wanted}"


def apart(what: str, found: float, wanted: float) -> Iterator[str]:
    """A fault when the two times are further apart than TOLERANCE_SECONDS."""
    if abs(found - wanted) > TOLERANCE_SECONDS:
        yield f"{what} {found:.2f} s, not {wanted:.2f} s"


def samples_in(folder: Path, video: Path | None, subtitles: Path | None) -> Samples:
    """The user's files, and samples in `folder` for what is not given."""
    folder.mkdir()
    video = video or make_video(folder / "sample.mp4")
    subtitles = subtitles or make_subtitles(folder / "sample.srt", footage(video).seconds)
    return Samples(video, subtitles, make_images(folder), make_audio(folder / "sample.wav"))


def table(outcomes: list[Outcome]) -> Table:
    """The outcomes, a row for each result."""
    result = Column("result", overflow="fold")
    made = Table("operation", "way", "seconds", result, "frames", "size", "check", box=None, pad_edge=False)
    for outcome in outcomes:
        verdict = "; ".join(outcome.faults) or "ok"
        for number, (path, found) in enumerate(outcome.results.items()):
            first = number == 0
            made.add_row(
                outcome.operation if first else "",
                outcome.way if first else "",
                f"{outcome.seconds:.1f}" if first else "",
                str(path),
                str(found.frames),
                found.size,
                verdict if first else "",
            )
    return made


def demonstrate(video: Path | None, subtitles: Path | None, console: Console) -> list[Outcome]:
    """Run everything; the outcomes. Raises ServiceError, and httpx.HTTPError for the JSON way."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="api-gpu-demo-") as folder:
        console.print("making sample media")
        demo = Demo(samples_in(Path(folder) / "media", video, subtitles))
        console.print("starting a gateway and an encoder on free ports")
        with (
            running(Path(folder) / "data") as pair,
            pair.client() as client,
            closing(JsonTransport(pair.http_url, pair.key)) as json,
        ):
            outcomes = []
            for outcome in chain(demo.run(GrpcTransport(client)), demo.run(json)):
                console.print(f"{outcome.operation} over {outcome.way}: {outcome.seconds:.1f} s")
                outcomes.append(outcome)
            return outcomes


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="tools.demo", description="The three operations over gRPC and over JSON.")
    parser.add_argument("--video", type=Path, help="your video instead of a sample")
    parser.add_argument("--srt", type=Path, help="your subtitles instead of a sample")
    given = parser.parse_args()
    console = Console(markup=False, highlight=False, soft_wrap=True)
    try:
        outcomes = demonstrate(given.video, given.srt, console)
    except ServiceError as error:
        sys.exit(f"tools.demo: {error}")
    console.print()
    console.print(table(outcomes))
    if any(outcome.faults for outcome in outcomes):
        sys.exit("tools.demo: a check failed")


if __name__ == "__main__":
    main()
