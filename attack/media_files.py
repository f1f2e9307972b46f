"""Inputs that cost more to read than to send: subtitles, fonts and movies of a few kilobytes; jobs that are canceled
while they are read."""

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path

from api_gpu import Client
from attack.target import Row, Target
from attack.wire import counted
from bench import plain
from servicekit.errors import ServiceError
from tests.support import bombs

MARKS = "\u0301\u0323"
SRT = "1\n00:00:01,000 --> 00:00:02,000\n"
VTT = "WEBVTT\n\n00:00.000 --> 00:02.000\n"
HUGE = bombs.letters(1, 0x10FFFF - 31)
CANCELED = 6
CANCEL_SECONDS = 1.0

SUBTITLES = {
    "marks": SRT + "x" + MARKS * 60_000,
    "word times": VTT + "xxxxxxxxxx<00:01.000>" * 200_000,
    "tags": SRT + "<i " * 500_000,
    "captions": "0:0:0 --> 0:0:1\nx\n" * 300_000,
}
FONTS = {
    "25 equal faces": bombs.collection(25, same=True, cmap=HUGE),
    "25 copies": bombs.collection(25, same=False, cmap=HUGE),
    "names": bombs.font(name=bombs.long_names(60_000, 60_000)),
}


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Submit jobs with such inputs, two at once."""
    video, cues = folder / "video.mp4", folder / "cues.srt"
    plain.make_video(video, 2.0, "320x180")
    cues.write_text(SRT + "Hi\n")
    for name, text in SUBTITLES.items():
        path = folder / f"{name}.srt"
        path.write_text(text)
        submit = functools.partial(_caption, target, video, path)
        yield await target.under(f"subtitles: {name}", submit, max_cpu_seconds=12, max_memory_mib=700)
    for name, data in FONTS.items():
        path = folder / f"{name}.ttc"
        path.write_bytes(data)
        submit = functools.partial(_caption, target, video, cues, path)
        yield await target.under(f"font: {name}", submit, max_cpu_seconds=12, max_memory_mib=700)
    movie = folder / "claims.mp4"
    movie.write_bytes(bombs.claiming_movie(video.read_bytes(), 60_000_000))
    submit = functools.partial(_caption, target, movie, cues)
    yield await target.under("movie of 60 million samples", submit, max_cpu_seconds=2, max_memory_mib=200)
    slow = folder / "slow.ass"
    slow.write_bytes(bombs.many_fonts())
    cancel = functools.partial(_cancel, target, video, slow)
    yield await target.under(f"{CANCELED} jobs canceled while they are read", cancel, max_memory_mib=900)


async def _caption(target: Target, video: Path, subtitles: Path, font: Path | None = None) -> str:
    """Submit two jobs at once, and wait for their ends."""
    return counted(await asyncio.gather(*(asyncio.to_thread(_job, target, video, subtitles, font) for _ in range(2))))


def _job(target: Target, video: Path, subtitles: Path, font: Path | None) -> str:
    with target.pair.client() as client:
        try:
            client.caption(video, subtitles, **({"font": font} if font else {})).wait()
        except ServiceError as error:
            return error.reason or error.code.name
    return "OK"


async def _cancel(target: Target, video: Path, subtitles: Path) -> str:
    """Cancel jobs while they are read, and see that the encoder takes another."""
    with target.pair.client() as client:
        jobs = [await asyncio.to_thread(client.caption, video, subtitles) for _ in range(CANCELED)]
        await asyncio.sleep(CANCEL_SECONDS)
        return counted([await asyncio.to_thread(_end, client, job.id) for job in jobs])


def _end(client: Client, job_id: str) -> str:
    try:
        client.cancel(job_id)
    except ServiceError as error:
        return error.reason or error.code.name
    return "canceled"
