"""Small media, a connected client, and the command line as a process."""

import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from api_gpu import Client
from tests.support.command_line import api_gpu
from tools.pair import Pair
from tools.samples import Samples, ffmpeg, make_subtitles

VIDEO_SECONDS = 2.0
AUDIO_SECONDS = 1.5

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """A video of 320×240 with sound, subtitles for it, two images of one name, a tone."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "other").mkdir()
    video, audio = folder / "clip.mp4", folder / "tone.wav"
    images = (folder / "still.png", folder / "other" / "still.png")
    picture = f"testsrc2=size=320x240:rate=25:duration={VIDEO_SECONDS}"
    sound = f"sine=frequency=330:duration={VIDEO_SECONDS}"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-pix_fmt", "yuv420p", "-c:a", "aac", str(video))
    ffmpeg("-f", "lavfi", "-i", f"sine=frequency=550:duration={AUDIO_SECONDS}", str(audio))
    for image, source in zip(images, ("testsrc2", "smptehdbars"), strict=True):
        ffmpeg("-f", "lavfi", "-i", f"{source}=size=640x360", "-frames:v", "1", str(image))
    return Samples(video, make_subtitles(folder / "clip.srt", VIDEO_SECONDS), images, audio)


@pytest.fixture
def client(pair: Pair) -> Iterator[Client]:
    with pair.client() as connected:
        yield connected


@pytest.fixture
def run(pair: Pair, tmp_path: Path) -> Run:
    """Runs `api-gpu …` to its end in tmp_path."""
    return partial(api_gpu, pair, tmp_path)


def append_hole(path: Path, size_bytes: int) -> None:
    """Make an MP4 larger by a box of nothing, which takes no room on the disk."""
    end = path.stat().st_size + size_bytes
    with path.open("ab") as file:
        file.write(size_bytes.to_bytes(4, "big") + b"free")
    os.truncate(path, end)
