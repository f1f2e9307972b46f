"""Pieces of a film go to encoders by how fast these are known to be."""

import asyncio
from collections.abc import Sequence

from apigpu.encoder.v1.encoder_pb2 import FurtherInput, FurtherTask, Summary
from gateway.jobs.model import Status
from tests.integration.gateway.jobs.conftest import ScriptedEncoder, Works
from tests.integration.gateway.jobs.test_further_jobs import asked
from tests.integration.gateway.jobs.test_second_tries import other as other
from tests.integration.gateway.jobs.test_second_tries import retry as retry
from tests.support.until import until

FRAMES = [400, 300, 200, 100, 20, 20]


def pieces(frames: Sequence[int]) -> Summary:
    """Pieces of so many frames, and what joins them."""
    made = [
        FurtherTask(part=b"piece %d" % number, inputs=[asked("url_video")], kind="story.scene", frames=count)
        for number, count in enumerate(frames)
    ]
    joined = [FurtherInput(field=f"pieces[{number}]", task=number) for number in range(len(frames))]
    return Summary(further=[*made, FurtherTask(part=b"join", inputs=joined, kind="story.join", is_result=True)])


async def with_slow(works: Works, other, slow: ScriptedEncoder) -> None:
    """Have an encoder join that is known to be eight times slower than the other."""
    works.encoder.slots = 1
    await other(slow)
    await until(lambda: [one.slots for one in works.pool.members] == [1, 1])
    fast, name = (one.encoder.name for one in works.pool.members)
    for _ in range(5):
        works.pool.learn(fast, "a film", 100, 1.0)
        works.pool.learn(name, "a film", 100, 8.0)
        works.fleet.estimate_store.task_ended("story.scene", 1.0, 100, is_rented=False)
    # Between the two neither is as most are.
    assert works.pool.speeds.slowness(name) / works.pool.speeds.slowness(fast) > 7.9


async def test_a_slow_encoder_gets_a_short_piece_from_further_on(works: Works, other) -> None:
    is_open = asyncio.Event()
    slow = ScriptedEncoder(slots=1, script=[is_open.wait])
    await with_slow(works, other, slow)
    works.encoder.script = [pieces(FRAMES), is_open.wait]
    job_id = (await works.manager.submit(await works.caption())).id
    await until(lambda: slow.running == works.encoder.running == 1 and len(slow.given) == 1)
    assert (works.encoder.given[1].part, slow.given[0].part) == (b"piece 0", b"piece 3")
    is_open.set()
    job = await works.result(job_id)
    assert (job.status, job.count(Status.COMPLETED)) == (Status.COMPLETED, 8)
    # Each was made once, those that were passed over in their order.
    made = [one.part for one in works.encoder.given if one.part.startswith(b"piece")]
    assert sorted([*made, *(one.part for one in slow.given if one.part != b"join")]) == [
        b"piece %d" % number for number in range(6)
    ]
    assert made == sorted(made)


async def test_what_lags_on_a_slow_encoder_is_tried_on_a_fast_one_at_once(works: Works, other) -> None:
    is_open = asyncio.Event()
    slow = ScriptedEncoder(slots=1, script=["hang"])
    await with_slow(works, other, slow)
    works.encoder.script = [pieces([4, 4]), is_open.wait]
    job_id = (await works.manager.submit(await works.caption())).id
    await until(lambda: slow.running == 1)
    is_open.set()
    job = await works.result(job_id)
    assert job.status is Status.COMPLETED
    assert [task.encoder for task in job.tasks if task.past] == [works.pool.members[0].encoder.name]


async def test_the_first_film_after_a_start_goes_by_what_was_known_before(works: Works, other) -> None:
    is_open = asyncio.Event()
    slow = ScriptedEncoder(slots=1, script=[is_open.wait])
    works.encoder.slots = 1
    await other(slow)
    await until(lambda: [one.slots for one in works.pool.members] == [1, 1])
    fast, name = (one.encoder.name for one in works.pool.members)
    estimates = works.fleet.estimate_store
    estimates.encoder_seen(fast, 1.0)
    estimates.encoder_seen(name, 8.0)
    for _ in range(5):
        estimates.task_ended("story.scene", 1.0, 100, is_rented=False)
    await estimates.write()
    works.encoder.script = [pieces(FRAMES), is_open.wait]
    job_id = (await works.manager.submit(await works.caption())).id
    await until(lambda: slow.running == works.encoder.running == 1 and len(slow.given) == 1)
    assert (works.encoder.given[1].part, slow.given[0].part) == (b"piece 0", b"piece 3")
    is_open.set()
    assert (await works.result(job_id)).status is Status.COMPLETED
    await until(lambda: estimates.estimates.slowness.keys() == {fast, name})
