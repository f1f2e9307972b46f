"""Captions from other files than SubRip, in fonts of the caller, and letters that no font has."""

import itertools
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import caption_style_pb2, video_pb2
from encoder.captions import font_files
from tests.support import encoder_harness, judge, media
from tests.support.font_files import make_font
from tests.unit.encoder.test_subtitles import SCRIPT

Client = encoder_harness.Client
Look = caption_style_pb2.CaptionStyle
Word = caption_style_pb2.CaptionWord
# Private letters, of a plane in which no font has any.
UNKNOWN = "\U0010fff0\U0010fff1"
# Letters of a script that died out before it could be read.
CYPRIOT = "\U00012f90\U00012f91"
WHITE, YELLOW = (255, 255, 255), (255, 212, 0)


@pytest.fixture(scope="module")
def video(media_dir: Path) -> Path:
    return media.grey_video(media_dir / "text.mp4", 2, "640x360", 10)


@pytest.fixture(scope="module")
def small_font(media_dir: Path) -> bytes:
    return make_font(media_dir / "small.ttf", "Small", "HO ").read_bytes()


def asking(
    text: str, font: bytes | None, options: dict[str, Any]
) -> tuple[video_pb2.Operation, dict[str, Path | bytes]]:
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s", url_font="f" if font else "", **options)
    more: dict[str, Path | bytes] = {"url_font": font} if font else {}
    return video_pb2.Operation(caption=request), {"url_srt": text.encode(), **more}


async def captioned(
    client: Client, video: Path, out: Path, text: str, font: bytes | None = None, **options: Any
) -> tuple[list[np.ndarray], encoder_pb2.Summary]:
    operation, inputs = asking(text, font, options)
    summary = await client.result(out, operation, {"url_video": video, **inputs})
    return [frame.astype(int) for frame in judge.pictures(out)], summary


async def refused(client: Client, video: Path, text: str, font: bytes | None = None, **options: Any) -> str:
    operation, inputs = asking(text, font, options)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(operation, {"url_video": video, **inputs})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return caught.value.details() or ""


def near(frame: np.ndarray, color: tuple[int, int, int], within: int = 90) -> np.ndarray:
    found: np.ndarray = np.abs(frame - np.array(color)).sum(axis=2) < within
    return found


def cue(text: str) -> str:
    return f"1\n00:00:00,000 --> 00:00:02,000\n{text}\n"


async def test_webvtt_looks_as_subrip_does(client: Client, video: Path, tmp_path: Path) -> None:
    words = "Hello <i>you</i>"
    one, _ = await captioned(client, video, tmp_path / "1.mp4", cue(words))
    other, _ = await captioned(client, video, tmp_path / "2.mp4", f"WEBVTT\n\n00:00.000 --> 00:02.000\n{words}\n")
    assert near(one[5], WHITE).any()
    assert np.array_equal(one[5], other[5])


async def test_a_script_keeps_its_look_and_is_told_when_another_is_asked_for(
    client: Client, video: Path, tmp_path: Path
) -> None:
    style = Look(preset=Look.PRESET_BOLD)
    frames, summary = await captioned(client, video, tmp_path / "o.mp4", SCRIPT.replace("漢", "you"), style=style)
    green = near(frames[5], (0, 255, 0))
    assert green.sum() > 100
    assert np.nonzero(green)[0].max() < 180  # on top, by its alignment
    told = {warning.reason: dict(warning.metadata) for warning in summary.warnings}
    assert told == {"STYLE_IGNORED": {}, "FONTS_REPLACED": {"fonts": "Nowhere, Other"}}


STYLES = SCRIPT[SCRIPT.index("[V4+") : SCRIPT.index("[Fonts]")]


