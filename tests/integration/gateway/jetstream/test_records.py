"""Records of one type, on a real nats-server."""

import asyncio
import gc
import tracemalloc
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from gateway.callers import Caller, caller
from gateway.fleet.estimates import PRIOR_TASK_SECONDS, Estimates, EstimateStore
from gateway.fleet.instances.instance import Instance
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.jetstream.records import GATHER_BYTES, Records, UnreadableRecord
from gateway.jobs.claims import Claims
from gateway.jobs.store import JobStore
from gateway.workers.tickets import AttemptTicket, Tickets
from servicekit.errors import Aborted, NotFound, Unavailable
from tests.support.until import until

LATER = b'{"written by": ["a later version"], "id": 1, "tasks": 1}'


@dataclass(frozen=True)
class Count:
    number: int = 0
    note: str = ""


def plus_one(count):
    return replace(count, number=count.number + 1)


@pytest.fixture
async def bucket(jetstream):
    return await jetstream.key_value("counts")


@pytest.fixture
def records(bucket):
    return Records(bucket, Count, "count", "count.")


@pytest.fixture
async def follower(bucket):
    """The records as another gateway follows them, with a list of what it was told."""
    followed = Records(bucket, Count, "count", "count.")
    followed.told = []
    followed.listeners.append(lambda key, value: followed.told.append((key, value)))
    await followed.start()
    yield followed
    await followed.stop()


async def test_what_was_written_before_they_are_followed_is_known_from_then_on(records):
    await records.create("a", Count(1))
    await records.start()
    assert records.cached == {"a": Count(1)}
    await records.stop()


def test_records_that_are_not_followed_take_no_more_memory_the_more_are_written():
    records = Records(StuckBucket(), Count, "count", "count.")
    tracemalloc.start()
    try:
        for number in range(20_000):
            records.note(str(number), Count(1), number)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 100_000


async def test_a_record_that_was_seen_is_changed_unread_and_one_that_others_changed_is_read(records, bucket):
    await records.create("a", Count(1))
    other, asked = Records(bucket, Count, "count", "count."), []
    records.bucket = replace(bucket)
    records.bucket.get = lambda key: asked.append(key) or bucket.get(key)
    assert (await records.update("a", plus_one), asked) == (Count(2), [])
    assert await other.update("a", plus_one) == Count(3)
    assert (await records.update("a", plus_one), asked) == (Count(4), ["count.a"])
    await other.update("a", lambda count: replace(count, note="kept"))
    assert await records.update("a", lambda count: count if count.note else plus_one(count)) == Count(4, "kept")
    await other.delete("a")
    with pytest.raises(NotFound):
        await records.update("a", plus_one)


async def test_what_a_step_refuses_or_leaves_alone_is_held_against_the_store(records, bucket):
    def refuse(count):
        raise ValueError(count.number)

    await records.create("a", Count(1))
    await Records(bucket, Count, "count", "count.").update("a", plus_one)
    with pytest.raises(ValueError, match="2"):
        await records.update("a", refuse)
    await Records(bucket, Count, "count", "count.").update("a", plus_one)
    assert await records.update("a", lambda count: count) == Count(3)


async def test_a_record_is_created_once_read_changed_and_deleted(records):
    await records.create("a", Count(1))
    with pytest.raises(Aborted):
        await records.create("a", Count(2))
    assert await records.update("a", plus_one) == Count(2) == await records.get("a")
    assert await records.keys() == ["a"]
    await records.delete("a")
    assert await records.get("a") is None
    with pytest.raises(NotFound, match="There is no count a") as caught:
        await records.update("a", plus_one)
    assert caught.value.reason == "COUNT_NOT_FOUND"


async def test_a_missing_record_begins_with_the_default(records):
    assert await records.update("a", plus_one, default=Count(5)) == Count(6)
    assert await records.update("a", plus_one, default=Count(5)) == Count(7)


async def test_changes_at_once_are_all_kept(bucket):
    several = [Records(bucket, Count, "count", "count.") for _ in range(5)]
    await asyncio.gather(*(records.update("a", plus_one, default=Count()) for records in several for _ in range(4)))
    assert await several[0].get("a") == Count(20)


async def test_changes_at_once_are_written_together_and_each_has_its_own_end(records, bucket):
    await records.create("a", Count())
    before = (await bucket.get("count.a")).revision

    def refuse(count):
        raise Aborted(f"not at {count.number}")

    steps = [plus_one] * 30 + [refuse] + [plus_one] * 30
    changes = [asyncio.create_task(records.update("a", step)) for step in steps]
    left = asyncio.create_task(records.update("a", plus_one))
    await asyncio.sleep(0)
    left.cancel()
    found = await asyncio.gather(*changes, left, return_exceptions=True)
    assert [one.number for one in found[:30] + found[31:-1]] == list(range(1, 61))
    assert (str(found[30]), type(found[-1])) == ("not at 30", asyncio.CancelledError)
    entry = await bucket.get("count.a")
    assert (await records.get("a"), entry.revision - before) == (Count(60), 1)


