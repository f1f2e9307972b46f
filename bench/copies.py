"""Films of parts that fit as they are: copied, against the same parts in a container of which nothing is copied."""

from collections.abc import Callable, Iterator
from pathlib import Path

from api_gpu import Job, Scene
from bench import plain
from bench.pair import Measured
from bench.timing import Row, paired

INTRO, PART = 3, 10
SHAPE = {"width": 1920, "height": 1080, "fps": 25}
HD = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """Wall time, upload and download over mTLS included, and the frames that are copied: of an intro of another size
    before two parts of 20 s each; and of stretches of one recording, which begin between keyframes."""
    client, out = pair.client, folder / "joined.mp4"
    intro, recording = folder / "intro.mp4", folder / "recording.mp4"
    plain.make_video(intro, INTRO, "1280x720", "-g", "50", *HD)
    plain.make_video(recording, 2 * PART, "1920x1080", "-g", "50", *HD)
    whole = _as_stream(recording)

    def joined(source: Path) -> Job:
        return client.concat([intro, source, source], width=SHAPE["width"], height=SHAPE["height"]).wait()

    def told(source: Path) -> Job:
        stretches = [Scene(video=source, start=start + 0.5, end=start + PART) for start in (0, PART, PART / 2)]
        return client.story(stretches, **SHAPE).wait()

    for name, make in (("concat of an intro and two parts of 20 s 1080p", joined), ("story of three stretches", told)):
        copied: list[float] = []

        def made(source: Path, make: Callable[[Path], Job] = make, copied: list[float] = copied) -> None:
            job = make(source)
            copied.append(job.frames_copied)
            client.download(job.asset, out)

        yield paired(f"{name}, copied against all encoded", lambda: made(recording), lambda: made(whole), "≤ 0.35×")
        yield f"{name}: frames copied", f"{copied[0]:.0f}, else {copied[1]:.0f}", ""


def _as_stream(source: Path) -> Path:
    """Return the same packets as MPEG-TS, of which nothing is copied."""
    path = source.with_suffix(".ts")
    plain.ffmpeg("-i", source, "-c", "copy", path)
    return path
