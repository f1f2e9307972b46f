"""What is measured, each as rows of (what, figure, aim)."""

import shutil
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import plain
from bench.pair import Measured
from client.api import Client

Row = tuple[str, str, str]
RUNS = 3
LATENCY_RUNS = 25
MIB = 1024 * 1024
BIG_BYTES = 1024 * MIB
SAMPLE_SECONDS = 0.05


def timed(work: Callable[[], object]) -> float:
    """Seconds that the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def paired(name: str, ours: Callable[[], object], theirs: Callable[[], object], aim: str) -> Row:
    """Both in turn, A B A B …; the median of the ratios pair by pair, and the median seconds of each."""
    runs = [(timed(ours), timed(theirs)) for _ in range(RUNS)]
    ratio = statistics.median(a / b for a, b in runs)
    mine, plainly = (statistics.median(side) for side in zip(*runs, strict=True))
    return name, f"{ratio:.2f}× ({mine:.2f} s against {plainly:.2f} s)", aim


def operations(client: Client, folder: Path) -> Iterator[Row]:
    """Wall time of each operation, upload and download over mTLS included, against the plain command."""
    video, srt, image, audio = (folder / name for name in ("long.mp4", "dense.srt", "still.png", "tone.wav"))
    plain.make_video(video, 60, "1920x1080")
    plain.make_srt(srt, 60)
    plain.make_image(image)
    plain.make_audio(audio, 60)
    mine, theirs = folder / "mine.mp4", folder / "theirs.mp4"

    def captioned() -> None:
        client.download(client.caption(video, srt).wait().asset, mine)

    def zoomed(count: int) -> Callable[[], None]:
        def run() -> None:
            job = client.img2vid({str(n): image for n in range(count)}, seconds=5).wait()
            for clip in job.clips:
                client.download(clip.asset, mine)

        return run

    def plainly_zoomed(count: int) -> Callable[[], None]:
        return lambda: [plain.img2vid(image, 5, theirs) for _ in range(count)] and None

    def sounded() -> None:
        client.download(client.addaudio(video, audio).wait().asset, mine)

    yield paired(
        "caption, 60 s 1080p, a cue each second", captioned, lambda: plain.caption(video, srt, theirs), "≤ 1.10×"
    )
    yield paired("img2vid, one still, 5 s", zoomed(1), plainly_zoomed(1), "")
    yield paired("img2vid, four stills, 5 s each", zoomed(4), plainly_zoomed(4), "")
    yield paired("addaudio, 60 s 1080p", sounded, lambda: plain.addaudio(video, audio, theirs), "")


def latency(client: Client, folder: Path) -> Iterator[Row]:
    """What the pair adds to the smallest job, warm, at the median."""
    video, srt, out = folder / "small.mp4", folder / "small.srt", folder / "small-out.mp4"
    plain.make_video(video, 0.4, "64x64")
    srt.write_text("1\n00:00:00,000 --> 00:00:00,400\nHi\n")

    def job() -> None:
        client.download(client.caption(video, srt).wait().asset, out)

    def command() -> None:
        plain.caption(video, srt, out)

    for _ in range(3):
        job()
        command()
    runs = [(timed(job), timed(command)) for _ in range(LATENCY_RUNS)]
    added = statistics.median(a - b for a, b in runs) * 1000
    mine, theirs = (statistics.median(side) * 1000 for side in zip(*runs, strict=True))
    yield "added to the smallest job, median", f"{added:.0f} ms ({mine:.0f} ms against {theirs:.0f} ms)", "< 50 ms"


def transfer(pair: Measured, client: Client, folder: Path) -> Iterator[Row]:
    """MB/s of a 1 GiB file each way over mTLS, and the gateway's peak memory meanwhile."""
    big, back = folder / "big.bin", folder / "back.bin"
    block = bytes(range(256)) * (MIB // 256)
    with big.open("wb") as file:
        for _ in range(BIG_BYTES // MIB):
            file.write(block)
    before = pair.gateway.memory_info().rss
    with peak_memory(pair) as peak:
        asset = client.upload(big)
        upload = statistics.median([timed(lambda: client.delete(client.upload(big).name)) for _ in range(RUNS)])
    yield "upload over mTLS, 1 GiB", f"{BIG_BYTES / 1e6 / upload:.0f} MB/s", "> 250 MB/s"
    memory = f"{peak[0] / MIB:.0f} MiB (before: {before / MIB:.0f} MiB)"
    yield "peak memory of the gateway meanwhile", memory, "< 150 MB"
    copy = statistics.median([timed(lambda: shutil.copyfile(big, back)) for _ in range(RUNS)])
    yield "for comparison: a plain copy of that file", f"{BIG_BYTES / 1e6 / copy:.0f} MB/s", ""
    with peak_memory(pair) as peak:
        download = statistics.median([timed(lambda: client.download(asset, back)) for _ in range(RUNS)])
    yield "download over mTLS, 1 GiB", f"{BIG_BYTES / 1e6 / download:.0f} MB/s", "> 250 MB/s"
    yield "peak memory of the gateway meanwhile", f"{peak[0] / MIB:.0f} MiB", "< 150 MB"
    client.delete(asset.name)


@contextmanager
def peak_memory(pair: Measured) -> Iterator[list[int]]:
    """The largest resident size of the gateway while the block runs, bytes, as the only element."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], pair.gateway.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
