"""Soundtracks: how much is saved where the video is not encoded again."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from bench import plain
from bench.pair import Measured
from bench.timing import RUNS, Row, against, timed

SECONDS = 60


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """Wall time of 60 s of 1080p, upload and download over mTLS included and as the encoder alone tells it, with sound
    that is encoded and with sound that is copied, against the plain command, which encodes everything again."""
    client = pair.client
    video, out = folder / "scored-video.mp4", folder / "scored.mp4"
    plain.make_video(video, SECONDS, "1920x1080")
    for kind in ("wav", "m4a"):
        audio = folder / f"tone.{kind}"
        plain.make_audio(audio, SECONDS)
        own: list[float] = []

        def scored(audio: Path = audio, own: list[float] = own) -> None:
            job = client.addaudio(video, audio).wait()
            own.append(job.encoding_milliseconds / 1000)
            client.download(job.asset, out)

        def command(audio: Path = audio) -> None:
            plain.addaudio(video, audio, out)

        pairs = [(timed(scored), timed(command)) for _ in range(RUNS)]
        theirs = statistics.median(b for _, b in pairs)
        name = f"addaudio, 60 s 1080p, {kind}"
        yield f"{name}, with transfers", against(pairs), ""
        alone = statistics.median(own)
        yield (
            f"{name}, on the encoder",
            f"{alone / theirs:.3f}× ({alone:.2f} s: {theirs / alone:.0f} times faster)",
            "≤ 0.04×",
        )
