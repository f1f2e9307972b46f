"""One encoder and one set of certificates for all tests here; tests that need other settings start their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from api_gpu.local import certs as certificates
from tests.support import encoder_harness, media


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of certificates."""
    folder = tmp_path_factory.mktemp("certs")
    certificates.make_set(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(certs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[encoder_harness.Encoder]:
    """An encoder with default limits."""
    with encoder_harness.running(certs, tmp_path_factory.mktemp("encoder")) as running:
        yield running


@pytest.fixture
async def client(encoder: encoder_harness.Encoder) -> AsyncIterator[encoder_harness.Client]:
    """A gateway's view of that encoder."""
    async with encoder.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def media_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's media lie."""
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def clip(media_dir: Path) -> Path:
    """Two seconds of 320×180 at 25 frames a second, with sound."""
    return media.video(media_dir / "clip.mp4")


@pytest.fixture(scope="session")
def gray(media_dir: Path) -> Path:
    """Two seconds of plain gray, without sound."""
    return media.grey_video(media_dir / "gray.mp4")


@pytest.fixture(scope="session")
def still(media_dir: Path) -> Path:
    """A still of 640×360."""
    return media.image(media_dir / "still.png")


@pytest.fixture(scope="session")
def sound(media_dir: Path) -> Path:
    """Two seconds of tone."""
    return media.tone(media_dir / "sound.wav")


@pytest.fixture(scope="session")
def cues(media_dir: Path) -> Path:
    """One caption from 0.5 s to 1.5 s."""
    return media.srt(media_dir / "cues.srt", [(0.5, 1.5, "Hello there")])