@pytest.mark.parametrize(
    "styles",
    ["", STYLES.replace("Nowhere", ""), STYLES.replace("Default", "Other").replace("Nowhere", "Fira Sans")],
    ids=["no-styles", "no-font", "another-style"],
)
async def test_a_script_that_names_no_font_is_drawn_all_the_same(
    client: Client, video: Path, tmp_path: Path, styles: str
) -> None:
    text = SCRIPT.replace(STYLES, styles).replace("{\\fnOther\\b1}Hi {\\i1}漢", "HHHH")
    frames, _ = await captioned(client, video, tmp_path / "o.mp4", text)
    assert (np.abs(frames[5] - 0x40).max(axis=2) > 90).sum() > 100


async def test_more_fonts_than_are_taken_are_told(client: Client, video: Path, tmp_path: Path) -> None:
    cases = ["".join(case) for case in itertools.product(*[(letter, letter.upper()) for letter in "armeni"])]
    names = [*(f"Noto Sans {name}an" for name in cases), "Left Out", "Noto Sans armenian", "And This"]
    line = "".join(f"{{\\fn{name}}}բարեւ" for name in names)
    text = SCRIPT.replace("Nowhere", names[0]).replace("{\\fnOther\\b1}Hi {\\i1}漢", line)
    _, summary = await captioned(client, video, tmp_path / "o.mp4", text.replace("0:00:02.00", "0:00:00.01"))
    warning, _ = summary.warnings  # that the line leaves the picture is told too
    assert (warning.reason, dict(warning.metadata)) == ("FONTS_LEFT_OUT", {"fonts": "Left Out, And This"})


async def test_a_font_color_is_drawn(client: Client, video: Path, tmp_path: Path) -> None:
    frames, _ = await captioned(client, video, tmp_path / "o.mp4", cue('<font color="#ffd400">HHHH</font>'))
    assert near(frames[5], YELLOW).sum() > 40


async def test_letters_of_no_font_are_left_out_and_told(client: Client, video: Path, tmp_path: Path) -> None:
    text = cue("ok") + "\n" + cue(f"Hi{UNKNOWN}!").replace("1\n", "2\n", 1)
    with_them, summary = await captioned(client, video, tmp_path / "1.mp4", text)
    without, _ = await captioned(client, video, tmp_path / "2.mp4", text.replace(UNKNOWN, ""))
    assert np.array_equal(with_them[5], without[5])
    (warning,) = summary.warnings
    assert (warning.reason, dict(warning.metadata)) == ("MISSING_GLYPHS", {"cue": "2", "characters": UNKNOWN})
    assert "caption 2" in warning.message


@pytest.mark.parametrize(
    "text", [UNKNOWN, f"{UNKNOWN} \u200d{CYPRIOT}", SCRIPT.replace("{\\fnOther\\b1}Hi {\\i1}漢", UNKNOWN)]
)
async def test_captions_of_which_nothing_would_be_seen_are_refused(client: Client, video: Path, text: str) -> None:
    told = await refused(client, video, text.replace("{\\p1}m 0 0 l 9 9", UNKNOWN) if "Script" in text else cue(text))
    assert told.startswith("url_srt: no font here has any of its letters")
    assert "url_font" in told


async def test_letters_of_no_font_are_told_of_a_script_too(client: Client, video: Path, tmp_path: Path) -> None:
    with_them, summary = await captioned(client, video, tmp_path / "1.mp4", SCRIPT.replace("漢", f"you{UNKNOWN}"))
    without, _ = await captioned(client, video, tmp_path / "2.mp4", SCRIPT.replace("漢", "you"))
    assert np.array_equal(with_them[5], without[5])
    missing = [warning for warning in summary.warnings if warning.reason == "MISSING_GLYPHS"]
    assert [warning.metadata["cue"] for warning in missing] == ["1"]


async def test_a_font_of_the_caller_is_used(client: Client, video: Path, tmp_path: Path) -> None:
    usual, _ = await captioned(client, video, tmp_path / "1.mp4", cue("HOHOHO"))
    noto = next(path for path in font_files.bundled_files() if path.name.startswith("NotoSans[")).read_bytes()
    own, summary = await captioned(client, video, tmp_path / "2.mp4", cue("HOHOHO"), noto)
    by_name, _ = await captioned(client, video, tmp_path / "3.mp4", cue("HOHOHO"), style=Look(font="Noto Sans"))
    assert not summary.warnings
    assert near(own[5], WHITE).any()
    assert (near(own[5], WHITE) != near(usual[5], WHITE)).sum() > 0.1 * near(own[5], WHITE).sum()
    assert np.array_equal(own[5], by_name[5])