@pytest.mark.parametrize(("note", "writes"), [("n" * 2 * GATHER_BYTES, 1), ("small", 3)])
async def test_changes_soon_after_each_other_are_written_together_in_a_large_record_alone(bucket, note, writes):
    records = Records(bucket, Count, "count", "count.", gather_seconds=1)
    await records.create("a", Count(note=note))
    await records.update("a", plus_one)
    before, changes = (await bucket.get("count.a")).revision, []
    for number in range(3):
        changes.append(asyncio.create_task(records.update("a", plus_one)))
        if writes > 1:
            await changes[number]
        else:
            await asyncio.sleep(0)  # in which one by itself would begin to be written
    assert [change.number for change in await asyncio.gather(*changes)] == [2, 3, 4]
    assert (await bucket.get("count.a")).revision - before == writes
    await records.stop()


class StuckBucket:
    """A bucket that does not answer, and counts who asks."""

    def __init__(self):
        self.asked = 0

    async def get(self, key):
        self.asked += 1
        await asyncio.Event().wait()


async def test_no_change_waits_for_a_gateway_that_ends_and_none_is_taken_for_cancelled():
    records = Records(StuckBucket(), Count, "count", "count.")
    changes = [asyncio.create_task(records.update("a", plus_one))]
    await until(lambda: records.bucket.asked)
    changes += [asyncio.create_task(records.update(key, plus_one)) for key in "ab"]
    await asyncio.sleep(0)  # the writer of "b" is there, and has not begun
    await records.stop()
    done, waiting = await asyncio.wait(changes, timeout=30)
    assert not waiting
    assert [type(change.exception()) for change in done] == [Unavailable] * 3


async def test_steps_know_nothing_of_who_came_first(records):
    await records.create("a", Count())

    def noted(count):
        return replace(count, note=caller.get(Caller("none")).tenant)

    token = caller.set(Caller("acme"))
    try:
        assert (await records.update("a", noted)).note == "none"
    finally:
        caller.reset(token)


async def test_a_step_that_changes_nothing_writes_nothing(records, bucket):
    await records.create("a", Count(1))
    before = await bucket.get("count.a")
    assert await records.update("a", lambda count: count) == Count(1)
    assert await bucket.get("count.a") == before


@dataclass(frozen=True)
class Counted:
    """A value that counts how many of it are made."""

    number: int = 0
    text: str = ""
    made: ClassVar[int] = 0

    def __post_init__(self):
        Counted.made += 1


async def test_a_record_that_changes_often_is_not_parsed_anew_for_each_change(bucket):
    counts = Records(bucket, Counted, "count", "count.")
    await counts.start()
    await counts.create("a", Counted())
    await counts.update("a", lambda count: replace(count, number=1))
    before = Counted.made
    for _ in range(10):
        await counts.update("a", lambda count: replace(count, number=count.number + 1))
    await until(lambda: counts.cached["a"].number == 11)
    assert Counted.made - before == 10
    other = Records(bucket, Counted, "count", "count.")
    await other.update("a", lambda count: replace(count, number=50))
    assert (await counts.update("a", lambda count: replace(count, number=count.number + 1))).number == 51
    await counts.stop()


async def test_a_large_record_is_stored_small(bucket):
    large = Counted(1, "text " * 20_000)
    await Records(bucket, Counted, "count", "count.").create("a", large)
    assert len((await bucket.get("count.a")).value) < 5_000
    assert await Records(bucket, Counted, "count", "count.").get("a") == large
    await bucket.put("count.b", b"x of a later version")
    with pytest.raises(UnreadableRecord):
        await Records(bucket, Counted, "count", "count.").get("b")


class Contested:
    """A bucket in which another writer is always faster."""

    def __init__(self, bucket):
        self.get, self.create = bucket.get, bucket.create

    async def update(self, key, value, revision):
        raise Aborted("another writer was faster")


async def test_an_update_that_always_comes_second_ends(bucket, records):
    await records.create("a", Count(1))
    with pytest.raises(Aborted, match="count a is changing too fast"):
        await Records(Contested(bucket), Count, "count", "count.", max_update_attempts=3).update("a", plus_one)


async def test_others_follow_what_is_and_what_comes_and_only_their_own_prefix(bucket, records, follower):
    await bucket.create("other.b", b"1")
    await records.create("a", Count(1))
    await records.update("a", plus_one)
    await until(lambda: follower.cached == {"a": Count(2)})
    late = Records(bucket, Count, "count", "count.")
    await late.start()
    assert late.cached == {"a": Count(2)}
    await late.stop()


async def test_an_older_revision_is_passed_over(bucket, records):
    """The watch may tell of a change later than the answer to a newer one."""
    watched = Watched(bucket)
    follower, told = Records(watched, Count, "count", "count."), []
    follower.listeners.append(lambda key, value: told.append(value))
    await follower.start()
    await records.create("a", Count(1))
    await follower.update("a", plus_one)
    watched.changed("count.a", b'{"number":1}', 1)
    assert (told, follower.cached) == ([Count(2)], {"a": Count(2)})
    await follower.stop()


