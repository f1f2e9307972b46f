"""Long films of many scenes: whether each scene begins at its frame and its sound with it, and what planning takes."""

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import story_pb2, video_pb2
from bench import plain
from bench.alone import alone
from bench.pair import Measured
from bench.timing import Row
from gateway.jobs import further, graph, model
from gateway.jobs.model import Job, Result
from servicekit.codec import to_json

SCENES, SECONDS, RATE = 20, 30, Fraction(30000, 1001)
SIZE = {"width": 160, "height": 90}
PLANNED = 500
# Of a full tone; less comes before it, as codecs of sound have it.
LOUD, BRIGHT = 0.25, 128


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """A film of ten minutes at 29.97 frames a second, dark and bright by turns, with a tone in the bright scenes; and
    the planning of a film of 500 scenes."""
    yield from _joints(pair, folder)
    yield from _planning(folder)


def _joints(pair: Measured, folder: Path) -> Iterator[Row]:
    tone, film = folder / "tone.wav", folder / "film.mp4"
    plain.ffmpeg("-f", "lavfi", "-i", f"aevalsrc=0.5*sin(2000*PI*t):s=48000:d={SECONDS}", tone)
    dark = {"image_url": _still(folder, "black"), "duracao": SECONDS}
    bright = {"image_url": _still(folder, "white"), "url_audio": tone}
    job = pair.client.story([dark, bright] * (SCENES // 2), frame_rate=float(RATE), **SIZE).wait()
    pair.client.download(job.asset, film)
    seen, heard = _brightenings(film), _beginnings(film)
    told = [scene.start for scene in job.scenes][1::2]
    name = f"{SCENES * SECONDS // 60} minutes, {SCENES} scenes"
    off = max((abs(found - start) * RATE for found, start in zip(seen, told, strict=True)), default=np.inf)
    yield f"{name}: scenes begin off what is told, at the most", f"{off:.2f} frames", "0"
    apart = (heard[-1] - seen[-1]) * 1000
    yield (
        f"{name}: sound after the picture of the last scene",
        f"{apart:.1f} ms",
        f"≤ 1 frame ({float(1000 / RATE):.1f} ms)",
    )


def _still(folder: Path, color: str) -> Path:
    path = folder / f"{color}.png"
    plain.ffmpeg("-f", "lavfi", "-i", f"color=c={color}:size=160x90", "-frames:v", "1", path)
    return path


def _brightenings(film: Path) -> list[float]:
    """When a bright picture follows a dark one, in seconds."""
    found, was_bright = [], False
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            is_bright = frame.to_ndarray(format="gray").mean() > BRIGHT
            if is_bright and not was_bright:
                found.append(float(frame.time))
            was_bright = is_bright
    return found


def _beginnings(film: Path) -> list[float]:
    """When a tone begins after a second of silence, in seconds."""
    loud: list[float] = []
    with av.open(str(film)) as container:
        for frame in container.decode(audio=0):
            samples = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > LOUD)
            loud += [frame.time + number / frame.sample_rate for number in samples[[0, -1]]] if samples.size else []
    return [after for before, after in zip([-2.0, *loud], loud, strict=False) if after - before > 1]


def _planning(folder: Path) -> Iterator[Row]:
    still, voice = _still(folder, "gray"), folder / "voice.m4a"
    plain.make_audio(voice, 1)
    request = video_pb2.StoryRequest(transition=story_pb2.Transition(kind=story_pb2.TRANSITION_KIND_CROSSFADE))
    inputs = {}
    for number in range(PLANNED):
        request.scenes.add(image_url=f"assets/{2 * number:026d}", url_audio=f"assets/{2 * number + 1:026d}")
        inputs |= {f"scenes[{number}].image_url": still, f"scenes[{number}].url_audio": voice}
    (summary,) = alone("story", [(request, inputs)], folder)
    yield f"planning of {PLANNED} scenes, each with its narration (AAC)", f"{summary.encode_seconds:.2f} s", "< 2 s"
    size = len(to_json(_ended(request, summary)))
    yield f"record of {PLANNED} scenes once they are made", f"{size / 1024:.0f} KiB", "< 256 KiB"


def _ended(request: video_pb2.StoryRequest, summary: encoder_pb2.Summary) -> Job:
    """The record of a job whose tasks are all done."""
    operation = video_pb2.Operation(story=request)
    now = time.time()
    tasks = graph.tasks_of(operation, PLANNED)
    job = Job(model.new_id(now), "story", graph.request_of(operation), False, tasks, now, graph=True)
    found = further.expansion(job, 0, summary)
    for index in range(len(summary.further) + 1):
        result = Result(f"assets/{model.new_id(now)}", 24, codec="x264", content_type="video/mp4")
        started = model.start_task(job, index, now)
        job = further.complete_task(started, index, result, now, found if index == 0 else None)
    return job
