"""Media to try the services with, made by FFmpeg from its test sources."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

VIDEO_SECONDS = 10.0
AUDIO_SECONDS = 8.0
STILLS = ("testsrc2", "mandelbrot", "smptehdbars")
CUE = re.compile(r"(\d+):(\d+):(\d+)[,.](\d+)\s*-->\s*(\d+):(\d+):(\d+)[,.](\d+)")
GAP_SECONDS = 0.2
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


@dataclass(frozen=True)
class Samples:
    """Local files."""

    video: Path
    subtitles: Path
    images: tuple[Path, ...]
    audio: Path


def make_video(path: Path) -> Path:
    """Make a 720p video of VIDEO_SECONDS at 30 frames a second, with sound."""
    seconds = str(VIDEO_SECONDS)
    sound = f"sine=frequency=330:duration={seconds}"
    picture = f"testsrc2=size=1280x720:rate=30:duration={seconds}"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *X264, "-c:a", "aac", str(path))
    return path


def make_subtitles(path: Path, seconds: float) -> Path:
    """Write two cues for a video of `seconds`: from 1/5 to 2/5 of it, and from 3/5 to 4/5."""
    texts = ((1, "Captions, burned in"), (3, "by api-gpu"))
    blocks = [
        f"{number}\n{stamp(seconds * fifth / 5)} --> {stamp(seconds * (fifth + 1) / 5)}\n{text}\n"
        for number, (fifth, text) in enumerate(texts, 1)
    ]
    path.write_text("\n".join(blocks))
    return path


def make_images(folder: Path) -> tuple[Path, ...]:
    """Make three stills of 1920×1080."""
    paths = []
    for source in STILLS:
        paths.append(folder / f"{source}.png")
        ffmpeg("-f", "lavfi", "-i", f"{source}=size=1920x1080", "-frames:v", "1", str(paths[-1]))
    return tuple(paths)


def make_audio(path: Path) -> Path:
    """Make a tone of AUDIO_SECONDS."""
    ffmpeg("-f", "lavfi", "-i", f"sine=frequency=550:duration={AUDIO_SECONDS}", str(path))
    return path


def cues(subtitles: Path, seconds: float) -> tuple[float | None, float | None]:
    """Return a time when a cue shows, and one when none does, in a video of `seconds`; None where there is none."""
    numbers = (tuple(int(part) for part in found) for found in CUE.findall(subtitles.read_text(errors="replace")))
    spans = sorted((_seconds(*each[:4]), _seconds(*each[4:])) for each in numbers)
    shown = next(((start + end) / 2 for start, end in spans if start < end <= seconds), None)
    covered = 0.0
    for start, end in [*spans, (seconds, seconds)]:
        if min(start, seconds) - covered > GAP_SECONDS:
            return shown, (covered + min(start, seconds)) / 2
        covered = max(covered, end)
    return shown, None


def _seconds(hours: int, minutes: int, seconds: int, milliseconds: int) -> float:
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def stamp(seconds: float) -> str:
    """Return a time as SubRip writes it: 00:00:02,500."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02},{rest % 1000:03}"


def ffmpeg_binary() -> str:
    """Return FFMPEG_BINARY, or the FFmpeg of the wheel imageio-ffmpeg."""
    return os.environ.get("FFMPEG_BINARY") or imageio_ffmpeg.get_ffmpeg_exe()


def ffmpeg(*arguments: str) -> None:
    """Run FFmpeg."""
    subprocess.run([ffmpeg_binary(), "-hide_banner", "-loglevel", "error", "-y", *arguments], check=True)
