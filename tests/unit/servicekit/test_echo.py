"""What errors repeat of their caller's input."""

import pytest

from servicekit.echo import MAX_ECHO_LETTERS, brief, shorten
from servicekit.errors import InvalidArgument
from tests.support.growth import assert_grows_gently


@pytest.mark.parametrize("letters", [1, 200, 201, 100_000])
def test_text_is_cut_to_200_letters(letters):
    assert len(brief("x" * letters)) == min(letters, MAX_ECHO_LETTERS)


PATH = "There is nothing at /{}; GET / lists the endpoints."
FIELD = 'Unknown field "{}"; known: a, b.'
WORD = "words: '{}' stands where the subtitles have 'a'; give every word."
ONE_WORD, MANY_WORDS = "ab" * 5_000, "a b" * 5_000


@pytest.mark.parametrize(
    ("text", "given"),
    [(PATH, ONE_WORD), (FIELD, ONE_WORD), (WORD, ONE_WORD), (FIELD, MANY_WORDS), (WORD, MANY_WORDS)],
)
def test_a_word_or_quotation_in_an_error_is_cut_and_its_end_stays(text, given):
    found = InvalidArgument(text.format(given)).message
    assert len(found) < MAX_ECHO_LETTERS + len(text)
    assert found[-10:] == text[-10:]


def test_short_texts_and_long_honest_ones_stay_as_they_are():
    honest = "The gateway's disk is full; make room, or give another folder. " * 8
    assert shorten(honest) == honest
    assert len(shorten("All is well. " * 1_000)) <= 1_000


def test_errors_fit_into_a_header_of_grpc():
    letters = "\U0001f600 " * 5_000
    error = InvalidArgument(f"It is wrong: {letters}", fields={letters: letters})
    percent_encoded = 3 * len(error.message.encode())
    assert percent_encoded + len(error.to_status().SerializeToString()) * 4 / 3 < 10_000
    assert [len(name) for name in error.fields] == [MAX_ECHO_LETTERS]


@pytest.mark.parametrize("unit", ["'", "' ", '"a', "a" * 199 + " ", "a", "a' "], ids=repr)
def test_cutting_grows_gently(unit):
    assert_grows_gently(lambda size: unit * size, shorten, 20_000 // len(unit))
