"""Captions in other scripts, held against what another renderer (Pillow with Raqm) makes of the same text and font."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, features

from apigpu.v1 import caption_style_pb2, video_pb2
from encoder.captions import fonts
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
FONTS = {path.name.split("[")[0]: path for path in fonts.bundled_files()}
CJK = "NotoSansCJK-VF.otf.ttc"
TEXTS = {
    "arabic": ("NotoSansArabic", "مرحبا بكم في العالم", "ar"),
    "hebrew": ("NotoSansHebrew", "שלום לכולם", "he"),
    "devanagari": ("NotoSansDevanagari", "नमस्ते क्षत्रिय हिन्दी", "hi"),
    "thai": ("NotoSansThai", "สวัสดีชาวโลกที่นี่", "th"),
    "chinese": (CJK, "你好世界漢字", "zh"),
    "japanese": (CJK, "こんにちは世界", "ja"),
    "korean": (CJK, "안녕하세요", "ko"),
    "emoji": ("NotoEmoji", "😀🚀🎉❤", "und"),
}


@pytest.fixture(scope="module")
def video(media_dir: Path) -> Path:
    return media.grey_video(media_dir / "scripts.mp4", 0.4, "1280x720", 10)


async def drawn(client: Client, video: Path, out: Path, words: str, **style: object) -> np.ndarray:
    """What is drawn into the second frame: brightness, height × width."""
    cues = media.srt(out.with_suffix(".srt"), [(0, 2, words)])
    look = caption_style_pb2.CaptionStyle(outline=0, size=12, **style)
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s", style=look)
    summary = await client.result(out, video_pb2.Operation(caption=request), {"url_video": video, "url_srt": cues})
    assert not summary.warnings
    return cropped(judge.pictures(out, "gray")[1])


def cropped(gray: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(gray > 150)
    return gray[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(np.float32)


def reference(name: str, words: str, language: str, *, shaped: bool) -> np.ndarray:
    layout = ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC
    font = ImageFont.truetype(str(FONTS[name]), 96, layout_engine=layout)
    font.set_variation_by_axes([400])
    picture = Image.new("L", (1600, 400), 64)
    ImageDraw.Draw(picture).text((100, 100), words, 255, font, **({"language": language} if shaped else {}))
    return cropped(np.asarray(picture))


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures, 1 for the same, brought to one size."""
    sized = [cv2.resize(picture, (600, 100), interpolation=cv2.INTER_AREA) for picture in (one, other)]
    a, b = (cv2.GaussianBlur(picture, (0, 0), 2).ravel() for picture in sized)
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("script", TEXTS)
async def test_a_script_is_shaped_and_runs_its_way(client: Client, video: Path, tmp_path: Path, script: str) -> None:
    assert features.check("raqm")
    name, words, language = TEXTS[script]
    shown = await drawn(client, video, tmp_path / "o.mp4", words)
    right = likeness(shown, reference(name, words, language, shaped=True))
    assert right > 0.85
    if script in ("arabic", "hebrew", "devanagari"):  # which a renderer that does not shape gets wrong
        assert right > likeness(shown, reference(name, words, language, shaped=False)) + 0.2


async def test_scripts_mix_in_one_line(client: Client, video: Path, tmp_path: Path) -> None:
    """The line runs from right to left, and the Latin word, in another font, stands in its middle."""
    shown = await drawn(client, video, tmp_path / "o.mp4", "שלום HHHHHH לכולם")
    empty = [int(column) for column in np.flatnonzero((shown > 150).sum(axis=0) == 0)]
    gaps = [(one, other) for one, other in zip([-1, *empty], [*empty, shown.shape[1]], strict=True) if other - one > 9]
    first = shown[:, gaps[-4][0] :]
    assert likeness(cropped(first), reference("NotoSansHebrew", "שלום", "he", shaped=True)) > 0.85


async def test_lines_without_blanks_wrap_within_the_picture(client: Client, video: Path, tmp_path: Path) -> None:
    line = "这是一个非常长的句子没有任何空格应该在屏幕边缘换行否则文字会超出画面之外"
    cues = media.srt(tmp_path / "s.srt", [(0, 2, line * 2)])
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s")
    await client.result(tmp_path / "o.mp4", video_pb2.Operation(caption=request), {"url_video": video, "url_srt": cues})
    columns = np.flatnonzero((judge.pictures(tmp_path / "o.mp4", "gray")[1] > 150).any(axis=0))
    assert columns.min() >= 1280 * 0.04
    assert columns.max() <= 1280 * 0.96


async def test_bold_capitals_leave_other_scripts_readable(client: Client, video: Path, tmp_path: Path) -> None:
    name, words, language = TEXTS["arabic"]
    shown = await drawn(client, video, tmp_path / "o.mp4", words, bold=True, capitals=True)
    assert likeness(shown, reference(name, words, language, shaped=True)) > 0.75
