"""Captions: time, and whether picture and sound stay together."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import av

from bench import plain
from bench.pair import Measured
from bench.timing import Row, paired

SECONDS = 60


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """Wall time, upload and download over mTLS included, against the plain command; shift of frames in time."""
    client = pair.client
    video, srt = folder / "long.mp4", folder / "dense.srt"
    plain.make_video(video, SECONDS, "1920x1080")
    plain.make_srt(srt, SECONDS)
    mine, theirs = folder / "captioned.mp4", folder / "plainly-captioned.mp4"

    def captioned(source: Path = video) -> None:
        client.download(client.caption(source, srt).wait().asset, mine)

    yield paired(
        "caption, 60 s 1080p, a cue each second", captioned, lambda: plain.caption(video, srt, theirs), "≤ 1.10×"
    )
    yield from _spliced(pair, folder)
    uneven = folder / "uneven.mkv"
    plain.make_uneven_video(uneven, SECONDS)
    captioned(uneven)
    plain.caption(uneven, srt, theirs)
    shifts = [max(shifted(uneven, path)) * 1000 for path in (mine, theirs)]
    figure = f"{shifts[0]:.1f} ms (plain {shifts[1]:.1f} ms)"
    yield "largest shift of picture against sound, uneven frame rate", figure, "≤ 1 frame (20 ms)"


def _spliced(pair: Measured, folder: Path) -> Iterator[Row]:
    """Captions over a fifth of a film with a keyframe every two seconds: wall time, and whether all else is copied."""
    client = pair.client
    video, srt = folder / "streamed.mp4", folder / "sparse.srt"
    plain.make_video(video, SECONDS, "1920x1080", "-g", "50")
    plain.make_sparse_srt(srt, SECONDS)
    mine, theirs = folder / "spliced.mp4", folder / "plainly-spliced.mp4"
    copied: list[int] = []

    def captioned() -> None:
        job = client.caption(video, srt).wait()
        copied.append(job.frames_copied)
        client.download(job.asset, mine)

    name = "caption over a fifth of 60 s 1080p, a keyframe every 2 s"
    yield paired(name, captioned, lambda: plain.caption(video, srt, theirs), "≤ 0.30×")
    same = len(_packets(video) & _packets(mine))
    yield f"{name}: frames copied, and packets that are the source's", f"{copied[-1]}, {same}", "alike"


def _packets(path: Path) -> set[tuple[float, str]]:
    """When each frame is shown, and the digest of its packet."""
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux(video=0) if packet.size]
        return {
            (round(float((packet.pts or 0) * packet.time_base), 6), hashlib.sha256(packet).hexdigest())
            for packet in found
        }


def shifted(source: Path, captioned: Path) -> Iterator[float]:
    """Seconds by which each frame is nearer to the beginning of the sound than in the source, or farther; infinite when
    frames are missing."""
    before, after = (led(path) for path in (source, captioned))
    if len(before) != len(after):
        yield float("inf")
    for one, other in zip(before, after, strict=False):
        yield abs(one - other)


def led(path: Path) -> list[float]:
    """When each frame is shown, in seconds from the first sample of sound."""
    with av.open(str(path)) as container:
        sound = next(frame.time for frame in container.decode(audio=0))
    with av.open(str(path)) as container:
        return [frame.time - sound for frame in container.decode(video=0)]
