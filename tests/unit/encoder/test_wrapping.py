"""Lines of captions: where they are broken, that none is wider than its room, and what is told when they do not fit."""

import re
from collections.abc import Callable
from itertools import pairwise

import pytest

from encoder.captions import ass, line_breaks, styles, wrapping
from encoder.captions.formats import Cue
from encoder.captions.karaoke import timed_words
from encoder.captions.measuring import TextMeasurer
from encoder.captions.styles import Style
from encoder.captions.wrapping import CaptionFitter, FittedCue
from tests.support import captions

LANDSCAPE, PORTRAIT = (640, 360), (360, 640)
LARGE = Style(size=9, bold=True, outline=1)
THAI = "สวัสดีครับวันนี้เราจะมาเรียนรู้วิธีการสร้างวิดีโอสั้นอัตโนมัติด้วยปัญญาประดิษฐ์กันนะครับ"
LAO = "ສະບາຍດີທຸກຄົນມື້ນີ້ພວກເຮົາຈະຮຽນຮູ້ວິທີສ້າງວິດີໂອສັ້ນ"
KHMER = "សួស្តីអ្នកទាំងអស់គ្នាថ្ងៃនេះយើងនឹងរៀនពីរបៀបធ្វើវីដេអូខ្លីៗដោយស្វ័យប្រវត្តិ"
BURMESE = "မင်္ဂလာပါဒီနေ့ကျွန်တော်တို့ဗီဒီယိုတိုတွေအလိုအလျောက်ဖန်တီးနည်းကိုလေ့လာမယ်"
JAPANESE = "今日は、「とても」いい天気ですね。ちょっとコーヒーでも飲みに行きませんか？（はい、行きます。）"
CHINESE = "“这是一个非常长的句子，没有任何空格。”它应该在屏幕边缘换行，否则文字会超出画面之外。"
GERMAN = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
ADDRESS = "see https://example.com/a/very/long/path/without_any_break_abcdefghijklmnopqrstuvwxyz0123456789 now"
FAMILIES = "👨\u200d👩\u200d👧\u200d👦🇧🇷🇩🇪👍🏽" * 12
ENGLISH = "The quick brown fox jumps over the lazy dog, and then it runs back home to sleep for a while."
TEXTS = {
    "thai": THAI,
    "lao": LAO,
    "khmer": KHMER,
    "burmese": BURMESE,
    "japanese": JAPANESE,
    "chinese": CHINESE,
    "german": GERMAN,
    "address": ADDRESS,
    "emoji": FAMILIES,
    "letters": "abcdefghijklmnopqrstuvwxyz" * 2,
    "one letter": "W" * 60,
    "combined": "e\u0323\u0301" * 60,
    "arabic": "مرحبا بكم في العالم " + "م" * 80,
    "hebrew": "שלום iPhone עולם " * 5 + "a" * 60 + " לכולם",
    "hindi": "नमस्तेक्षत्रिय" * 8,
    "no-break": "\u00a0".join("word" for _ in range(30)),
    "soft hyphens": "in\u00adter\u00adna\u00adtio\u00adnal\u00adi\u00adza\u00adtion " * 4,
    "marks": f'<i>{THAI[:30]}</i>{THAI[30:50]}<b>{THAI[50:]}</b> <font color="#FF0000">{GERMAN}</font>',
    "lines": f"{ENGLISH}\n{THAI}\n\nand",
    "escaped": "a" * 60 + "<\u2060i>{\u2060\\an8}\\n" + "b" * 60,
}


@pytest.fixture(scope="module")
def measurer(tmp_path_factory: pytest.TempPathFactory) -> TextMeasurer:
    texts = [text for text in TEXTS.values() if text not in (JAPANESE, CHINESE)]
    return captions.measurer(tmp_path_factory.mktemp("fonts") / "fonts", "\n".join([*texts, ENGLISH.upper(), "-"]))


@pytest.fixture
def fit(measurer: TextMeasurer) -> Callable[..., FittedCue]:
    def fitted(text: str, picture: tuple[int, int] = PORTRAIT, words: bool = False, **style: object) -> FittedCue:
        cue = Cue(0, 10_000, text)
        look = styles.complete_style(Style(**style))
        used = captions.EvenMeasurer() if text in (JAPANESE, CHINESE) else measurer
        return CaptionFitter(used, look, *picture).fit(cue, timed_words(cue) if words else [])

    return fitted


