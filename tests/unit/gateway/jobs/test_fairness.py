"""Whose task is next: tenants by weight, priorities within a tenant, and who is at its limit."""

from collections import Counter

import pytest

from gateway.jobs.fairness import BATCH, INTERACTIVE, NORMAL, FairOrder, Lane, Share, key_account, key_of

A, B, C = (Lane(name) for name in "abc")


def order_of(shares=None, **waiting):
    order = FairOrder(lambda tenant: (shares or {}).get(tenant, Share()))
    for tenant, count in waiting.items():
        order.count(Lane(tenant), count, 0)
    return order


def turns(order, count, *, runs=False):
    """Give so many turns, each of which ends at once, or runs on."""
    given = []
    for _ in range(count):
        lane = next(lane for lane in order.lanes() if order.waiting[lane])
        order.took(lane)
        order.count(lane, -1, int(runs))
        given.append(lane.tenant)
    return given


def test_a_tenant_with_much_to_do_does_not_keep_another_waiting():
    order = order_of(a=10_000, b=3)
    assert Counter(turns(order, 6)) == {"a": 3, "b": 3}
    assert turns(order, 2) == ["a", "a"]
    order.count(B, 1, 0)
    assert turns(order, 1) == ["b"]


@pytest.mark.parametrize("runs", [False, True])
def test_turns_and_slots_are_shared_by_weight(runs):
    order = order_of({"a": Share(3.0), "b": Share(1.0)}, a=1000, b=1000)
    assert Counter(turns(order, 80, runs=runs)) == {"a": 60, "b": 20}


def test_who_was_away_has_saved_up_no_turns():
    order = order_of(a=1000)
    turns(order, 100)
    order.count(B, 100, 0)
    assert Counter(turns(order, 20)) == {"a": 10, "b": 10}


def test_who_has_the_fewest_running_is_next():
    order = order_of(a=5, b=5)
    order.count(A, 0, 4)
    assert turns(order, 4, runs=True) == ["b", "b", "b", "b"]


def test_within_a_tenant_priorities_go_first():
    order = FairOrder()
    for priority in (BATCH, NORMAL, INTERACTIVE):
        order.count(Lane("a", priority), 1, 0)
    order.count(B, 1, 0)
    assert [lane.priority for lane in order.lanes() if lane.tenant == "a"] == [INTERACTIVE, NORMAL, BATCH]
    order.took(Lane("a", INTERACTIVE))
    assert [lane.tenant for lane in order.lanes() if order.waiting[lane]] == ["b", "a", "a", "a"]


def test_who_runs_as_many_as_it_may_is_passed_over_until_one_ends():
    order = order_of({"a": Share(max_running=2)}, a=5)
    turns(order, 2, runs=True)
    assert A not in order.lanes()
    order.count(A, 0, -1)
    assert A in order.lanes()


def test_lanes_are_asked_while_their_tasks_run_and_forgotten_once_all_have_ended():
    order = order_of(c=1)
    turns(order, 1, runs=True)
    assert C in order.lanes()
    order.count(C, 0, -1)
    assert order.lanes() == [Lane()]


def test_tasks_in_hand_count_before_any_record_says_that_they_run():
    order = FairOrder(lambda tenant: Share(max_running=2), lambda: {"a": 2})
    order.count(A, 5, 0)
    assert A not in order.lanes()


def test_tasks_of_a_gateway_that_is_gone_are_taken_again_by_who_is_at_its_limit():
    for most, lost, taken in ((2, 2, 2), (2, 1, 1), (0, 2, 1), (2, 0, 0)):
        held = Counter()
        order = FairOrder(lambda tenant, most=most: Share(max_running=most), lambda held=held: held)
        order.count(A, 5, 2)
        order.lost = Counter({"a": lost})
        while A in order.lanes():
            held["a"] += 1  # it runs by its record already
            order.lost["a"] -= 1
        assert held["a"] == taken, (most, lost)


def test_what_limits_hold_back_is_known_so_that_nothing_is_rented_for_it():
    order = order_of({"a": Share(max_running=2), "b": Share(max_running=0), "c": Share(max_running=9)}, a=5, b=3, c=4)
    order.count(A, -1, 1)
    order.count(Lane("a", BATCH), 1, 0)
    assert order.held_back() == {"a": 4, "b": 3}
    assert order_of(d=7).held_back() == {}


K, L = Lane("a", NORMAL, "kkkkkkkkkk"), Lane("a", NORMAL, "llllllllll")


def keyed_order(shares=None, counts=()):
    order = order_of({key_account(key): share for key, share in (shares or {}).items() if key != "a"})
    if "a" in (shares or {}):
        of_keys, order.share_of = order.share_of, lambda account: shares["a"] if account == "a" else of_keys(account)
    for lane, waiting, running in counts:
        order.count(lane, waiting, running)
    return order


def test_an_account_is_a_tenant_or_a_key_and_never_both():
    assert (key_of(key_account("kkkkkkkkkk")), key_of("kkkkkkkkkk")) == ("kkkkkkkkkk", "")
    assert (A.accounts, K.accounts) == (("a",), ("a", key_account("kkkkkkkkkk")))


def test_a_key_at_its_limit_holds_up_neither_other_keys_nor_the_rest_of_its_tenant():
    order = keyed_order({K.key: Share(max_running=1)}, [(K, 5, 0), (L, 5, 0), (A, 5, 0)])
    order.took(K)
    order.count(K, -1, 1)
    assert K not in order.lanes()
    assert {A, L} < set(order.lanes())
    assert (order.at_limit(K.accounts), order.at_limit(L.accounts)) == (key_account(K.key), None)
    order.count(K, 0, -1)
    assert K in order.lanes()


def test_a_tenant_at_its_limit_holds_up_its_keys_which_have_room_of_their_own():
    order = keyed_order({"a": Share(max_running=2), K.key: Share(max_running=2)}, [(K, 5, 1), (A, 5, 1)])
    assert order.lanes() == [Lane()]
    assert order.at_limit(K.accounts) == "a"
    assert order.busy == {"a": 2, key_account(K.key): 1}


def test_keys_with_limits_take_turns_with_each_other_and_with_the_rest():
    order, given = keyed_order(counts=[(K, 100, 0), (L, 100, 0), (A, 100, 0), (Lane("a", BATCH, "k"), 9, 0)]), []
    for _ in range(30):
        lane = next(lane for lane in order.lanes() if order.waiting[lane])
        order.took(lane)
        order.count(lane, -1, 0)
        given.append(lane)
    assert Counter(given) == {A: 10, K: 10, L: 10}
    order.count(B, 100, 0)  # a tenant has no more turns by its many keys
    assert Counter(turns(order, 20)) == {"a": 10, "b": 10}


def test_what_the_limits_of_keys_hold_back_is_counted_once():
    shares = {"a": Share(max_running=4), K.key: Share(max_running=2), L.key: Share(max_running=0)}
    order = keyed_order(shares, [(K, 5, 1), (L, 3, 0), (A, 6, 0)])
    # One of K may run, and of that one and the six others three.
    assert order.held_back() == {key_account(K.key): 4, key_account(L.key): 3, "a": 4}
