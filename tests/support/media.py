"""Small media for tests, made by FFmpeg. Each function writes `path` and returns it."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def run(*arguments: str | Path) -> None:
    """Run FFmpeg; fails with its messages."""
    command = [FFMPEG, "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def video(
    path: Path, seconds: float = 2, size: str = "320x180", rate: str | float = 25, audio: bool = True, *options: str
) -> Path:
    """A moving test picture in H.264, with a tone in AAC; `options` are more output options. The path's ending tells
    the container."""
    inputs = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]
    if audio:
        inputs += ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    run(*inputs, *codec, *options, path)
    return path


def grey_video(path: Path, seconds: float = 2, size: str = "320x180", rate: str | float = 25, *options: str) -> Path:
    """A plain dark grey picture without sound: whatever is drawn on it stands out."""
    source = f"color=c=0x404040:size={size}:rate={rate}:duration={seconds}"
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    run("-f", "lavfi", "-i", source, *codec, *options, path)
    return path


def image(path: Path, size: str = "640x360", *options: str) -> Path:
    """A detailed still; the path's ending tells the format."""
    run("-f", "lavfi", "-i", f"mandelbrot=size={size}", "-frames:v", "1", "-update", "1", *options, path)
    return path


def tone(path: Path, seconds: float = 2, frequency: int = 880, *options: str) -> Path:
    """A tone; the path's ending tells the format."""
    run("-f", "lavfi", "-i", f"sine=frequency={frequency}:duration={seconds}", *options, path)
    return path


def srt(path: Path, cues: Sequence[tuple[float, float, str]]) -> Path:
    """Subtitles: start and end in seconds, and text, of each cue."""
    blocks = [
        f"{number}\n{_clock(start)} --> {_clock(end)}\n{text}\n" for number, (start, end, text) in enumerate(cues, 1)
    ]
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{rest:03}"