async def test_letters_that_a_font_of_the_caller_lacks_are_told(
    client: Client, video: Path, tmp_path: Path, small_font: bytes
) -> None:
    frames, summary = await captioned(client, video, tmp_path / "1.mp4", cue("HO ș H😀"), small_font)
    assert near(frames[5], WHITE).any()
    told = {warning.reason: dict(warning.metadata) for warning in summary.warnings}
    assert told == {
        "FONT_LACKS_LETTERS": {"font": "Small", "characters": "ș"},
        "EMOJI_ONE_COLOR": {"cue": "1", "characters": "😀"},
    }


async def test_a_family_that_is_not_there(client: Client, video: Path) -> None:
    told = await refused(client, video, cue("a"), style=Look(font="Nowhere Sans"))
    assert told.startswith("style.font: ")
    assert "url_font" in told


async def test_a_font_that_is_none(client: Client, video: Path) -> None:
    assert (await refused(client, video, cue("a"), b"no font")).startswith("url_font: ")


async def test_words_light_up_at_the_times_that_are_given(client: Client, video: Path, tmp_path: Path) -> None:
    words = [Word(text="one", start=0.2, end=0.6), Word(text="TWO", start=1.0, end=1.8)]
    style = Look(preset=Look.PRESET_KARAOKE)
    frames, _ = await captioned(client, video, tmp_path / "o.mp4", cue("<b>One</b>, two!"), words=words, style=style)
    lit = [bool(near(frame, YELLOW, 60).sum() > 20) for frame in frames]
    assert lit == [2 <= n < 6 or 10 <= n < 18 for n in range(20)]
    left, right = (np.nonzero(near(frames[n], YELLOW, 60))[1].mean() for n in (4, 14))
    assert left < right


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- one two", ["one", "two"]),
        ("one – two !", ["one", "two"]),
        ("- one two", ["-", "one", "two"]),
        ("one two", ["♪", "one", "two", "♪"]),
    ],
)
async def test_letters_alone_count_in_words(
    client: Client, video: Path, tmp_path: Path, text: str, said: list[str]
) -> None:
    times = {"one": (0.2, 0.6), "two": (1.0, 1.8)}
    words = [Word(text=word, start=start, end=end) for word in said for start, end in [times.get(word, (0, 0))]]
    style = Look(preset=Look.PRESET_KARAOKE)
    frames, _ = await captioned(client, video, tmp_path / "o.mp4", cue(text), words=words, style=style)
    lit = [bool(near(frame, YELLOW, 60).sum() > 100) for frame in frames]
    assert lit == [2 <= n < 6 or 10 <= n < 18 for n in range(20)]


async def test_words_are_held_against_the_text_with_the_letters_that_no_font_has(
    client: Client, video: Path, tmp_path: Path
) -> None:
    style = Look(preset=Look.PRESET_KARAOKE)
    times = [(0.2, 0.6), (0.7, 0.9), (1.0, 1.8)]
    made = []
    for number, texts in enumerate((("one", CYPRIOT, f"t{CYPRIOT}wo"), ("one", "", "two"))):
        words = [Word(text=text, start=start, end=end) for text, (start, end) in zip(texts, times, strict=True)]
        text = cue(" ".join(texts))
        made.append(await captioned(client, video, tmp_path / f"{number}.mp4", text, words=words, style=style))
    (with_them, summary), (without, _) = made
    assert np.array_equal(with_them, without)
    assert [bool(near(frame, YELLOW, 60).any()) for frame in without] == [2 <= n < 6 or 10 <= n < 18 for n in range(20)]
    assert [warning.reason for warning in summary.warnings] == ["MISSING_GLYPHS"]


