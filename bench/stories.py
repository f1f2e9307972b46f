"""Stories: a whole film in one job, against the commands that people chain for one, and against one command with all of
it in a single graph of filters."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from api_gpu import Client, Transition
from bench import ideal, plain
from bench.pair import Measured
from bench.timing import Row, paired
from bench.vmaf import vmaf

STILLS, SECONDS, FADE = 10, 5, 0.5
WIDTH, HEIGHT, RATE = 1920, 1080, 24
# Of the film, without captions, which look different.
JUDGED = 3
STEP = SECONDS - FADE
# Each takes minutes.
RUNS = 1


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """Wall time of a film of 10 stills, 5 s each in 1080p, with narration, music and captions all the time, from
    upload to download: with crossfades, and with cuts."""
    stills = [folder / f"still{number}.png" for number in range(STILLS)]
    for number, still in enumerate(stills):
        plain.make_image(still, number)
    voice, bed, srt, out = (folder / name for name in ("voice.wav", "bed.m4a", "talk.srt", "film.mp4"))
    mine = folder / "mine.mp4"
    length = STILLS * SECONDS
    plain.make_audio(voice, length)
    plain.make_audio(bed, length)
    plain.make_srt(srt, length)

    def ours(kind: str) -> None:
        _made(pair.client, stills, Transition(kind=kind, seconds=FADE), [voice, bed, srt], mine)

    name = f"story of {STILLS} stills, {SECONDS} s 1080p"
    yield paired(
        f"{name}, crossfades, against a chain of commands",
        lambda: ours("crossfade"),
        lambda: _score(_captioned(_faded(_clips(stills, folder), folder), srt, folder), voice, bed, out),
        "≤ 0.35×",
        RUNS,
    )
    yield _weight("bytes of that film, of the chain's", mine, out)
    yield paired(
        f"{name}, crossfades, against one command",
        lambda: ours("crossfade"),
        lambda: _at_once(stills, voice, bed, srt, out),
        "≤ 0.75×",
        RUNS,
    )
    yield paired(
        f"{name}, cuts, against a chain of commands",
        lambda: ours("cut"),
        lambda: _score(_captioned(_joined(_clips(stills, folder), folder), srt, folder), voice, bed, out),
        "≤ 0.45×",
        RUNS,
    )
    yield _weight("bytes of that film, of the chain's", mine, out)
    yield _likeness(pair.client, stills[:JUDGED], folder)


def _weight(name: str, mine: Path, theirs: Path) -> Row:
    size = mine.stat().st_size
    return name, f"{size / theirs.stat().st_size:.2f}× ({size / 1e6:.1f} MB)", "≤ 1.00×"


def _likeness(client: Client, stills: Sequence[Path], folder: Path) -> Row:
    """VMAF of a film without captions and sound; that of the chain is encoded three times, as one with captions is."""
    reference, mine, srt = folder / "ideal.yuv", folder / "mine.mp4", folder / "none.srt"
    frames, fade = SECONDS * RATE, round(FADE * RATE)
    ideal.write(reference, ideal.crossfaded(stills, WIDTH, HEIGHT, frames, fade))
    scenes = [{"image_url": still, "duracao": SECONDS} for still in stills]
    job = client.story(scenes, transition=Transition(kind="crossfade", seconds=FADE)).wait()
    client.download(job.asset, mine)
    srt.write_text("1\n09:00:00,000 --> 09:00:01,000\nNever seen\n")
    theirs = _captioned(_faded(_clips(stills, folder), folder), srt, folder)
    ours, plainly = (vmaf(film, reference, WIDTH, HEIGHT) for film in (mine, theirs))
    reference.unlink()
    return f"VMAF of {len(stills)} scenes against an ideal film", f"{ours:.1f} (chain {plainly:.1f})", "≥ chain + 5"


def _made(client: Client, stills: Sequence[Path], transition: Transition, beside: Sequence[Path], out: Path) -> None:
    voice, bed, srt = beside
    scenes = [{"image_url": still, "duracao": SECONDS} for still in stills]
    job = client.story(scenes, narration=voice, music=bed, subtitles=srt, transition=transition).wait()
    client.download(job.asset, out)


def _clips(stills: Sequence[Path], folder: Path) -> list[Path]:
    """Make a clip of each still, with a slow zoom."""
    clips = [folder / f"clip{number}.mp4" for number in range(len(stills))]
    for still, clip in zip(stills, clips, strict=True):
        plain.img2vid(still, SECONDS, clip)
    return clips


def _faded(clips: Sequence[Path], folder: Path) -> Path:
    """Join clips with crossfades."""
    inputs = [part for clip in clips for part in ("-i", clip)]
    joined = folder / "joined.mp4"
    plain.ffmpeg(*inputs, "-filter_complex", _crossfades(len(clips)), "-map", "[film]", *plain.ENCODE, joined)
    return joined


def _crossfades(count: int) -> str:
    """Return the graph that joins the pictures of so many inputs, as [film]."""
    last, parts = "0:v", []
    for number in range(1, count):
        name = "film" if number == count - 1 else f"x{number}"
        fade = f"xfade=transition=fade:duration={FADE}:offset={number * STEP}"
        parts.append(f"[{last}][{number}:v]{fade}[{name}]")
        last = name
    return ";".join(parts)


def _joined(clips: Sequence[Path], folder: Path) -> Path:
    """Join clips by copying."""
    listed, joined = folder / "clips.txt", folder / "joined.mp4"
    listed.write_text("".join(f"file {clip.name}\n" for clip in clips))
    plain.ffmpeg("-f", "concat", "-i", listed, "-c", "copy", joined)
    return joined


def _captioned(film: Path, srt: Path, folder: Path) -> Path:
    captioned = folder / "captioned.mp4"
    plain.caption(film, srt, captioned)
    return captioned


def _score(film: Path, voice: Path, bed: Path, out: Path) -> None:
    """Lay narration and music under a film, whose pictures are copied."""
    mix = ("-filter_complex", "[1:a][2:a]amix=normalize=0[sound]", "-map", "0:v", "-map", "[sound]", "-c:v", "copy")
    plain.ffmpeg(
        "-i", film, "-i", voice, "-i", bed, *mix, "-c:a", "aac", "-b:a", "192k", "-shortest", *plain.FASTSTART, out
    )


def _at_once(stills: Sequence[Path], voice: Path, bed: Path, srt: Path, out: Path) -> None:
    """Make the film by one command."""
    inputs = [part for source in (*stills, voice, bed) for part in ("-i", source)]
    zooms = ";".join(f"[{number}:v]{plain.zoom(SECONDS)}[{number}z]" for number in range(len(stills)))
    fades = _crossfades(len(stills)).replace(":v]", "z]")
    captions = f"[film]subtitles={srt}[captioned]"
    sound = f"[{len(stills)}:a][{len(stills) + 1}:a]amix=normalize=0[sound]"
    graph = ";".join((zooms, fades, captions, sound))
    maps = ("-map", "[captioned]", "-map", "[sound]", "-c:a", "aac", "-b:a", "192k", "-shortest")
    plain.ffmpeg(*inputs, "-filter_complex", graph, *maps, *plain.ENCODE, *plain.FASTSTART, out)
