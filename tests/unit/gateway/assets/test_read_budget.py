"""How much many downloads hold together: it is bounded, whoever comes first."""

import contextlib

from gateway.assets.read_budget import COPIES, LEAST_BYTES, TOTAL_BYTES, WINDOWS, ReadBudget
from servicekit.chunks import CHUNK_BYTES

MOST_BYTES = 16 * CHUNK_BYTES


def test_one_download_reads_as_much_at_a_time_as_it_may():
    with ReadBudget().share(2 * CHUNK_BYTES) as share:
        assert [share.window_bytes() for _ in range(3)] == [2 * CHUNK_BYTES] * 3


def test_many_downloads_hold_no_more_than_the_budget_and_their_least():
    budget = ReadBudget()
    with contextlib.ExitStack() as stack:
        shares = [stack.enter_context(budget.share(MOST_BYTES)) for _ in range(64)]
        windows = [share.window_bytes() for share in shares]
        assert windows[0] > windows[20] >= windows[63] >= LEAST_BYTES
        assert budget.held_bytes <= TOTAL_BYTES + 64 * (WINDOWS + COPIES) * LEAST_BYTES
    assert budget.held_bytes == 0


def test_who_comes_when_the_others_have_left_reads_more_again():
    budget = ReadBudget()
    with budget.share(MOST_BYTES) as late:
        with contextlib.ExitStack() as stack:
            for _ in range(64):
                stack.enter_context(budget.share(MOST_BYTES)).window_bytes()
            few = late.window_bytes()
        assert late.window_bytes() > few
