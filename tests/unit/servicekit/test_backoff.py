"""Pauses double, stay under their cap, and are spread by chance."""

import pytest

from servicekit.backoff import Backoff, Cooldowns


@pytest.mark.parametrize(("failures", "seconds"), [(0, 1.0), (1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (10_000, 10.0)])
def test_pauses_double_up_to_the_cap(failures, seconds):
    assert Backoff(1.0, 10.0, jitter=0.0).pause_seconds(failures) == seconds


def test_jitter_only_shortens_a_pause():
    pauses = [Backoff(1.0, 10.0, jitter=0.5).pause_seconds(3) for _ in range(200)]
    assert all(2.0 <= pause <= 4.0 for pause in pauses)
    assert len(set(pauses)) > 100


def test_a_name_is_left_alone_longer_after_each_failure_and_begins_anew_after_a_while():
    cooldowns = Cooldowns(Backoff(10.0, 60.0, jitter=0.0))
    assert cooldowns.add("host", 0.0) == 10.0
    assert cooldowns.active(9.9) == ["host"]
    assert not cooldowns.is_active("host", 10.0)
    assert cooldowns.add("host", 11.0) == 20.0
    cooldowns.prune(90.9)
    assert cooldowns.add("host", 91.0) == 10.0


def test_a_success_clears_the_failures():
    cooldowns = Cooldowns(Backoff(10.0, 60.0, jitter=0.0))
    cooldowns.add("host", 0.0)
    cooldowns.clear("host")
    assert not cooldowns.active(1.0)
    assert cooldowns.add("host", 2.0) == 10.0
