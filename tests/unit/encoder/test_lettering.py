"""Which font draws what of captions, and what is told of letters that no font draws as they were meant."""

import operator
import re
import unicodedata
from collections.abc import Callable

import pytest

from encoder.captions import letter_warnings, lettering
from encoder.captions.formats import Cue
from encoder.captions.languages import han_region
from encoder.captions.lettering import Lettering, StandIn
from tests.support.growth import assert_grows_gently

LATIN = frozenset(map(ord, "abcxyz 123!,\u0301"))
THAI = StandIn("T", frozenset(map(ord, "ทำน้ ")))
KEYS = StandIn("K", frozenset(map(ord, "123\u20e3👩👧🏽")))
ACCENTS = StandIn("A", frozenset(map(ord, "abcxyz\u0301\u0489")))


def runs(text: str, *stand_ins: StandIn) -> list[tuple[str, str]]:
    pattern = lettering.cluster_pattern(set(text))
    return list(Lettering(LATIN, stand_ins, frozenset(), pattern).runs(text))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ab ทำ 1", [("", "ab "), ("T", "ทำ"), ("", " 1")]),
        ("aทำ", [("", "a"), ("T", "ทำ")]),
        (" ทำ  น\nทำ น, ", [("", " "), ("T", "ทำ  น"), ("", "\n"), ("T", "ทำ น"), ("", ", ")]),
        ("ทำ 👩 👧", [("T", "ทำ"), ("", " "), ("K", "👩"), ("", " "), ("K", "👧")]),  # whose font has no blank
        ("1\ufe0f\u20e3 2", [("K", "1\ufe0f\u20e3"), ("", " 2")]),  # a key is one, though both fonts have the digit
        ("👩🏽\u200d👧!", [("K", "👩🏽\u200d👧"), ("", "!")]),
        ("x\u0301a\u0489b", [("", "x\u0301"), ("A", "a\u0489"), ("", "b")]),
        ("ท\u0489", [("T", "ท"), ("A", "\u0489")]),  # no font has both
        ("ท\u200dำ", [("T", "ท\u200dำ")]),
    ],
)
def test_what_is_shaped_as_one_comes_from_one_font(text: str, parts: list[tuple[str, str]]) -> None:
    assert runs(text, THAI, KEYS, ACCENTS) == parts


def test_fonts_are_named_between_commands() -> None:
    drawn = Lettering(LATIN, [THAI], frozenset(), lettering.cluster_pattern("ทำ"))
    assert drawn.tag_fonts("{\\an8}ab") == "{\\an8}ab"
    assert drawn.tag_fonts("{\\i1}ทำ{\\i0}\\Nab\\{ทำ\\}") == "{\\i1}{\\fnT}ทำ{\\i0}\\N{\\fn}ab\\{{\\fnT}ทำ\\}"


def test_a_blank_is_as_wide_whatever_word_lights_up() -> None:
    drawn = Lettering(LATIN, [THAI], frozenset(), lettering.cluster_pattern("ทำน"))
    plain, lit = drawn.tag_fonts("ทำ น a น"), drawn.tag_fonts("{\\1c&H1&}ทำ{\\1c&H2&} น a น")
    assert plain == "{\\fnT}ทำ น{\\fn} a {\\fnT}น"
    assert re.sub(r"{\\1c[^}]*}", "", lit) == plain


def test_pictures_alone_are_told_a_script() -> None:
    """Else the renderer parts them at their joiners."""
    drawn = Lettering(LATIN, [KEYS], frozenset(), lettering.cluster_pattern("👩\u200d👧"))
    assert drawn.tag_fonts("👩\u200d👧!").endswith(lettering.SCRIPTED)
    assert not drawn.tag_fonts("a 👩\u200d👧").endswith(lettering.SCRIPTED)
    assert unicodedata.bidirectional(lettering.SCRIPTED) == "NSM"  # it turns no line


def test_what_draws_nothing_needs_no_font() -> None:
    unseen = (
        "\u200b\u200c\u200d\u200e\u200f\u2060\u2066\u2069\ufeff\u00ad\u034f\ufe0e\ufe0f\U000e0100\U000e0067\t\n\x07"
    )
    assert lettering.required_codes(unseen + "a ") == {ord("a"), ord(" ")}


def test_controls_are_dropped_and_joiners_stay() -> None:
    cue = lettering.drop_from_cue(Cue(0, 1, "a\x07b\x85\u2028c\u200d\u200f\td\ne", ((4, 7),)), frozenset("e"))
    assert cue == Cue(0, 1, "abc\u200d\u200f\td\n", ((2, 7),))


def test_a_missing_capital_takes_no_small_letter_along() -> None:
    assert lettering.drop_from_cue(Cue(0, 1, "ẞß"), {"ẞ"}).text == "ß"


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("plain", ""),
        ("日本語の字幕です", "JP"),
        ("안녕하세요 世界", "KR"),
        ("这是一个句子", "SC"),
        ("這是一個句子", "TC"),
        ("鮮の每日C 果汁很好喝,这个产品的名字里有一个假名", "SC"),
        ("ㄅㄆㄇ 中", "TC"),
        ("中文", "SC"),
    ],
)
def test_a_region_follows_from_the_text(text: str, region: str) -> None:
    assert han_region(text) == region


def test_pictures_in_colors_are_told_once() -> None:
    texts = ["ok © ™ ✓ 1 漢 ㊗ ⏎", "<i>👩🏽\u200d🚀</i> ❤\ufe0f 1\ufe0f\u20e3", "⭐ 👩 🇩🇪 \u2764\ufe0e \U0001fae8"]
    (warning,) = letter_warnings.of_letters(texts, frozenset())
    assert (warning.reason, warning.metadata["cue"]) == ("EMOJI_ONE_COLOR", "2")
    assert warning.metadata["characters"] == "👩🚀❤\ufe0f1\ufe0f\u20e3⭐🇩🇪\U0001fae8"
    assert letter_warnings.of_letters(texts[:1], frozenset()) == []


def test_missing_pictures_are_told_as_missing_alone() -> None:
    (warning,) = letter_warnings.of_letters(["a 🫩"], frozenset("🫩"))
    assert (warning.reason, warning.metadata["characters"]) == ("MISSING_GLYPHS", "🫩")


@pytest.mark.parametrize("piece", ["ทำ", "a\u0489", "👩\u200d👧 ", "1\ufe0f\u20e3{\\i1}", "\u0489", "漢ท "])
def test_naming_fonts_grows_evenly(piece: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        text = piece * size
        pattern = lettering.cluster_pattern(set(text))
        return lambda: Lettering(LATIN, [THAI, KEYS, ACCENTS], frozenset(), pattern).tag_fonts(text)

    assert_grows_gently(prepare, operator.call, 1000)
