"""Ken Burns: time, size, likeness and steadiness of clips, against zoompan after a large upscale."""

import os
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from apigpu.v1 import video_pb2
from bench import ideal, plain
from bench.alone import alone
from bench.pair import Measured
from bench.timing import Row, against, timed
from bench.vmaf import vmaf
from bench.wobble import wobble

STILLS = 12
SECONDS = 5
RATE = 24
WIDTH, HEIGHT = 1920, 1080
JUDGED = 3
WOBBLE_SECONDS = (2, 5, 20)
RUNS = 3


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """A batch of stills over mTLS, transfers included, against the same commands one after the other, and against as
    many at once as there are cores."""
    images = [folder / f"still{number}.png" for number in range(STILLS)]
    for number, image in enumerate(images):
        plain.make_image(image, number)
    mine, theirs = folder / "mine", folder / "theirs"
    mine.mkdir()
    theirs.mkdir()

    def batch() -> None:
        job = pair.client.img2vid(images, seconds=SECONDS).wait()
        for clip in job.clips:
            pair.client.download(clip.asset, mine / f"{clip.id}.mp4")

    def command(image: Path) -> None:
        plain.img2vid(image, SECONDS, theirs / f"{image.stem}.mp4")

    def one_by_one() -> None:
        for image in images:
            command(image)

    def all_at_once() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(command, images))

    def operations() -> None:
        request = video_pb2.Img2VidRequest(url_image="i", duration=SECONDS)
        alone("img2vid", [(request, {"url_image": image}) for image in images], folder)

    runs = [(timed(batch), timed(one_by_one), timed(all_at_once), timed(operations)) for _ in range(RUNS)]
    name = f"img2vid, {STILLS} stills, {SECONDS} s each"
    yield f"{name}, with transfers", against([(ours, slow) for ours, slow, _, _ in runs]), ""
    yield f"{name}, the operations alone", against([(own, slow) for _, slow, _, own in runs]), "≤ 0.70×"
    at_once = f"{name}, with transfers, commands {os.cpu_count()} at once"
    yield at_once, against([(ours, fast) for ours, _, fast, _ in runs]), ""
    yield "bytes of those clips", f"{size(mine) / size(theirs):.2f}× ({size(mine) / 1e6:.1f} MB)", "≤ 1.00×"
    yield likeness(images[:JUDGED], mine, theirs, folder)
    for seconds in WOBBLE_SECONDS:
        yield steadiness(pair, images[0], seconds, folder)


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def likeness(images: list[Path], mine: Path, theirs: Path, folder: Path) -> Row:
    """VMAF of some of the clips against the ideal."""
    reference = folder / "ideal.yuv"
    scores = []
    for image in images:
        ideal.write(reference, ideal.zoomed(ideal.luma(image), WIDTH, HEIGHT, SECONDS * RATE))
        scores.append([vmaf(path / f"{image.stem}.mp4", reference, WIDTH, HEIGHT) for path in (mine, theirs)])
    reference.unlink()
    ours, plainly = (statistics.mean(side) for side in zip(*scores, strict=True))
    return f"VMAF of {len(images)} of them against an ideal zoom", f"{ours:.1f} (plain {plainly:.1f})", "≥ plain"


def steadiness(pair: Measured, image: Path, seconds: int, folder: Path) -> Row:
    """Wobble of a clip of so many seconds."""
    mine, theirs = folder / "steady.mp4", folder / "plainly-steady.mp4"
    job = pair.client.img2vid([image], seconds=seconds).wait()
    pair.client.download(job.clips[0].asset, mine)
    plain.img2vid(image, seconds, theirs)
    ours, plainly = wobble(mine), wobble(theirs)
    figure = f"{ours.center:.3f}, {ours.corners:.3f} px (plain {plainly.center:.3f}, {plainly.corners:.3f})"
    return f"wobble of center and corners, RMS, {seconds} s", figure, "≤ 0.05, 0.15 px"
