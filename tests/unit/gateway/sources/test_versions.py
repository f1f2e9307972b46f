"""Versions of files on the web: which answers are known to be of other bytes."""

import pytest

from gateway.sources.versions import are_different, version_of

MONDAY, TUESDAY = "Mon, 02 Nov 2026 10:00:00 GMT", "Tue, 03 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("one", "other", "different"),
    [
        (('"a"', MONDAY), ('"a"', MONDAY), False),
        (('"a"', MONDAY), ('"b"', MONDAY), True),
        # Servers of one file that do not agree on the time.
        (('"a"', MONDAY), ('"a"', TUESDAY), False),
        (("", MONDAY), ("", TUESDAY), True),
        (('W/"a"', MONDAY), ('W/"b"', MONDAY), False),
        (('W/"a"', ""), ('W/"b"', ""), True),
        (('W/"a"', ""), ('"a"', ""), False),
        (('"a"', ""), ("", MONDAY), False),
        (('"a"', MONDAY), ("", TUESDAY), True),
        (("", ""), ('"a"', MONDAY), False),
    ],
)
def test_the_best_that_both_tell_decides(one: tuple[str, str], other: tuple[str, str], *, different: bool) -> None:
    versions = version_of(*one), version_of(*other)
    assert are_different(*versions) is different
    assert are_different(*reversed(versions)) is different


def test_what_is_no_version_is_none() -> None:
    assert version_of("", "") == version_of("no quotes", "a\nb") == version_of('"' + "x" * 201 + '"', "x" * 65) == ""
