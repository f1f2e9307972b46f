"""Who has which task, between gateways on a real nats-server."""

import functools

from gateway.cluster.assignments import PREFIX, TaskAssignments
from gateway.fleet.controller import current_demand
from gateway.fleet.estimates import EstimateStore
from tests.support.until import until, until_async


async def opened(records, name, silent_seconds=0.5):
    made = TaskAssignments(records, name, heartbeat_seconds=0.1, silent_seconds=silent_seconds)
    await made.start()
    return made


async def is_newer(records, revision):
    """Whether two more heartbeats of the first gateway have come: one may have been on its way."""
    return (await records.get(f"{PREFIX}a")).revision >= revision + 4


class Queue:
    """By their records two tasks run and one waits."""

    tasks_waiting, tasks_running, tasks_held_back = 1, 2, 0

    def oldest_wait_seconds(self, now):
        return 5.0

    def operations_waiting(self):
        return {"caption": 1}

    def deadlines(self):
        return []


async def test_a_gateway_knows_what_the_others_have_until_they_let_go(records):
    first, second = await opened(records, "a", 30.0), await opened(records, "b", 30.0)
    with first.assign("job.0", "fleet-1"), second.assign("job.1", ""):
        await until(lambda: second.assigned() == {"job.0": "fleet-1", "job.1": ""})
        told = (await records.get(f"{PREFIX}a")).revision
        await until_async(functools.partial(is_newer, records, told))  # it goes on telling
        assert second.assigned() == {"job.0": "fleet-1", "job.1": ""}
    await until(lambda: second.assigned() == {})
    await first.stop()
    await second.stop()


async def test_the_tasks_of_a_dead_gateway_wait_again_whatever_their_records_say(records):
    dead, heir = await opened(records, "a"), await opened(records, "b")
    with dead.assign("job.0", "fleet-1"), dead.assign("job.1", ""):
        await until(lambda: len(heir.assigned()) == 2)
        assert current_demand(Queue(), heir, EstimateStore(records), 0.0).waiting == 1
        await dead.silence()
        await until(lambda: heir.assigned() == {})
        queue = Queue()
        assert current_demand(queue, heir, EstimateStore(records), 0.0).waiting == 3
        queue.tasks_held_back = 1  # nothing is rented for what a limit holds back
        assert current_demand(queue, heir, EstimateStore(records), 0.0).waiting == 2

        async def is_gone():
            await heir.expire_dead()
            return await records.get(f"{PREFIX}a") is None

        await until_async(is_gone)
    await heir.stop()
