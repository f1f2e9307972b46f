"""The plain FFmpeg commands that a user would run instead: the baseline. One x264 preset for both sides."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import imageio_ffmpeg

FFMPEG = os.environ.get("FFMPEG_BINARY") or imageio_ffmpeg.get_ffmpeg_exe()
PRESET = os.environ.get("X264_PRESET", "veryfast")
ENCODE = ("-c:v", "libx264", "-preset", PRESET, "-crf", "23", "-pix_fmt", "yuv420p")
FASTSTART = ("-movflags", "+faststart")


def ffmpeg(*arguments: str | Path) -> None:
    """Run FFmpeg. Raises CalledProcessError."""
    subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True)


def caption(video: Path, srt: Path, out: Path) -> None:
    """Burn subtitles in with the `subtitles` filter."""
    ffmpeg("-i", video, "-vf", f"subtitles={srt}", *ENCODE, "-c:a", "copy", *FASTSTART, out)


def img2vid(image: Path, seconds: float, out: Path) -> None:
    """Zoom with `zoompan` after a large upscale, as is usual against its shaking."""
    ffmpeg(
        "-loop", "1", "-i", image, "-vf", zoom(seconds), "-frames:v", str(round(seconds * 24)), *ENCODE, *FASTSTART, out
    )


def zoom(seconds: float) -> str:
    """Return the filters that zoom into a still."""
    frames = round(seconds * 24)
    camera = f"zoompan=z='min(1+0.324*on/{frames},1.324)':d={frames}:x='iw/2-(iw/zoom/2)':y='ih/2-(ih/zoom/2)'"
    return f"scale=6720:3840:flags=lanczos,{camera}:s=1920x1080:fps=24"


def addaudio(video: Path, audio: Path, out: Path) -> None:
    """Replace the audio and encode everything again."""
    streams = ("-map", "0:v", "-map", "1:a")
    ffmpeg("-i", video, "-i", audio, *streams, *ENCODE, "-c:a", "aac", "-b:a", "192k", "-shortest", *FASTSTART, out)


def make_video(out: Path, seconds: float, size: str, *options: str) -> None:
    """A moving test picture with a tone: what is measured, not a reference for quality. `options` are more of the
    output."""
    picture = f"testsrc2=size={size}:rate=25,noise=alls=8:allf=t"
    tone = "sine=frequency=440:sample_rate=48000"
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, "-t", str(seconds))
    ffmpeg(*inputs, *ENCODE[:2], "-preset", "ultrafast", "-crf", "28", *ENCODE[-2:], *options, "-c:a", "aac", out)


def make_long_video(out: Path, seconds: int, size: str, clip_seconds: int = 10) -> None:
    """A video of a short one, again and again, with a keyframe every two seconds; its sound is of one piece, as packets
    of sound do not end where pictures do."""
    clip, tone = out.with_suffix(".clip.mp4"), ("-f", "lavfi", "-i", f"sine=sample_rate=48000:duration={seconds}")
    make_video(clip, clip_seconds, size, "-g", "50")
    streams = ("-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", *FASTSTART)
    ffmpeg("-stream_loop", str(seconds // clip_seconds - 1), "-an", "-i", clip, *tone, *streams, out)
    clip.unlink()


def make_uneven_video(out: Path, seconds: float) -> None:
    """A moving picture with a tone, whose frames come at uneven times; Matroska."""
    picture = "testsrc2=size=640x360:rate=25,setpts='(N*0.04+mod(N,3)*0.008)/TB'"
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", str(seconds))
    ffmpeg(*inputs, "-fps_mode", "passthrough", *ENCODE, "-c:a", "aac", out)


def make_image(out: Path, number: int = 0) -> None:
    """A detailed still, larger than the clip made of it; another one by every number."""
    picture = f"mandelbrot=size=2880x1620:rate=1:maxiter=500:start_scale={3 / 1.6**number:.6f}"
    ffmpeg("-f", "lavfi", "-i", picture, "-frames:v", "1", "-vf", "noise=alls=6", out)


def make_audio(out: Path, seconds: float) -> None:
    """A chord in stereo, over noise that swells: what coders find as hard as music. A lone tone takes them twice as
    long."""
    chord = "0.1*(sin(440*PI*t)+sin(554*PI*t)+sin(660*PI*t))*(1+0.5*sin(PI*t))"
    noise = "0.05*(random({0})-0.5)*(1+sin(4*PI*t))"
    sound = f"aevalsrc='{chord}+{noise.format(0)}|{chord}+{noise.format(1)}':s=48000"
    ffmpeg("-f", "lavfi", "-i", sound, "-t", str(seconds), out)


def make_srt(out: Path, seconds: float) -> None:
    """A cue every second, two lines each: captions all the time."""
    _write_srt(out, range(int(seconds)))


def make_sparse_srt(out: Path, seconds: float) -> None:
    """A cue every second in two stretches, each of a tenth of the time."""
    length = int(seconds) // 10
    _write_srt(out, (*range(length, 2 * length), *range(6 * length, 7 * length)))


def _write_srt(out: Path, starts: Iterable[int]) -> None:
    clocks = [f"00:{n // 60:02}:{n % 60:02}" for n in starts]
    cues = [
        f"{n}\n{clock},000 --> {clock},960\nThis is line {n},\nand a second.\n" for n, clock in enumerate(clocks, 1)
    ]
    out.write_text("\n".join(cues))
