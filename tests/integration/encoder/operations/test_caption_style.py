"""caption's styles, judged by the pixels that are drawn on plain gray."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from apigpu.v1 import caption_style_pb2, video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
Look = caption_style_pb2.CaptionStyle
WHITE, YELLOW = (255, 255, 255), (255, 212, 0)


def captioning(**style: Any) -> video_pb2.Operation:
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s", style=Look(**style))
    return video_pb2.Operation(caption=request)


@pytest.fixture(scope="module")
def video(media_dir: Path) -> Path:
    """Two seconds of gray at ten frames a second."""
    return media.grey_video(media_dir / "plain.mp4", 2, "640x360", 10)


async def drawn(client: Client, video: Path, out: Path, words: str = "ab cd", **style: Any) -> list[np.ndarray]:
    """The frames of the result; the caption is there throughout."""
    cues = media.srt(out.with_suffix(".srt"), [(0, 2, words)])
    await client.result(out, captioning(**style), {"url_video": video, "url_srt": cues})
    return [frame.astype(int) for frame in judge.pictures(out)]


def near(frame: np.ndarray, color: tuple[int, int, int], within: int = 90) -> np.ndarray:
    """Where a frame has a color: an array (height, width) of booleans."""
    found: np.ndarray = np.abs(frame - np.array(color)).sum(axis=2) < within
    return found


def box(shown: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is shown."""
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


async def test_bold_is_larger_and_in_capitals(client: Client, video: Path, tmp_path: Path) -> None:
    # Capitals stand on the line: what hangs below it in small letters is gone.
    plain = box(near((await drawn(client, video, tmp_path / "1.mp4", "pgq"))[5], WHITE))
    bold = box(near((await drawn(client, video, tmp_path / "2.mp4", "pgq", preset=Look.PRESET_BOLD))[5], WHITE))
    assert bold[2] - bold[0] > 1.3 * (plain[2] - plain[0])
    same = (await drawn(client, video, tmp_path / "3.mp4", "PGQ", preset=Look.PRESET_BOLD))[5]
    assert box(near(same, WHITE)) == bold


async def test_a_box_is_darker_than_the_picture(client: Client, video: Path, tmp_path: Path) -> None:
    frame = (await drawn(client, video, tmp_path / "o.mp4", preset=Look.PRESET_BOX))[5]
    letters, dark = box(near(frame, WHITE)), box(frame.sum(axis=2) < 100)
    assert dark[0] < letters[0] - 3
    assert dark[2] > letters[2] + 3
    assert dark[1] < letters[1] - 2


async def test_karaoke_lights_one_word_after_the_other(client: Client, video: Path, tmp_path: Path) -> None:
    frames = await drawn(client, video, tmp_path / "o.mp4", "mmm mmm mmm mmm", preset=Look.PRESET_KARAOKE)
    whole = box(near(frames[1], WHITE) | near(frames[1], YELLOW, 150))
    middles = [np.mean(box(near(frame, YELLOW, 150))[::2]) for frame in frames]
    quarter = (whole[2] - whole[0]) / 4
    for number, middle in enumerate(middles):
        word = min(int(number / len(frames) * 4), 3)
        assert abs(middle - (whole[0] + (word + 0.5) * quarter)) < quarter / 2
        assert near(frames[number], WHITE).sum() > near(frames[number], YELLOW, 150).sum()


@pytest.mark.parametrize("position", range(1, 10))
async def test_nine_places(client: Client, video: Path, tmp_path: Path, position: int) -> None:
    frame = (await drawn(client, video, tmp_path / "o.mp4", position=position))[5]
    left, top, right, bottom = box(near(frame, WHITE))
    column, row = (position - 1) % 3, (position - 1) // 3  # rows from the bottom
    assert [right < 213, left > 213 and right < 427, left > 427][column]
    assert [top > 240, top > 120 and bottom < 240, bottom < 120][row]


async def test_a_point_a_size_and_colors(client: Client, video: Path, tmp_path: Path) -> None:
    style = {"x": 0.25, "y": 0.25, "size": 20, "color": "#00FF00", "outline_color": "#0000FF", "outline": 1.5}
    frame = (await drawn(client, video, tmp_path / "o.mp4", "x", **style))[5]
    left, top, right, bottom = box(near(frame, (0, 255, 0), 120))
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((160, 90), abs=14)
    assert bottom - top > 25
    around = box(near(frame, (0, 0, 255), 120))
    assert around[0] < left
    assert around[3] > bottom


async def test_margins(client: Client, video: Path, tmp_path: Path) -> None:
    style = {"position": Look.POSITION_TOP_LEFT, "margin_x": 20, "margin_y": 30}
    left, top, _, _ = box(near((await drawn(client, video, tmp_path / "o.mp4", **style))[5], WHITE))
    assert left == pytest.approx(128, abs=5)
    assert 108 <= top < 125


@pytest.mark.parametrize(
    ("field", "style"),
    [
        ("color", {"color": "red"}),
        ("box_color", {"box_color": "#12345"}),
        ("y", {"x": 0.5}),
        ("size", {"size": 41}),
        ("margin_y", {"margin_y": float("nan")}),
        ("preset", {"preset": 77}),
        ("position", {"position": 10}),
    ],
)
async def test_what_is_no_style_is_refused(
    client: Client, video: Path, cues: Path, field: str, style: dict[str, Any]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(captioning(**style), {"url_video": video, "url_srt": cues})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(f"style.{field}: ")


async def test_a_caption_of_thousands_of_words_is_not_lit_up_word_by_word(
    client: Client, video: Path, tmp_path: Path
) -> None:
    cues = media.srt(tmp_path / "long.srt", [(0, 2, "la " * 8000)])  # a script of 120 MB
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(captioning(preset=Look.PRESET_KARAOKE), {"url_video": video, "url_srt": cues})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "shorter ones" in (caught.value.details() or "")
