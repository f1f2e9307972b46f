"""The judgement of attacks: what was sampled is held against the aims."""

import math

import pytest

from attack.target import Row
from attack.usage import Usage
from attack.victims import Samples, Series


def test_a_percentile_is_one_of_the_samples():
    series = Series([number / 100 for number in range(1, 101)])
    assert (series.percentile(50), series.percentile(99), series.percentile(100)) == (0.5, 0.99, 1.0)
    assert Series([3.0, 1.0]).percentile(99) == 3.0
    assert Series().percentile(99) == math.inf


@pytest.mark.parametrize(
    ("series", "is_met"),
    [
        (Series([0.1] * 200), True),
        (Series([0.1] * 199 + [9.0]), True),
        (Series([0.1] * 20 + [9.0]), False),
        (Series([0.1] * 200, ["URLError: refused"]), False),
        (Series(), False),
    ],
)
def test_an_aim_is_met_by_nearly_all_and_with_none_failed(series, is_met):
    assert series.is_under(0.5) is is_met


def test_a_row_names_the_aims_that_were_missed():
    samples = Samples(Series([0.1]), Series([9.0]))
    row = Row("x", Usage(1, 2).text("gateway"), samples, {"health < 0.5 s": True, "job < 3 s": False})
    assert not row.is_met
    assert row.cells()[1] == "gateway 1.00 s, +2 MiB"
    assert row.cells()[-1] == "MISSED: job < 3 s"
    assert Row("at rest", "", samples, {}).is_met
