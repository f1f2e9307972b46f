"""Captions in other scripts, held against what another renderer (Pillow with Raqm) makes of the same text by HarfBuzz,
with the font given whole."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, features

from apigpu.v1 import caption_style_pb2, video_pb2
from encoder.captions.font_files import bundled_files
from tests.support import encoder_harness, judge, media
from tests.support.font_files import make_font
from tests.support.sentences import CJK, SENTENCES, Sentence

Client = encoder_harness.Client
Look = caption_style_pb2.CaptionStyle
FONTS = {path.name.split("[")[0]: path for path in bundled_files()}
HEIGHT = 160
RATE = 10
# A renderer that does not shape gets these wrong.
SHAPED = ("arabic", "hebrew", "hindi")


async def drawn(client: Client, folder: Path, texts: list[str], **style: object) -> tuple[list[np.ndarray], list[str]]:
    """What is drawn of each text, in a frame of its own (brightness, height × width), and the reasons of warnings."""
    video = media.grey_video(folder / "v.mp4", len(texts) / RATE, f"1280x{HEIGHT}", RATE)
    cues = media.srt(folder / "s.srt", [(n / RATE, (n + 1) / RATE, text) for n, text in enumerate(texts)])
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s", style=Look(outline=0, size=40, **style))
    files = {"url_video": video, "url_srt": cues}
    summary = await client.result(folder / "o.mp4", video_pb2.Operation(caption=request), files)
    reasons = [warning.reason for warning in summary.warnings]
    return [cropped(picture) for picture in judge.pictures(folder / "o.mp4", "gray")], reasons


def cropped(gray: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(gray > 150)
    return gray[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(np.float32)


def reference(sentence: Sentence, *, shaped: bool = True) -> np.ndarray:
    layout = ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC
    font = ImageFont.truetype(str(FONTS[sentence.font]), 96, sentence.number, layout_engine=layout)
    font.set_variation_by_axes([400])
    picture = Image.new("L", (2400, 400), 64)
    ImageDraw.Draw(picture).text((100, 100), sentence.text, 255, font)
    return cropped(np.asarray(picture))


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures, 1 for the same, brought to one size; 0 for two of another shape."""
    shapes = [picture.shape[1] / picture.shape[0] for picture in (one, other)]
    if abs(shapes[0] / shapes[1] - 1) > 0.08:
        return 0.0
    size = (round(100 * shapes[1]), 100)
    sized = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (one, other)]
    a, b = (cv2.GaussianBlur(picture, (0, 0), 2).ravel() for picture in sized)
    return float(np.corrcoef(a, b)[0, 1])


async def test_scripts_are_shaped_as_by_the_whole_font_and_run_their_way(client: Client, tmp_path: Path) -> None:
    assert features.check("raqm")
    pictures, reasons = await drawn(client, tmp_path, [sentence.text for sentence in SENTENCES.values()])
    assert reasons == ["EMOJI_ONE_COLOR"]
    shown = dict(zip(SENTENCES, pictures, strict=True))
    right = {name: likeness(shown[name], reference(sentence)) for name, sentence in SENTENCES.items()}
    assert {name: figure for name, figure in right.items() if figure < 0.9} == {}
    for name in SHAPED:
        assert right[name] > likeness(shown[name], reference(SENTENCES[name], shaped=False)) + 0.2


@pytest.mark.parametrize(("text", "number", "other"), [("これ直骨", 0, 3), ("这直骨", 2, 0), ("這直骨", 3, 2)])
async def test_a_letter_is_written_as_its_language_has_it(
    client: Client, tmp_path: Path, text: str, number: int, other: int
) -> None:
    """Han letters of one code differ by region; which is meant follows from what stands about them."""
    ((shown,), _) = await drawn(client, tmp_path, [text])
    right, wrong = (likeness(shown, reference(Sentence(CJK, text, face))) for face in (number, other))
    assert right > max(0.93, wrong + 0.02)


async def test_scripts_mix_in_one_line(client: Client, tmp_path: Path) -> None:
    """The line runs from right to left, and the Latin word, in another font, stands in its middle."""
    ((shown,), _) = await drawn(client, tmp_path, ["שלום HHHHHH לכולם"])
    empty = [int(column) for column in np.flatnonzero((shown > 150).sum(axis=0) == 0)]
    gaps = [(one, other) for one, other in zip([-1, *empty], [*empty, shown.shape[1]], strict=True) if other - one > 9]
    first = shown[:, gaps[-4][0] :]
    assert likeness(cropped(first), reference(Sentence("NotoSansHebrew", "שלום"))) > 0.85


async def test_lines_without_blanks_wrap_within_the_picture(client: Client, tmp_path: Path) -> None:
    line = "这是一个非常长的句子没有任何空格应该在屏幕边缘换行否则文字会超出画面之外"
    video = media.grey_video(tmp_path / "v.mp4", 0.4, "1280x720", 10)
    cues = media.srt(tmp_path / "s.srt", [(0, 2, line * 2)])
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s")
    await client.result(tmp_path / "o.mp4", video_pb2.Operation(caption=request), {"url_video": video, "url_srt": cues})
    columns = np.flatnonzero((judge.pictures(tmp_path / "o.mp4", "gray")[1] > 150).any(axis=0))
    assert columns.min() >= 1280 * 0.04
    assert columns.max() <= 1280 * 0.96


@pytest.mark.parametrize("text", ["◌◌◌◌◌", "ꦧꦱꦗꦮꦧꦱꦗꦮ", "ᬅᬆᬇᬈ"])
async def test_letters_at_which_the_renderer_would_crash(client: Client, tmp_path: Path, text: str) -> None:
    """Of scripts whose lines are broken by syllables, in a font of the caller."""
    video = media.grey_video(tmp_path / "v.mp4", 0.2, "320x180", 10)
    cues = media.srt(tmp_path / "s.srt", [(0, 2, text)])
    font = make_font(tmp_path / "own.ttf", "Own", "".join(sorted(set(text))))
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s", url_font="f")
    files = {"url_video": video, "url_srt": cues, "url_font": font}
    await client.result(tmp_path / "o.mp4", video_pb2.Operation(caption=request), files)
    assert (judge.pictures(tmp_path / "o.mp4", "gray")[1] > 150).sum() > 100


async def test_bold_capitals_leave_other_scripts_readable(client: Client, tmp_path: Path) -> None:
    arabic = SENTENCES["arabic"]
    ((shown,), _) = await drawn(client, tmp_path, [arabic.text], bold=True, capitals=True)
    assert likeness(shown, reference(arabic)) > 0.75


@pytest.mark.parametrize("text", ["سلام دنیا خوب", "AVATAR To You"])
async def test_words_stay_where_they_are_when_others_light_up(client: Client, tmp_path: Path, text: str) -> None:
    style = {"preset": Look.PRESET_KARAOKE, "color": "#FFFFFF", "highlight_color": "#FFFFFF"}
    video = media.grey_video(tmp_path / "v.mp4", 1.2, "320x180", 10)
    cues = media.srt(tmp_path / "s.srt", [(0, 2, text)])
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s", style=Look(**style))
    await client.result(tmp_path / "o.mp4", video_pb2.Operation(caption=request), {"url_video": video, "url_srt": cues})
    first, *others = judge.pictures(tmp_path / "o.mp4", "gray")
    assert (first > 150).sum() > 100
    assert max(judge.differing(first, other).sum() for other in others) == 0