def lines(fitted: FittedCue) -> list[str]:
    return fitted.placed.cue.text.split("\n")


def bare(text: str) -> str:
    """A text without what may be put into it, or left out, at the end of a line."""
    return re.sub("[-\u00ad \n\u200e\u200f]", "", text)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT], ids=["landscape", "portrait"])
@pytest.mark.parametrize("bold", [False, True], ids=["classic", "large"])
def test_no_line_is_wider_than_its_room_and_no_letter_is_lost(
    fit: Callable[..., FittedCue], measurer: TextMeasurer, name: str, size: tuple[int, int], bold: bool
) -> None:
    style = styles.complete_style(LARGE if bold else Style())
    fitted = fit(TEXTS[name], size, **({"size": 9, "bold": True, "outline": 1} if bold else {}))
    assert not fitted.is_cut
    assert bare(fitted.placed.cue.text) == bare(TEXTS[name])
    look = ass.dimensions(style, *size)
    for line in lines(fitted):
        # Those with blanks are left to libass; fonts of Chinese and Japanese are not here.
        for part in re.split("[ \t]", line) if fitted.placed.cue.text == TEXTS[name] else [line]:
            shown = re.sub(r"</?(?:[ib]|font[^<>]*)>", "", part).rstrip(" ")
            width = measurer.width(shown, bold=bold or "<b>" in line) * look.size * fitted.placed.placement.scale
            assert width <= look.room * 1.01, line


def test_what_libass_can_break_is_left_to_it(fit: Callable[..., FittedCue]) -> None:
    for text in (ENGLISH, f"{ENGLISH}\n- <i>{ENGLISH}</i>", "안녕하세요 " * 20, "שלום עולם " * 12):
        fitted = fit(text)
        assert fitted == FittedCue(ass.PlacedCue(Cue(0, 10_000, text), []))


@pytest.mark.parametrize("text", [THAI, LAO, KHMER, BURMESE])
def test_scripts_without_blanks_are_broken_between_words(fit: Callable[..., FittedCue], text: str) -> None:
    parts = lines(fit(text, PORTRAIT, size=9))
    assert len(parts) > 1
    ends = {sum(map(len, parts[: number + 1])) for number in range(len(parts))}
    assert ends <= set(line_breaks.break_places(text))


def test_thai_is_broken_where_a_reader_would(fit: Callable[..., FittedCue]) -> None:
    assert lines(fit(THAI, PORTRAIT)) == [
        "สวัสดีครับวันนี้เราจะมาเรียนรู้วิธีการสร้างวิดีโอ",
        "สั้นอัตโนมัติด้วยปัญญาประดิษฐ์กันนะครับ",
    ]


@pytest.mark.parametrize("text", [JAPANESE, CHINESE])
@pytest.mark.parametrize("size", range(6, 20))
def test_no_line_begins_with_a_closing_mark_or_ends_with_an_opening_one(
    fit: Callable[..., FittedCue], text: str, size: int
) -> None:
    parts = lines(fit(text, PORTRAIT, size=size))
    assert len(parts) > 1
    assert not any(line[0] in "、。，」”？）ょっー" for line in parts)
    assert not any(line[-1] in "「“（" for line in parts)


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("เราจะ", ["เรา", "จะ"]),
        ("ကျွန်တော်", ["ကျွန်", "တော်"]),
        ("क्षत्रिय", ["क्ष", "त्रि", "य"]),
        ("e\u0301👨\u200d👩\u200d👧🇧🇷", ["e\u0301", "👨\u200d👩\u200d👧", "🇧🇷"]),
    ],
)
def test_letters_are_those_that_are_read_as_one(text: str, letters: list[str]) -> None:
    ends = line_breaks.letter_places(text)
    assert [text[first:end] for first, end in pairwise([0, *ends])] == letters


def test_lines_of_japanese_end_with_a_phrase() -> None:
    text = "今日はとてもいい天気ですね"
    ends = line_breaks.break_places(text)
    assert [text[first:end] for first, end in pairwise([0, *ends])] == ["今日は", "とても", "いい", "天気ですね"]


