"""Videos that are joined of which some have the result's shape: these are copied bit by bit, the others encoded to
stand among them; or all is encoded, and it is told why."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.integration.encoder.operations.test_concat import H264, color_at, joined, packets, part, pitch_at
from tests.integration.encoder.operations.test_splice import captioned, read
from tests.support import encoder_harness, judge, media, odd_videos

Client = encoder_harness.Client
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus", "-ac", "1")
BASELINE = ("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "baseline", "-g", "20", "-pix_fmt", "yuv420p")


def contains(film: list[bytes], run: list[bytes], place: int) -> bool:
    return film[place : place + len(run)] == run


@pytest.mark.parametrize("options", [H264, BASELINE], ids=["b-frames", "baseline"])
async def test_parts_that_fit_are_copied_and_others_encoded_among_them(
    client: Client, tmp_path: Path, options: tuple[str, ...]
) -> None:
    one = part(tmp_path / "1.mp4", "red", 440, 2, options=options)
    other = part(tmp_path / "2.webm", "green", 880, 0.8, "120x160", "30", VP9)
    two = part(tmp_path / "3.mp4", "blue", 0, 1.2, options=options)
    out = tmp_path / "o.mp4"
    summary = await joined(client, out, one, other, two, other, one)
    assert (summary.codec, summary.frames_copied, summary.whole_reason) == ("x264", 130, "")
    film = packets(out)
    assert (len(film), summary.frames) == (170, 170)
    assert contains(film, packets(one), 0)
    assert contains(film, packets(two), 70)
    assert contains(film, packets(one), 120)
    found = read(out)
    assert sorted(found.shown) == pytest.approx([number / 25 for number in range(170)], abs=1e-4)
    assert all(before < after for before, after in pairwise(found.decoded))
    assert judge.facts(out).audio_seconds == pytest.approx(6.8, abs=0.03)
    for start, end, color, tone in (
        (0, 2, "red", 440),
        (2, 2.8, "green", 880),
        (2.8, 4, "blue", 0),
        (4.8, 6.8, "red", 440),
    ):
        assert [color_at(out, time) for time in (start, end - 0.02)] == [color, color]
        assert pitch_at(out, start + 0.02, end - 0.02) == pytest.approx(tone, abs=6)
    # What was copied is what the source shows, whatever stands before it.
    shown = judge.pictures(out)
    assert np.array_equal(shown[:50], judge.pictures(one))
    assert np.array_equal(shown[70:100], judge.pictures(two))
    assert np.array_equal(shown[120:], judge.pictures(one))


async def test_a_part_of_another_encoder_is_encoded_and_the_longer_ones_are_copied(
    client: Client, tmp_path: Path
) -> None:
    one = part(tmp_path / "1.mp4", "red", 0, 0.8, options=BASELINE)
    two = part(tmp_path / "2.mp4", "green", 0, 3)
    out = tmp_path / "o.mp4"
    summary = await joined(client, out, one, two)
    assert (summary.frames_copied, contains(packets(out), packets(two), 20)) == (75, True)
    assert [color_at(out, time) for time in (0, 0.78, 0.8, 3.7)] == ["red", "red", "green", "green"]


async def test_films_that_captions_were_spliced_into_stand_beside_those_that_they_came_of(
    client: Client, tmp_path: Path
) -> None:
    plain = media.video(tmp_path / "plain.mp4", 5, "160x90", 25, True, "-preset", "veryfast", "-g", "25")
    spliced, _ = await captioned(client, tmp_path, plain)
    spliced = spliced.rename(tmp_path / "spliced.mp4")
    out = tmp_path / "o.mp4"
    summary = await joined(client, out, plain, spliced)
    assert (summary.codec, packets(out)) == ("copy", [*packets(plain), *packets(spliced)])
    assert np.array_equal(judge.pictures(out), [*judge.pictures(plain), *judge.pictures(spliced)])


async def test_parts_of_one_frame_that_is_shorter_than_those_of_the_film_are_shown(
    client: Client, tmp_path: Path
) -> None:
    one = part(tmp_path / "1.mp4", "red", 0, 2.4)
    shots = [
        part(tmp_path / f"{color}.mp4", color, 0, 0.017, "120x160", "60", (*H264, "-frames:v", "1"))
        for color in ("green", "blue", "green")
    ]
    out = tmp_path / "o.mp4"
    summary = await joined(client, out, one, shots[0], one)
    # In less than half a frame of the film.
    assert (summary.frames_copied, judge.facts(out).frames, color_at(out, 2.4)) == (120, 121, "green")
    # Where each is shown for a frame of the film, what follows is later than when it is copied.
    summary = await joined(client, out, one, *shots, one)
    assert (summary.frames_copied, "behind its end" in summary.whole_reason) == (0, True)
    assert judge.facts(out).times == pytest.approx([number / 25 for number in range(123)], abs=1e-4)
    found = [color_at(out, number / 25) for number in range(59, 64)]
    assert found == ["red", "green", "blue", "green", "red"]


OPEN = "keyint=25:min-keyint=25:scenecut=0:open-gop=1:bframes=3:log-level=error"


@pytest.mark.parametrize(
    "options",
    [
        ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", OPEN),
        ("-preset", "veryfast", "-x264-params", OPEN),
    ],
    ids=["hevc", "h264"],
)
async def test_a_part_that_was_cut_within_an_open_group_is_not_copied_behind_another(
    client: Client, tmp_path: Path, options: tuple[str, ...]
) -> None:
    source, cut = tmp_path / "source.mp4", tmp_path / "cut.mp4"
    media.run("-i", media.video(tmp_path / "plain.mp4", 5, "320x180", 25, False), *options, source)
    media.run("-ss", "2", "-i", source, "-c", "copy", cut)
    out = tmp_path / "o.mp4"
    alone = await joined(client, out, cut)
    assert alone.codec == "copy"
    theirs = np.array(judge.pictures(cut), np.int16)
    summary = await joined(client, out, cut, cut)
    assert (summary.codec, "was cut by copying" in summary.whole_reason) == ("x264", True)
    ours = judge.pictures(out)
    assert len(ours) == pytest.approx(2 * len(theirs), abs=2)
    for number in range(5):
        joint = round(len(ours) / 2) + number
        assert np.abs(theirs - ours[joint]).mean(axis=(1, 2, 3)).argmin() == pytest.approx(number, abs=1)


@pytest.mark.parametrize("late", [0.0, 0.06], ids=["together", "sound-first"])
async def test_frames_of_an_encoded_part_are_those_of_their_time(client: Client, tmp_path: Path, late: float) -> None:
    plain = media.video(tmp_path / "plain.mp4", 3, "160x90", 25, True, "-preset", "veryfast", "-g", "25")
    other = tmp_path / "other.mkv"
    sooner = ("-i", plain, "-itsoffset", f"{late}", "-i", plain, "-map", "0:a", "-map", "1:v")
    media.run(*sooner, "-c:v", "ffv1", "-c:a", "copy", other)
    out = tmp_path / "o.mp4"
    summary = await joined(client, out, other, plain, width=160, height=90, frame_rate=25)
    assert summary.frames_copied == 75
    theirs = np.array([picture.astype(np.int16) for picture in judge.pictures(plain)])
    for number, picture in enumerate(judge.pictures(out)[:70]):
        assert np.abs(theirs - picture).mean(axis=(1, 2, 3)).argmin() == number


@pytest.mark.long
@pytest.mark.parametrize("name", [*odd_videos.FEW, *odd_videos.MORE])
async def test_videos_of_odd_structure_are_copied_as_they_are_or_encoded(
    client: Client, tmp_path: Path, name: str
) -> None:
    odd = {**odd_videos.FEW, **odd_videos.MORE}[name].make(tmp_path)
    other = part(tmp_path / "other.webm", "green", 880, 0.4, options=VP9)
    summary = await joined(client, tmp_path / "o.mp4", odd, other)
    assert summary.codec != "copy"
    if not summary.frames_copied:
        assert summary.whole_reason
        return
    theirs, ours = judge.pictures(odd), judge.pictures(tmp_path / "o.mp4")
    count = summary.frames_copied
    assert packets(tmp_path / "o.mp4")[:count] == packets(odd)
    assert np.array_equal(ours[:count], theirs)
    before, after = sorted(read(odd).shown), sorted(read(tmp_path / "o.mp4").shown)
    assert np.diff(after[:count]) == pytest.approx(np.diff(before), abs=1.1e-3)


async def test_why_nothing_is_copied_is_told(client: Client, tmp_path: Path) -> None:
    one = part(tmp_path / "1.mp4", "red", 0, 2.4)
    two = part(tmp_path / "2.webm", "green", 0, 0.4, options=VP9)
    summary = await joined(client, tmp_path / "o.mp4", one, two, width=320, height=180)
    assert (summary.frames_copied, "is not 320×180" in summary.whole_reason) == (0, True)
    summary = await joined(client, tmp_path / "o.mp4", one, two, frame_rate=30)
    assert (summary.frames_copied, "30 frames a second" in summary.whole_reason) == (0, True)
    short = part(tmp_path / "3.mp4", "red", 0, 1)
    summary = await joined(client, tmp_path / "o.mp4", short, two)
    assert (summary.frames_copied, "too short" in summary.whole_reason) == (0, True)
