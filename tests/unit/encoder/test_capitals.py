"""Captions in capitals, as their language has them."""

import operator

import pytest

from encoder.captions.capitals import capitalize, capitals, language_of
from encoder.captions.formats import Cue
from encoder.captions.karaoke import Word
from tests.support.growth import assert_grows_gently


@pytest.mark.parametrize(
    ("text", "language", "shown"),
    [
        ("istanbul ışık iyi", "tr", "İSTANBUL IŞIK İYİ"),
        ("i\u0307yi İstanbul", "tr", "İYİ İSTANBUL"),
        ("istanbul", "", "ISTANBUL"),
        ("straße, ijs, éàñ, ŉ", "", "STRASSE, IJS, ÉÀÑ, ʼN"),
        ("i\u0307\u0300 ji\u0307", "lt", "I\u0300 JI"),
        ("Ελλάδα, μάιος άυλος προϊόν Μαΐου ή όχι ᾳ ΐ", "el", "ΕΛΛΑΔΑ, ΜΑΪΟΣ ΑΫΛΟΣ ΠΡΟΪΟΝ ΜΑΪΟΥ Ή ΟΧΙ ΑΙ Ϊ"),
        ("ήρθε", "el", "ΗΡΘΕ"),
        ("привет ünï 漢字 سلام", "el", "ПРИВЕТ ÜNÏ 漢字 سلام"),
    ],
)
def test_capitals(text: str, language: str, shown: str) -> None:
    assert "".join(capitals(text, language)) == shown


@pytest.mark.parametrize(
    ("given", "text", "language"),
    [
        ("tr", "", "tr"),
        ("tr-TR", "", "tr"),
        ("TUR", "", "tr"),
        ("Turkish", "", "tr"),
        ("az_Latn", "", "tr"),
        ("ell", "", "el"),
        ("de", "ışık", ""),
        ("", "istanbul ışık iyi", "tr"),
        ("", "the works of Orhan Yıldırım, " * 3 + "and of many others in the same language, " * 5, ""),
        ("", "hello", ""),
    ],
)
def test_the_language_is_given_or_told_by_its_letters(given: str, text: str, language: str) -> None:
    assert language_of(given, [text]) == language


def test_marks_stay_and_places_move() -> None:
    cue = Cue(0, 1, '<i>ß</i> <font color="#FF0000">ı</font>b', ((3, 5), (30, 6)), name="x")
    shown, words = capitalize(cue, [Word(0, 8, 0, 1), Word(9, len(cue.text), 1, 2)], "tr")
    assert shown == Cue(0, 1, '<i>SS</i> <font color="#FF0000">I</font>B', ((3, 5), (31, 6)))
    assert (words[0], words[1].first, words[1].end) == (Word(0, 9, 0, 1), 10, len(shown.text))


@pytest.mark.parametrize("language", ["", "tr", "lt", "el"])
def test_capitals_take_time_in_step_with_the_text(language: str) -> None:
    assert_grows_gently(lambda size: lambda: capitals("άι\u0307ß" * size, language), operator.call, 1000)
