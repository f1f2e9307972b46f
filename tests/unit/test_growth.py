"""The measure of growth tells linear work from quadratic work."""

import pytest

from tests.support.growth import assert_grows_gently


def test_linear_work_passes():
    assert_grows_gently(lambda size: list(range(size)), sum, 20_000)


def test_work_that_sorts_passes():
    assert_grows_gently(lambda size: [number * 7919 % size for number in range(size)], sorted, 5_000)


def test_work_that_is_refused_at_once_passes():
    assert_grows_gently(lambda size: "a" * size, len, 1_000)


def test_quadratic_work_fails():
    with pytest.raises(AssertionError, match="grows too fast"):
        assert_grows_gently(lambda size: list(range(size)), lambda values: [values.count(v) for v in values], 150)
