"""Normal forms of text, whatever its letters carry."""

import operator
import unicodedata

import pytest

from servicekit.text import MAX_MARKS, normalize, stream_safe
from tests.support.growth import assert_grows_gently

ACUTE, CEDILLA = "\u0301", "\u0327"


@pytest.mark.parametrize("text", [
    "plain",
    "Fe\u0301rias",
    "日本語の字幕がとても長く続いていて切れ目のない文章になっている場合もあるのでそのまま残す",
    "กำลังทำอะไรอยู่ที่นี่ครับผมไม่รู้เหมือนกันว่าจะพูดอะไรดีในประโยคนี้",
    "가나다라마바사아자차카타파하" * 4,
    "a" + ACUTE * MAX_MARKS + "b",
])  # fmt: skip
def test_honest_text_stays(text: str) -> None:
    assert stream_safe(text) == text
    assert normalize("NFC", text) == unicodedata.normalize("NFC", text)


def test_a_letter_keeps_its_first_marks() -> None:
    assert stream_safe("x" + ACUTE * 100 + "y" + CEDILLA * 31) == "x" + ACUTE * 30 + "y" + CEDILLA * 30
    assert stream_safe(ACUTE * 100) == ACUTE * 30


def test_marks_count_that_letters_bring_with_them() -> None:
    # Two marks each; the second is in no class of marks by itself.
    for double in ("\u0344", "\u0f73"):
        assert len(stream_safe("x" + double * 100)) == 1 + MAX_MARKS // 2
    # é has one already.
    assert stream_safe("é" + ACUTE * 100) == "é" + ACUTE * 29


@pytest.mark.parametrize("marks", [ACUTE + CEDILLA, "\u0344", "\u0f73\u0f71", "\U0001d165\u0301"])
@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_it_grows_evenly(form: str, marks: str) -> None:
    assert_grows_gently(lambda size: lambda: normalize(form, "x" + marks * size), operator.call, 4000)