class Watched:
    """A bucket whose watch tells what the test says."""

    def __init__(self, bucket):
        self.get, self.update, self.changed = bucket.get, bucket.update, None

    async def watch(self, changed, ready):
        self.changed = changed
        ready.set()
        await asyncio.Event().wait()


async def test_the_own_change_is_told_once(bucket, follower):
    await follower.create("a", Count(1))
    await follower.update("a", plus_one)
    await bucket.put("count.b", b'{"number": 9}')
    await until(lambda: "b" in follower.cached)
    assert follower.told == [("a", Count(1)), ("a", Count(2)), ("b", Count(9))]


async def test_a_record_that_cannot_be_read_is_left_alone(bucket, records, follower):
    await bucket.create("count.a", b'{"number": "many"}')
    await records.create("b", Count(1))
    await until(lambda: follower.cached == {"b": Count(1)})
    for asking in (records.get("a"), records.update("a", plus_one), records.update("a", plus_one, default=Count())):
        with pytest.raises(UnreadableRecord, match="This version cannot read the record of count a") as caught:
            await asking
        assert caught.value.reason == "COUNT_UNREADABLE"
    assert (await bucket.get("count.a")).value == b'{"number": "many"}'


async def test_what_a_gateway_learns_of_tasks_all_know(bucket):
    first, second = EstimateStore(bucket), EstimateStore(bucket)
    await first.start()
    first.task_ended("caption", 2.0, 100, is_rented=False)
    first.task_ended("caption", 4.0, 100, is_rented=True)
    first.encoder_seen("slow", 3.5)
    known = first.estimates
    assert known.speeds.count("caption") == 2
    assert known.tasks == Estimates().with_task("caption", 4.0).tasks
    await first.write()
    await second.start()
    assert second.estimates == first.estimates == known
    assert second.slowness("slow") == 3.5
    assert second.slowness("another") is None
    second.task_ended("probe", 1.0, is_rented=False)
    await second.write()
    await until(lambda: first.estimates.speeds.count("probe") == 1)
    for store in (first, second):
        await store.stop()


# What a later version wrote, by kind. After a rollback each stays as it is.


async def test_a_later_job_is_left_alone(bucket):
    store, job_id = JobStore(bucket, Claims(bucket), 3600), "0" * 32
    await bucket.create(job_id, LATER)
    await store.start()
    for asking in (store.get(job_id), store.update(job_id, lambda job: job)):
        with pytest.raises(UnreadableRecord):
            await asking
    await store.prune(1e12)
    assert store.index.ids(lambda _: True) == []
    assert (await bucket.get(job_id)).value == LATER
    await store.stop()


async def test_a_later_instance_is_left_alone(bucket):
    registry = InstanceRegistry(bucket)
    await bucket.create("machine.a", LATER)
    await registry.start()
    assert registry.all() == []
    with pytest.raises(UnreadableRecord):
        await registry.update("a", lambda instance: instance)
    with pytest.raises(Aborted):
        await registry.create("a", Instance("a", "vast", 1.0, 0.0))
    await registry.prune(1e12, 1e12)
    assert (await bucket.get("machine.a")).value == LATER
    await registry.stop()


async def test_later_estimates_are_left_alone(bucket):
    store = EstimateStore(bucket)
    await bucket.create("estimates", LATER)
    await store.start()
    store.task_ended("caption", 1.0, is_rented=True)
    await store.write()
    assert store.estimates.task_seconds("caption") == PRIOR_TASK_SECONDS
    assert (await bucket.get("estimates")).value == LATER
    await store.stop()


async def test_a_later_ticket_is_left_alone(bucket):
    tickets, ticket = Tickets(bucket), AttemptTicket("t", "a", "a.mp4", ())
    await bucket.create("job.0", LATER)
    for asking in (
        tickets.get("job.0"),
        tickets.issue("job.0", ticket),
        tickets.note_run("job.0", ticket, "run"),
        tickets.close("job.0", ticket),
        tickets.drop("job.0", ticket),
    ):
        with pytest.raises(UnreadableRecord):
            await asking
    assert (await bucket.get("job.0")).value == LATER


async def test_what_a_start_reads_is_gone_over_by_no_collection(bucket, records):
    """Each goes over all that was read before: the start would take longer for each record, the more there are."""
    for number in range(1000):
        await bucket.put(f"count.{number}", b'{"number": 1}')
    found = []
    records.listeners.append(lambda key, value: found.append([value]))
    before = [generation["collections"] for generation in gc.get_stats()]
    await records.start()
    after = [generation["collections"] for generation in gc.get_stats()]
    assert (len(found), after) == (1000, before)
    assert gc.isenabled()
    await records.stop()
