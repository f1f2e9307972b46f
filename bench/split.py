"""One long film with captions over several encoders: really on two of a core each, and on many that are simulated."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from api_gpu import Client
from bench import pinned, plain, simulated_split
from bench.pair import Measured
from bench.timing import Row, timed

SECONDS = 600
PLAIN_SECONDS = 60
AIMS = {16: "≥ 90 %", 64: "≥ 80 %"}
# Simulated encoders of mixed speeds.
MIXED = 64


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """A film of 10 minutes in 1080p, a caption each second, that the gateway has, from its submit to its end; an hour
    on encoders that are simulated."""
    srt = folder / "talk.srt"
    plain.make_srt(srt, SECONDS)
    film = folder / "film.mp4"
    plain.make_long_video(film, SECONDS, "1920x1080")
    yield from _pinned(film, srt, folder)
    for encoders, aim in AIMS.items():
        found = asyncio.run(simulated_split.measured(encoders, folder / f"simulated{encoders}"))
        yield f"an hour on {encoders} simulated encoders: of what they could do", found.told, aim
    found = asyncio.run(simulated_split.measured(MIXED, folder / "mixed", is_mixed=True))
    yield f"the same on {MIXED}, each third of them four times slower", found.told, ""


def _pinned(film: Path, srt: Path, folder: Path) -> Iterator[Row]:
    name = f"captions on {SECONDS // 60} minutes of 1080p on two encoders of a core each, against one"
    if not pinned.has_cores():
        yield name, "not measured: this machine has one core", ""
        return
    one, two = (_seconds(pinned.CORES[:count], film, srt, folder / f"with{count}") for count in (1, 2))
    yield name, f"{one / two:.2f}× ({one:.1f} s, {two:.1f} s)", "≥ 1.85×"
    gain = pinned.ffmpeg_gain(lambda core: _plain(film, srt, folder / f"core{core}.mp4"))
    yield "FFmpeg with such captions on two cores at once, against one after the other", f"{gain:.2f}×", ""


def _seconds(cores: Sequence[int], film: Path, srt: Path, folder: Path) -> float:
    """Seconds of the captions with an encoder on each of these cores."""
    with pinned.serving(cores, folder) as client:
        named, captions = client.upload(film).name, client.upload(srt).name
        return timed(lambda: _made(client, named, captions))


def _made(client: Client, film: str, captions: str) -> None:
    client.caption(film, captions).wait()


def _plain(film: Path, srt: Path, out: Path) -> Sequence[str | Path]:
    options = ["-vf", f"subtitles={srt}", "-t", str(PLAIN_SECONDS), *plain.ENCODE, "-threads", "1"]
    return [plain.FFMPEG, "-nostdin", "-v", "error", "-y", "-i", film, *options, "-c:a", "copy", out]
