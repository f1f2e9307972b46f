"""Soundtracks: how much is saved where the video is not encoded again."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from api_gpu import Client
from apigpu.v1 import video_pb2
from bench import plain
from bench.alone import alone
from bench.pair import Measured
from bench.timing import RUNS, Row, against, timed

SECONDS = 60


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """Wall time of 60 s of 1080p, with sound that is encoded and with sound that is copied, against the plain command,
    which encodes everything again: with upload and download over mTLS, and as the operation alone, files at hand."""
    video, out = folder / "video.mp4", folder / "scored.mp4"
    plain.make_video(video, SECONDS, "1920x1080")
    for kind in ("wav", "m4a"):
        audio = folder / f"music.{kind}"
        plain.make_audio(audio, SECONDS)
        inputs = {"url_video": video, "url_audio": audio}
        request = video_pb2.AddAudioRequest(url_video="v", url_audio="a")
        runs = []
        for _ in range(RUNS):
            whole = timed(lambda audio=audio: _scored(pair.client, video, audio, out))
            own = alone("addaudio", [(request, inputs)], folder)[0].encode_seconds
            runs.append((whole, own, timed(lambda audio=audio: plain.addaudio(video, audio, out))))
        name = f"addaudio, 60 s 1080p, {kind}"
        yield f"{name}, with transfers", against([(whole, theirs) for whole, _, theirs in runs]), ""
        times = statistics.median(theirs / own for _, own, theirs in runs)
        seconds = statistics.median(own for _, own, _ in runs)
        yield f"{name}, the operation alone", f"{times:.0f} times faster ({seconds:.2f} s)", "≥ 25 times"


def _scored(client: Client, video: Path, audio: Path, out: Path) -> None:
    client.download(client.addaudio(video, audio).wait().asset, out)
