"""Messages that were announced: they are awaited at the server, on a real nats-server."""

import asyncio
from dataclasses import replace

import pytest

from gateway.jetstream.queue import NO_WAIT, WorkQueue
from servicekit.backoff import Backoff
from tests.support.until import until, within

# Looks again until the server has taken back what was returned.
AGAIN = Backoff(first_seconds=0.05, max_seconds=0.05)
NEVER = Backoff(first_seconds=1000, max_seconds=1000)


class Asking:
    """A client that tells what it was asked, and how often it has answered."""

    def __init__(self, client):
        self._client = client
        self.asked, self.answered, self.late_seconds = [], 0, 0.0

    async def request(self, subject, payload, **options):
        self.asked.append(payload)
        try:
            message = await self._client.request(subject, payload, **options)
            await asyncio.sleep(self.late_seconds)
            return message
        finally:
            self.answered += 1


@pytest.fixture
async def queues(jetstream) -> tuple[WorkQueue, WorkQueue]:
    """A queue that looks for nothing by itself, and that of another gateway, which looks again and again."""
    made, other = [await jetstream.queue("tasks", ack_wait_seconds=60) for _ in range(2)]
    return replace(made, client=Asking(made.client), polls=NEVER), replace(other, polls=AGAIN)


async def announced(queue: WorkQueue, lanes: list[str]) -> asyncio.Task:
    """Wait for a message, look in vain, and expect one."""
    waiting = asyncio.create_task(queue.next(lambda: lanes))
    await until(lambda: queue.client.answered == len(lanes))
    await asyncio.sleep(0.05)
    queue.expect()
    await until(lambda: len(queue.client.asked) > len(lanes))
    return waiting


async def test_a_message_that_was_announced_comes_as_soon_as_it_is_put(queues):
    queue, other = replace(queues[0], await_seconds=5.0), queues[1]
    waiting = await announced(queue, [""])
    await other.put("job.0")
    assert (await within(waiting)).key == "job.0"
    assert queue.client.asked == [NO_WAIT, b'{"batch":1,"expires":5000000000}']


async def test_one_of_several_lanes_is_not_waited_for_while_another_may_have_it(queues):
    queue, _ = queues
    waiting = await announced(queue, ["", "acme.normal"])
    assert set(queue.client.asked) == {NO_WAIT}
    waiting.cancel()
    await queue.stop()


async def test_a_message_that_comes_just_as_nobody_takes_any_more_is_there_for_others(queues):
    queue, other = queues
    waiting = await announced(queue, [""])
    waiting.cancel()
    await asyncio.gather(queue.stop(), other.put("job.0"))
    assert (await within(other.next())).key == "job.0"


async def test_a_message_whose_answer_is_late_is_there_for_others_after_a_stop(queues):
    queue, other = queues
    queue.client.late_seconds = 0.1
    await other.put("job.0")
    waiting = asyncio.create_task(queue.next())
    await until(lambda: queue.client.asked)
    waiting.cancel()
    await queue.stop()
    assert (await within(other.next())).key == "job.0"
