"""Films that play while they are made: how long it takes from the request to the first picture, and how long a player
that begins then stands still."""

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import av
import httpx
import m3u8

from api_gpu import Client, Job, Progress, Scene, Transition
from bench import plain
from bench.pair import Measured
from bench.timing import Row
from servicekit.errors import FailedPrecondition

SECONDS, SCENE_SECONDS, STILLS = 600, 5, 10
# So much of a film is followed; its pieces grow no more then.
FOLLOWED_SECONDS = 150
AIM = "< 4 s"


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """Seconds until a picture is decoded, of a film of 10 minutes in 1080p: of stills with narration, music and
    captions, and of a video with captions in pieces; then those that a player waits for more in the first minutes.
    Sources are there already."""
    srt = folder / "talk.srt"
    plain.make_srt(srt, SECONDS)
    client = pair.client.previewing()
    yield "first picture of a story of 10 minutes", _played(_story(client, folder, srt)), AIM
    yield "first picture of captions on a video of 10 minutes", _played(_captions(client, folder, srt)), AIM


def _story(client: Client, folder: Path, srt: Path) -> Callable[[], Job]:
    voice, stills = folder / "voice.m4a", [folder / f"still{number}.png" for number in range(STILLS)]
    plain.make_audio(voice, SECONDS)
    for number, still in enumerate(stills):
        plain.make_image(still, number)
    names = [client.upload(path).name for path in (*stills, voice, srt)]
    *pictures, sound, captions = names
    scenes = [
        Scene(image=pictures[number % STILLS], seconds=SCENE_SECONDS) for number in range(SECONDS // SCENE_SECONDS)
    ]
    fade = Transition(kind="crossfade", seconds=0.5)
    return lambda: client.story(scenes, narration=sound, music=sound, subtitles=captions, transition=fade)


def _captions(client: Client, folder: Path, srt: Path) -> Callable[[], Job]:
    video = folder / "video.mp4"
    plain.make_long_video(video, SECONDS, "1920x1080")
    named, captions = client.upload(video).name, client.upload(srt).name
    return lambda: client.caption(named, captions)


def _played(submit: Callable[[], Job]) -> str:
    """Return how long it took, how many seconds could be played then and whether they could be heard, and how long a
    player that began then stood still. The job is canceled."""
    begun, growth = time.perf_counter(), list[tuple[float, float]]()
    first, played = "not before the end", 0.0
    job = submit()
    try:
        for event in job.watch():
            shown = event.preview if isinstance(event, Progress) else None
            if shown is None or shown.seconds <= played:
                continue
            if not growth:
                _decode_first(shown.url)
                heard = "heard" if shown.sound else "silent"
                first = f"{time.perf_counter() - begun:.2f} s ({shown.seconds:.1f} s play, {heard})"
            played = shown.seconds
            growth.append((time.perf_counter() - begun, played))
            if shown.complete or shown.seconds > FOLLOWED_SECONDS:
                break
    finally:
        with suppress(FailedPrecondition):  # it has ended
            job.cancel()
    return f"{first}; stands still for {stalled_seconds(growth):.1f} s in the first {played:.0f} s"


def stalled_seconds(growth: Sequence[tuple[float, float]]) -> float:
    """Return how long a player stands still that begins with the first of these moments, at each of which so many
    seconds of the film play."""
    stalled = 0.0
    for (_, seconds), (moment, _) in pairwise(growth):
        stalled += max(moment - (growth[0][0] + seconds + stalled), 0.0)
    return stalled


def _decode_first(link: str) -> None:
    """Load what a player loads before it shows something, and decode a picture. Raises where there is none."""
    (stream,) = m3u8.load(link).playlists
    segment = m3u8.load(stream.absolute_uri).segments[0]
    data = b"".join(_loaded(part.absolute_uri, part.byterange) for part in (segment.init_section, segment))
    with av.open(io.BytesIO(data)) as container:
        next(iter(container.decode(video=0)))


def _loaded(url: str, byte_range: str) -> bytes:
    size, _, offset = byte_range.partition("@")
    answer = httpx.get(url, headers={"Range": f"bytes={offset}-{int(offset) + int(size) - 1}"}, timeout=60)
    return answer.raise_for_status().content
