"""Jobs of several steps, from the queue to encoders and back: what becomes of them, whatever happens on the way."""

import asyncio
from typing import Any

from google.protobuf import json_format

from apigpu.v1.video_pb2 import Operation
from gateway.jobs import model
from gateway.jobs.model import Job, Result, Status
from servicekit.errors import InvalidArgument
from tests.integration.gateway.jobs.conftest import RENTED, RESULT, Works
from tests.integration.gateway.jobs.test_dispatcher import content, stored
from tests.support.until import until, until_async


def chain(source: str, *, keep: tuple[str, ...] = ()) -> Operation:
    """Two clips, joined, and a picture of the film and of the second clip."""
    images = [{"id": name, "image_url": source, "duracao": 1} for name in "ab"]
    steps: list[dict[str, Any]] = [
        {"id": "clips", "img2vid": {"images": images}},
        {"id": "film", "concat": {"url_videos": ["step:clips"]}},
        {"id": "cover", "thumbnail": {"url_video": "step:film"}},
        {"id": "second", "thumbnail": {"url_video": "step:clips[1]"}},
    ]
    return json_format.ParseDict({"chain": {"steps": steps, "keep": list(keep)}}, Operation())


async def test_steps_run_when_what_they_need_is_there(works: Works) -> None:
    source = await works.asset()
    meeting = asyncio.Barrier(2)
    works.encoder.script = [meeting.wait, meeting.wait]
    job = await works.result((await works.manager.submit(chain(source))).id)
    assert (job.status, job.count(Status.COMPLETED), works.encoder.most) == (Status.COMPLETED, 5, 2)
    # The images; what was made of them, for the film; the film, and the second clip.
    assert sorted(works.encoder.inputs) == sorted([b"input"] * 2 + [RESULT] * 4)


async def test_steps_do_not_wait_until_encoders_have_cleaned_up_behind_others(works: Works) -> None:
    works.encoder.slots, works.encoder.cleaned_up = 4, asyncio.Event()
    await until(lambda: any(member.slots == 4 for member in works.pool.members))
    job = await works.manager.submit(chain(await works.asset()))
    await until(lambda: works.encoder.running == 4)  # both clips, the film, and a picture
    works.encoder.cleaned_up.set()
    assert (await works.result(job.id)).status is Status.COMPLETED


async def test_only_what_is_kept_is_left(works: Works) -> None:
    source = await works.asset()
    job = await works.result((await works.manager.submit(chain(source, keep=("film",)))).id)
    film = next(task.asset for task in job.tasks if task.item == "film")

    async def is_clean() -> bool:
        return await stored(works) == {source.removeprefix("assets/"), film.removeprefix("assets/")}

    await until_async(is_clean)
    assert await content(works, film) == RESULT
    await until_async(lambda: has_no_intermediates(works, job.id))


async def has_no_intermediates(works: Works, job_id: str) -> bool:
    return not (await works.store.get(job_id)).intermediates


async def test_a_failure_ends_the_rest_at_once_and_leaves_nothing(works: Works) -> None:
    source = await works.asset()
    works.encoder.script = ["hang", InvalidArgument("image_url: this is no image")]
    job = await works.result((await works.manager.submit(chain(source))).id)
    assert job.status is Status.FAILED
    assert job.failure is not None
    assert job.failure.message.endswith("image_url: this is no image")
    assert job.failure.message.startswith("Step clips[")
    await until(lambda: works.encoder.running == 0 and not works.dispatcher.running)

    async def is_clean() -> bool:
        return await stored(works) == {source.removeprefix("assets/")}

    await until_async(is_clean)
    assert works.encoder.tasks == 2


async def test_a_cancel_leaves_nothing(works: Works) -> None:
    source = await works.asset()
    works.encoder.script = [None, None, "hang"]
    submitted = await works.manager.submit(chain(source))
    await until(lambda: works.encoder.tasks >= 3)
    await works.manager.cancel(submitted.id)
    await until(lambda: works.encoder.running == 0 and not works.dispatcher.running)

    async def is_clean() -> bool:
        return await stored(works) == {source.removeprefix("assets/")}

    await until_async(is_clean)


async def test_a_gateway_that_dies_between_record_and_queue_loses_no_step(works: Works) -> None:
    source = await works.asset()
    await works.dispatcher.drain(0)
    submitted = await works.manager.submit(chain(source))
    # What the dead gateway did: two results are recorded, their messages are held, and nothing more is queued.
    for index in range(2):
        asset = await works.asset(RESULT)

        def complete(job: Job, index: int = index, asset: str = asset) -> Job:
            return model.complete_task(model.start_task(job, index, 1.0), index, Result(asset, 2), 2.0)

        await works.store.update(submitted.id, complete)
    assert works.store.index.operations_waiting() == {"concat": 1, "thumbnail": 1}
    works.dispatcher.start()
    job = await works.result(submitted.id)
    assert (job.status, works.encoder.tasks) == (Status.COMPLETED, 3)


async def test_each_step_is_billed_and_learned_from_as_what_it_is(rented: Works) -> None:
    source = await rented.asset()
    job = await rented.result((await rented.manager.submit(chain(source))).id)
    assert all([interval.instance for interval in task.usage] == [RENTED.id] for task in job.tasks)
    await until(lambda: set(rented.fleet.estimate_store.estimates.tasks) == {"img2vid", "concat", "thumbnail"})


async def test_a_chain_is_stopped_when_it_costs_too_much(rented: Works) -> None:
    wanted = chain(await rented.asset())
    wanted.chain.max_cost_usd = 1.0
    rented.encoder.script = ["hang", "hang"]
    job = await rented.result((await rented.manager.submit(wanted)).id)
    assert job.failure is not None
    assert (job.status, job.failure.reason) == (Status.FAILED, "COST_LIMIT")
    await until(lambda: rented.encoder.running == 0)