async def test_words_of_webvtt_light_up_at_their_times(client: Client, video: Path, tmp_path: Path) -> None:
    text = "WEBVTT\n\n00:00.000 --> 00:02.000\none <00:01.600>two\n"
    frames, _ = await captioned(client, video, tmp_path / "o.mp4", text, style=Look(preset=Look.PRESET_KARAOKE))
    where = [np.nonzero(near(frame, YELLOW, 60))[1].mean() for frame in frames]
    assert [place < 320 for place in where] == [n < 16 for n in range(20)]


async def test_words_without_blanks_light_up_one_after_the_other(client: Client, video: Path, tmp_path: Path) -> None:
    """Thai by its dictionary, Chinese as a request has it, Japanese by the sub-words of a transcript."""
    style = Look(preset=Look.PRESET_KARAOKE)
    chinese = [Word(text=letter, start=0.4 * n, end=0.4 * n + 0.4) for n, letter in enumerate("你好世界吧")]
    japanese = [Word(text=t, start=s, end=s + 0.5) for t, s in (("今日", 0), ("は", 0.5), ("天", 1), ("気。", 1.5))]
    for text, words, count in (
        ("สวัสดีครับวันนี้เรามา", [], 6),
        ("你好世界吧", chinese, 5),
        ("今日は天気。", japanese, 4),
    ):
        frames, summary = await captioned(client, video, tmp_path / "o.mp4", cue(text), words=words, style=style)
        places = [np.flatnonzero(near(frame, YELLOW).any(axis=0)) for frame in frames]
        centers = [round(float(columns.mean()) / 6) for columns in places]
        assert centers == sorted(centers)
        assert len(set(centers)) == count
        assert not summary.warnings


async def test_a_long_word_lights_up_over_its_lines(client: Client, video: Path, tmp_path: Path) -> None:
    text = f"one {'abcdefg' * 12} two"
    words = [Word(text=text, start=n / 2, end=n / 2 + 0.5) for n, text in enumerate(text.split())]
    style = Look(preset=Look.PRESET_KARAOKE)
    frames, _ = await captioned(client, video, tmp_path / "o.mp4", cue(text), words=words, style=style)
    rows = [np.flatnonzero(near(frames[n], YELLOW, 60).any(axis=1)) for n in (2, 7, 12)]
    heights = [np.ptp(row) for row in rows]
    assert heights[1] > 2 * heights[0]
    assert heights[1] > 2 * heights[2]


@pytest.mark.parametrize(
    ("words", "reasons", "lit"),
    [
        ([Word(text="one", start=0, end=1)], ["WORDS_UNMATCHED"], range(20)),
        ([Word(text="one", start=0, end=1), Word(text="zwo", start=1, end=2)], ["WORDS_UNMATCHED"], range(20)),
        ([Word(text=t, start=0, end=1) for t in ("one", "two", "three")], ["WORDS_UNMATCHED", "WORD_TIMES"], range(10)),
        ([Word(text="one", start=1, end=0), Word(text="two", start=1.5, end=2)], [], range(10, 20)),
    ],
)
async def test_words_that_do_not_fit_are_told(
    client: Client, video: Path, tmp_path: Path, words: list[Word], reasons: list[str], lit: range
) -> None:
    style = Look(preset=Look.PRESET_KARAOKE)
    frames, summary = await captioned(client, video, tmp_path / "o.mp4", cue("one two"), words=words, style=style)
    assert [warning.reason for warning in summary.warnings] == reasons
    assert [number for number, frame in enumerate(frames) if near(frame, YELLOW, 60).sum() > 20] == list(lit)


async def test_words_of_another_text_are_refused(client: Client, video: Path) -> None:
    style = Look(preset=Look.PRESET_KARAOKE)
    words = [Word(text=text, start=0, end=1) for text in ("quite", "another", "text")]
    assert "words[0].text: 'quite'" in await refused(client, video, cue("one two"), words=words, style=style)


async def test_words_without_a_style_that_lights_them(client: Client, video: Path) -> None:
    assert "karaoke" in await refused(client, video, cue("one"), words=[Word(text="one", start=0, end=1)])
