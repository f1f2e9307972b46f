"""Outlines: of large inputs a story is planned from the head and the tail alone, where that is enough."""

from pathlib import Path

import pytest

from encoder.media.info import Source
from encoder.operations import story_reading
from encoder.operations.story_reading import OUTLINE_TOO_SMALL
from servicekit.errors import FailedPrecondition, InvalidArgument
from tests.support import media

KEPT = 64 * 1024
NOISE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4,noise=alls=60:allf=t")
TONE = ("-f", "lavfi", "-i", "anoisesrc=d=9.5:r=48000:a=0.4")
VIDEO = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p", "-g", "25")


def outline(whole: Path) -> Source:
    """A file with a hole between its head and its tail."""
    data = whole.read_bytes()
    assert len(data) > 3 * KEPT
    sparse = whole.with_name(f"outline-{whole.name}")
    sparse.write_bytes(data[:KEPT] + bytes(len(data) - 2 * KEPT) + data[-KEPT:])
    return Source("scenes[0].url_video", sparse, is_outline=True)


@pytest.mark.parametrize(
    "name",
    ["moov-last.mp4", "moov-first.mp4", "clip.mkv", pytest.param("stream.ts", id="a stream, which must be read")],
)
def test_a_video_is_as_long_as_the_whole_file_says(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    media.run(*NOISE, *TONE, *VIDEO, "-shortest", *(("-movflags", "+faststart") if "first" in name else ()), path)
    if path.suffix == ".ts":
        with pytest.raises(FailedPrecondition) as caught:
            story_reading.read_video(outline(path))
        assert (caught.value.reason, list(caught.value.fields)) == (OUTLINE_TOO_SMALL, ["scenes[0].url_video"])
        return
    info, seconds = story_reading.read_video(outline(path))
    whole, exact = story_reading.read_video(Source("v", path))
    assert seconds == pytest.approx(exact, abs=0.05)
    assert (info.sound is not None, whole.sound is not None) == (True, True)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.m4a", "a.mp3"])
def test_a_sound_is_as_long_as_the_whole_file_says(tmp_path: Path, name: str) -> None:
    media.run(*TONE, "-b:a", "192k", tmp_path / name)
    assert story_reading.sound_seconds(outline(tmp_path / name)) == pytest.approx(9.5, abs=0.1)


def test_what_its_head_does_not_tell_is_sent_whole(tmp_path: Path) -> None:
    media.run(*TONE, "-b:a", "192k", "-write_xing", "0", "-id3v2_version", "0", tmp_path / "plain.mp3")
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"no video at all " * KEPT)
    for path in (tmp_path / "plain.mp3", damaged):
        with pytest.raises(FailedPrecondition) as caught:
            story_reading.sound_seconds(outline(path))
        assert caught.value.reason == OUTLINE_TOO_SMALL
    # The whole of it is then a fault of the input.
    with pytest.raises(InvalidArgument) as refused:
        story_reading.sound_seconds(Source("url_audio", damaged))
    assert refused.value.reason == "BAD_INPUT"
