"""Messages that a worker looked behind: they are its next ones, and others' soon, on a real nats-server."""

import asyncio
from dataclasses import replace

from gateway.jetstream.queue import Delivery, WorkQueue
from tests.support.until import until_async, within

KEYS = [f"job.{number}" for number in range(6)]


async def filled(jetstream, ack_wait_seconds: float = 30) -> WorkQueue:
    queue = await jetstream.queue("tasks", ack_wait_seconds)
    await asyncio.gather(*(queue.put(key) for key in KEYS))
    return queue


async def taken(queue: WorkQueue, count: int) -> list[str]:
    return [(await within(queue.next())).key for _ in range(count)]


async def test_one_from_further_on_is_had_and_those_before_it_are_next(jetstream):
    queue = await filled(jetstream)
    found = await queue.exchange(await queue.next(), ["job.3", "job.2", "job.1", "job.0"])
    assert found.key == "job.3"
    assert await taken(queue, 5) == ["job.0", "job.1", "job.2", "job.4", "job.5"]
    await queue.stop()


async def test_the_next_best_is_had_where_the_best_is_not_there(jetstream):
    queue = await filled(jetstream)
    found = await queue.exchange(await queue.next(), ["job.9", "job.4", "job.0"])
    assert found.key == "job.4"
    assert await taken(queue, 5) == ["job.0", "job.1", "job.2", "job.3", "job.5"]
    await queue.stop()


async def test_what_another_worker_has_is_not_looked_for_in_all_of_the_lane(jetstream):
    queue, other = await filled(jetstream), await jetstream.queue("tasks", 30)
    await queue.put_all([f"later.{number}" for number in range(100)])
    assert (await within(other.next())).key == "job.0"
    found = await queue.exchange(await queue.next(), ["job.0", "job.1"])
    assert found.key == "job.1"
    assert (await within(other.next())).key.startswith("later.")
    await queue.stop()
    await other.stop()


async def test_one_that_is_still_put_is_waited_for(jetstream):
    queue = replace(await filled(jetstream), exchange_seconds=60.0, all_exchange_seconds=60.0)
    first = await queue.next()
    putting = asyncio.create_task(queue.put_all([f"job.{number}" for number in range(6, 200)]))
    wanted = [f"job.{number}" for number in range(199, -1, -1)]
    assert (await within(queue.exchange(first, wanted))).key == "job.199"
    assert await putting == 194
    assert await taken(queue, 199) == [f"job.{number}" for number in range(199)]
    await queue.stop()


class Late:
    """A client whose every answer takes its time."""

    def __init__(self, client):
        self._client = client

    async def request(self, *arguments, **options):
        message = await self._client.request(*arguments, **options)
        await asyncio.sleep(0.1)
        return message


async def test_the_best_of_those_that_came_is_had_where_the_server_takes_long(jetstream):
    made = await filled(jetstream)
    await made.put_all([f"job.{number}" for number in range(6, 40)])
    queue = replace(made, client=Late(made.client), all_exchange_seconds=0.35)
    wanted = [f"job.{number}" for number in range(39, -1, -1)]
    found = await within(queue.exchange(await queue.next(), wanted))
    assert found.key != "job.39"  # for which the server would take four seconds
    number = int(found.key.removeprefix("job."))
    assert await taken(queue, number) == [f"job.{before}" for before in range(number)]
    await queue.stop()


class Stuck:
    """A stream that takes nothing in."""

    async def publish(self, *_):
        await asyncio.Event().wait()


async def test_one_whose_putting_does_not_end_is_not_waited_for(jetstream):
    made = await filled(jetstream)
    queue = replace(made, stream=Stuck(), exchange_seconds=0.5)
    first = await queue.next()
    putting = asyncio.create_task(queue.put_all(["job.6"]))
    assert (await within(queue.exchange(first, ["job.6", "job.5", "job.0"]))).key == "job.5"
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    await queue.stop()


async def test_what_is_held_comes_to_no_other_worker_until_the_worker_stops(jetstream):
    queue, other = await filled(jetstream, 0.6), await jetstream.queue("tasks", 0.6)
    await (await queue.exchange(await queue.next(), ["job.5", "job.0"])).ack()
    waiting = asyncio.create_task(other.next())
    await asyncio.sleep(1.5)
    assert not waiting.done()
    await queue.stop()
    found = {(delivered := await within(waiting)).key}
    await delivered.ack()
    for _ in range(4):
        found.add((delivered := await within(other.next())).key)
        await delivered.ack()
    assert found == set(KEYS[:5])
    await other.stop()


async def test_what_is_held_for_long_is_anybodys_again(jetstream):
    queue, other = await filled(jetstream, 0.3), await jetstream.queue("tasks", 30)
    queue.held.held_seconds = 0.2
    await queue.exchange(await queue.next(), ["job.2", "job.0"])
    assert (await within(other.next())).key == "job.3"
    await other.next()
    await other.next()
    assert {(await within(other.next())).key, (await within(other.next())).key} >= {"job.0"}
    await queue.stop()
    await other.stop()


async def test_an_exchange_that_is_cancelled_loses_nothing(jetstream):
    queue = await filled(jetstream)
    first: Delivery = await queue.next()
    exchanging = asyncio.create_task(queue.exchange(first, ["job.9", "job.0"]))
    await asyncio.sleep(0)
    exchanging.cancel()
    await asyncio.gather(exchanging, return_exceptions=True)
    await queue.stop()
    other = await jetstream.queue("tasks", 30)

    async def is_whole() -> bool:
        return await other.keys() == set(KEYS)

    await until_async(is_whole)
    assert sorted(await taken(other, 6)) == KEYS
    await other.stop()
