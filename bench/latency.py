"""What the pair adds to the smallest job."""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import plain
from bench.pair import Measured
from bench.timing import Row, timed

RUNS = 25
# What the pair prepares for the next job once it is idle must not take time from the command.
PAUSE_SECONDS = 0.15
WARM_UP_RUNS = 3


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """Upload, caption and download of a tiny video, warm, against the command; at the median."""
    client = pair.client
    video, srt, out = folder / "small.mp4", folder / "small.srt", folder / "small-out.mp4"
    plain.make_video(video, 0.4, "64x64")
    srt.write_text("1\n00:00:00,000 --> 00:00:00,400\nHi\n")

    parts: dict[str, list[float]] = {"submit": [], "wait": [], "download": []}

    def job() -> None:
        begun = time.perf_counter()
        submitted = client.caption(video, srt)
        parts["submit"].append((queued := time.perf_counter()) - begun)
        done = submitted.wait()
        parts["wait"].append((ended := time.perf_counter()) - queued)
        client.download(done, out)
        parts["download"].append(time.perf_counter() - ended)

    def command() -> None:
        plain.caption(video, srt, out)

    for _ in range(WARM_UP_RUNS):
        job()
        command()
    runs = [(after_a_pause(job), after_a_pause(command)) for _ in range(RUNS)]
    added = statistics.median(a - b for a, b in runs) * 1000
    mine, theirs = (statistics.median(side) * 1000 for side in zip(*runs, strict=True))
    yield "added to the smallest job, median", f"{added:.0f} ms ({mine:.0f} ms against {theirs:.0f} ms)", "≤ 30 ms"
    shares = ", ".join(f"{name} {statistics.median(took) * 1000:.0f} ms" for name, took in parts.items())
    yield "of which, as the client sees it, medians", shares, ""


def after_a_pause(work: Callable[[], None]) -> float:
    """Return the seconds that work takes, begun once nothing of before is left to do."""
    time.sleep(PAUSE_SECONDS)
    return timed(work)
