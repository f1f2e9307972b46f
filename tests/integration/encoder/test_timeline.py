"""Times of packets, held against what FFmpeg itself says of them."""

import re
import subprocess
from pathlib import Path

import av
import pytest

from encoder.media import timeline
from tests.support import media

TOLD = re.compile(r"demuxer\+ffmpeg -> ist_index:0:(\d+) .*? pkt_pts_time:([-.\d]+) ")
# Of parts that are joined: by how many seconds each is moved.
JOINTS = {"twice": (0, 0), "far": (0, 20000, 0, 90000), "near": (0, 5), "back": (9, 0, 30), "wraps": (95442, 95442)}


def told(path: Path, taken: tuple[int, ...]) -> list[tuple[int, float]]:
    """Stream and start of each packet that has a time, by FFmpeg."""
    chosen = [word for index in taken for word in ("-map", f"0:{index}")]
    command = [media.FFMPEG, "-nostdin", "-debug_ts", "-i", str(path), *chosen, "-c", "copy", "-f", "null", "-"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [(int(index), float(time)) for index, time in TOLD.findall(done.stderr)]


def parts(folder: Path, ending: str, joints: tuple[int, ...]) -> Path:
    path = folder / f"joined.{ending}"
    moved = {
        offset: media.video(folder / f"{offset}.{ending}", 0.6, "64x36", 25, True, "-output_ts_offset", str(offset))
        for offset in set(joints)
    }
    path.write_bytes(b"".join(moved[offset].read_bytes() for offset in joints))
    return path


@pytest.mark.parametrize("joints", JOINTS)
def test_times_are_those_of_ffmpeg(tmp_path: Path, joints: str) -> None:
    path = parts(tmp_path, "ts", JOINTS[joints])
    for taken in ((0, 1), (0,), (1,)):
        with av.open(str(path)) as container:
            found = list(timeline.iter_packets(container, [container.streams[index] for index in taken]))
        expected = told(path, taken)
        assert [index for index, _, _ in found] == [index for index, _ in expected]
        assert [start for _, start, _ in found] == pytest.approx([start for _, start in expected], abs=1e-4)
        assert all(end > start for _, start, end in found)


@pytest.mark.parametrize("codec", ["libopus", "libvorbis", "flac"])
def test_times_of_joined_sound_are_those_of_ffmpeg(tmp_path: Path, codec: str) -> None:
    part, path = media.tone(tmp_path / "part.ogg", 1, 880, "-c:a", codec), tmp_path / "joined.ogg"
    path.write_bytes(part.read_bytes() * 2)
    with av.open(str(path)) as container:
        found = [start for _, start, _ in timeline.iter_packets(container, container.streams.audio)]
    assert found == pytest.approx([start for _, start in told(path, (0,))], abs=1e-4)
    assert found[-1] == pytest.approx(2, abs=0.1)
