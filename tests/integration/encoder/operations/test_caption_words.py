"""caption from words alone, and the styles that show which word is said, judged by the pixels that are drawn."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from apigpu.v1 import caption_style_pb2, video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
Look, Word = caption_style_pb2.CaptionStyle, caption_style_pb2.CaptionWord
WHITE, YELLOW, GRAY = (255, 255, 255), (255, 212, 0), 128
RATE = 10


def words(*texts: str, seconds: float = 0.5) -> list[Word]:
    """Words one after the other."""
    return [Word(text=text, start=at * seconds, end=(at + 1) * seconds) for at, text in enumerate(texts)]


@pytest.fixture(scope="module")
def video(media_dir: Path) -> Path:
    """Two seconds of gray."""
    return media.grey_video(media_dir / "words.mp4", 2, "320x180", RATE)


async def drawn(client: Client, video: Path, out: Path, said: list[Word], **options: Any) -> list[np.ndarray]:
    """The frames of the result."""
    request = video_pb2.CaptionRequest(url_video="v", words=said, **options)
    await client.result(out, video_pb2.Operation(caption=request), {"url_video": video})
    return [frame.astype(int) for frame in judge.pictures(out)]


def near(frame: np.ndarray, color: tuple[int, int, int], within: int = 150) -> np.ndarray:
    """Where a frame has a color."""
    found: np.ndarray = np.abs(frame - np.array(color)).sum(axis=2) < within
    return found


def rows(shown: np.ndarray) -> tuple[int, int]:
    """Top and bottom of what is shown."""
    found = np.flatnonzero(shown.any(axis=1))
    return int(found[0]), int(found[-1])


def columns(shown: np.ndarray) -> tuple[int, int]:
    """Left and right of what is shown."""
    found = np.flatnonzero(shown.any(axis=0))
    return int(found[0]), int(found[-1])


async def test_one_word_at_a_time(client: Client, video: Path, tmp_path: Path) -> None:
    said = [*words("i", "mmmmmm"), Word(text="i", start=1.5, end=1.8)]
    frames = await drawn(client, video, tmp_path / "o.mp4", said, style=Look(preset=Look.PRESET_WORD))
    wide = [near(frame, WHITE).any() and np.diff(columns(near(frame, WHITE)))[0] for frame in frames]
    assert max(wide[:5]) < min(wide[5:10]) / 4
    assert wide[10:15] == [False] * 5
    assert wide[15]
    assert not wide[19]


async def test_the_word_that_is_said_grows_and_no_line_moves(client: Client, video: Path, tmp_path: Path) -> None:
    style = Look(preset=Look.PRESET_POP, size=14, highlight_scale=140)
    rules = caption_style_pb2.CueRules(words_per_line=1, max_lines=2)
    frames = await drawn(client, video, tmp_path / "o.mp4", words("HH", "HH", seconds=1), style=style, cues=rules)
    first, second = frames[5], frames[15]
    upper, lower = rows(near(first, YELLOW)), rows(near(second, YELLOW))
    still_lower, still_upper = rows(near(first, WHITE)), rows(near(second, WHITE))
    assert (upper[1] - upper[0]) > 1.25 * (still_upper[1] - still_upper[0])
    assert (lower[1] - lower[0]) > 1.25 * (still_lower[1] - still_lower[0])
    assert abs(upper[1] - still_upper[1]) <= 1
    assert abs(lower[1] - still_lower[1]) <= 1


async def test_the_word_that_is_said_is_underlined(client: Client, video: Path, tmp_path: Path) -> None:
    style = Look(preset=Look.PRESET_UNDERLINE, outline=0, shadow=0, size=30)
    frames = await drawn(client, video, tmp_path / "o.mp4", words("HH", "HH", seconds=1), style=style)
    shown = near(frames[5], WHITE) | near(frames[15], WHITE)
    middle = sum(columns(shown)) / 2
    lines = [
        near(frame, WHITE) & (np.abs(frame - other).sum(axis=2) > 200)
        for frame, other in (frames[5::10], frames[15::-10])
    ]
    assert columns(lines[0])[1] < middle < columns(lines[1])[0]
    assert all(np.diff(columns(line))[0] > 0.35 * np.diff(columns(shown))[0] for line in lines)
    assert all(rows(line)[0] > np.mean(rows(shown)) for line in lines)


async def test_a_box_with_round_corners_is_about_all_lines(client: Client, video: Path, tmp_path: Path) -> None:
    style = Look(preset=Look.PRESET_ROUNDED, size=10, box_color="#000000", box_radius=6)
    rules = caption_style_pb2.CueRules(words_per_line=1)
    for name, place in (("bottom", {}), ("point", {"x": 0.4, "y": 0.4}), ("top", {"position": Look.POSITION_TOP_LEFT})):
        look = Look(**place)
        look.MergeFrom(style)
        frame = (await drawn(client, video, tmp_path / f"{name}.mp4", words("mm", "mmmmm"), style=look, cues=rules))[5]
        dark, letters = frame.sum(axis=2) < 90, near(frame, WHITE)
        (left, right), (top, bottom) = columns(dark), rows(dark)
        assert left < columns(letters)[0] < columns(letters)[1] < right
        assert top < rows(letters)[0] < rows(letters)[1] < bottom
        assert abs((columns(letters)[0] - left) - (right - columns(letters)[1])) <= 3
        for corner in (frame[top, left], frame[top, right], frame[bottom, left], frame[bottom, right]):
            assert corner.sum() > 150
        assert dark[top + 6 : bottom - 5, left + 1].all()


async def test_a_shadow_falls_down_to_the_right(client: Client, video: Path, tmp_path: Path) -> None:
    style = Look(preset=Look.PRESET_SHADOW, size=20, shadow=4)
    frame = (await drawn(client, video, tmp_path / "o.mp4", words("H", seconds=2), style=style))[5]
    dark, letters = frame.sum(axis=2) < 100, near(frame, WHITE)
    assert columns(dark)[1] > columns(letters)[1] + 3
    assert rows(dark)[1] > rows(letters)[1] + 3
    assert columns(dark)[0] > columns(letters)[0] + 3


async def test_text_in_the_request_and_what_is_hard_to_read(client: Client, video: Path, tmp_path: Path) -> None:
    cues = media.srt(tmp_path / "a.srt", [(0, 0.5, "Hi"), (0.55, 2, "x" * 50)])
    request = video_pb2.CaptionRequest(url_video="v", srt_text="s", readability=caption_style_pb2.READABILITY_STANDARD)
    plan = video_pb2.Operation(caption=request)
    result = await client.result(tmp_path / "o.mp4", plan, {"url_video": video, "srt_text": cues})
    told = [(each.reason, each.metadata["cue"]) for each in result.warnings]
    assert told == [("SHOWN_BRIEFLY", "1"), ("GAP_SHORT", "1"), ("LINE_LONG", "2"), ("READ_FAST", "2")]


@pytest.mark.parametrize(
    ("style", "field"),
    [({"box_radius": 1}, "style.box_radius"), ({"box_color": "#000000", "shadow": 1}, "style.shadow")],
)
async def test_looks_that_do_not_go_together_are_refused(
    client: Client, video: Path, tmp_path: Path, style: dict[str, Any], field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=field):
        await drawn(client, video, tmp_path / "o.mp4", words("a"), style=Look(**style))


async def test_words_that_cannot_be_drawn_are_refused_by_their_field(
    client: Client, video: Path, tmp_path: Path
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=r"words: .*words\[0\] has no text"):
        await drawn(client, video, tmp_path / "o.mp4", words(" "))