@pytest.mark.parametrize("text", [FAMILIES, TEXTS["combined"], BURMESE, THAI, TEXTS["hindi"]])
def test_letters_are_never_cut(fit: Callable[..., FittedCue], text: str) -> None:
    parts = lines(fit(text, (100, 400), size=20))
    assert len(parts) > 3
    ends, place = set(line_breaks.letter_places(text)), 0
    for line in parts:
        place += len(line.removesuffix("-"))
        assert place in ends, line


def test_a_long_word_is_broken_with_a_hyphen_between_syllables(fit: Callable[..., FittedCue]) -> None:
    first, second, third = lines(fit(GERMAN, PORTRAIT))
    assert first.endswith("-")
    assert second.endswith("-")
    assert not third.endswith("-")
    for line in (second, third):
        assert line[0] not in "aeiouä"
        assert line[1] in "aeiouä"


def test_addresses_and_numbers_get_no_hyphen(fit: Callable[..., FittedCue]) -> None:
    for text in (ADDRESS, "1234567890" * 10, "me@" + "x" * 80):
        parts = lines(fit(text, PORTRAIT))
        assert len(parts) > 1
        assert not any(line.endswith("-") for line in parts)


def test_soft_hyphens_show_at_the_end_of_a_line_alone(fit: Callable[..., FittedCue]) -> None:
    first, *_, last = lines(fit(TEXTS["soft hyphens"], PORTRAIT, size=7))
    assert first.endswith("-")
    assert "-" not in first[:-1] + last


def test_no_break_blanks_hold_while_there_is_room(fit: Callable[..., FittedCue]) -> None:
    parts = lines(fit(f"{GERMAN[:30]} one\u00a0two\u00a0three", PORTRAIT, size=8))
    assert any("one\u00a0two\u00a0three" in line for line in parts)


def test_each_line_runs_as_the_whole_does(fit: Callable[..., FittedCue]) -> None:
    parts = lines(fit("שלום " + "a" * 60 + " לכולם", PORTRAIT))
    assert parts[0] == "שלום"
    assert all(line.startswith("\u200f") for line in parts[1:-1])  # as each begins with a Latin letter
    assert parts[-1] == "לכולם"
    assert all(line.endswith("-\u200e") for line in parts[1:-2])  # the hyphen stays right of its word
    assert all(line.startswith("\u200e") for line in lines(fit("a" + "ש" * 80, PORTRAIT))[1:])


def test_words_stay_what_they_are_where_a_line_ends_within(fit: Callable[..., FittedCue]) -> None:
    text = f"one <i>{GERMAN}</i> two"
    fitted = fit(text, PORTRAIT, words=True)
    assert "\n" in fitted.placed.cue.text
    said = [bare(fitted.placed.cue.text[word.first : word.end]) for word in fitted.placed.words]
    assert said == ["one", f"<i>{GERMAN}</i>", "two"]


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
def test_too_many_lines_are_drawn_smaller_and_told(fit: Callable[..., FittedCue], size: tuple[int, int]) -> None:
    fitted = fit(ENGLISH * 6, size, size=14)
    assert 0.4 < fitted.placed.placement.scale < 1
    (warning,) = wrapping.warnings_of([fit("x"), fitted])
    assert (warning.reason, warning.metadata["cue"]) == ("CAPTION_SMALLER", "2")


def test_what_cannot_fit_is_told(fit: Callable[..., FittedCue]) -> None:
    fitted = fit(ENGLISH * 60, LANDSCAPE, size=20)
    assert fitted.is_cut
    (warning,) = wrapping.warnings_of([fitted])
    assert (warning.reason, warning.metadata["cue"]) == ("CAPTION_CUT", "1")
    assert len(wrapping.warnings_of([fitted] * 100)) == wrapping.MAX_WARNINGS


def test_captions_about_a_point_near_the_edge_stay_in_the_picture(fit: Callable[..., FittedCue]) -> None:
    high, low = (fit(ENGLISH, LANDSCAPE, x=0.1, y=y).placed.placement.middle for y in (0.0, 1.0))
    assert high is not None
    assert low is not None
    assert high + low == pytest.approx(360)
    assert 20 < high < 150
    assert fit("Hi", LANDSCAPE, x=0.5, y=0.3) == FittedCue(ass.PlacedCue(Cue(0, 10_000, "Hi"), []))


def test_a_hard_line_is_left_where_it_is(fit: Callable[..., FittedCue]) -> None:
    fitted = fit("a\n\nb {\\an8}\n")
    assert fitted.placed.cue.text == "a\n\nb {\\an8}\n"
