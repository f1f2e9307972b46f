"""Results that are composed of ranges of other tasks' results: no more than an index of these is sent, and whatever
goes wrong leaves what it leaves with any other result."""

import asyncio
import contextlib
import hashlib

import pytest

from apigpu.encoder.v1.encoder_pb2 import ComposedRange, FurtherInput, FurtherTask, Summary
from gateway.jobs.model import Status
from servicekit.errors import FailedPrecondition
from tests.integration.gateway.jobs.conftest import RESULT, Works
from tests.integration.gateway.jobs.test_dispatcher import content
from tests.integration.gateway.jobs.test_further_jobs import is_left, sources
from tests.support.until import until

INDEX_BYTES = 7


def piece(size_bytes: int = 1) -> Summary:
    return Summary(size_bytes=size_bytes, index_bytes=INDEX_BYTES)


def composed(*ranges: tuple[int, int, int]) -> Summary:
    """What the join answers: a head of its own, and ranges of pieces."""
    found = [ComposedRange(input=number, start=start, end=end) for number, start, end in ranges]
    return Summary(size_bytes=1, composed=found)


def plan() -> Summary:
    """Two pieces, and what composes a film of them."""
    asked = FurtherInput(field="url_video", request_field="url_video")
    pieces = [FurtherTask(part=b"piece", inputs=[asked], item=f"piece {number}") for number in range(2)]
    inputs = [FurtherInput(field=f"pieces[{number}]", task=number) for number in range(2)]
    join = FurtherTask(part=b"join", inputs=inputs, item="film", is_result=True, composes=True)
    return Summary(further=[*pieces, join])


async def made(works: Works, *script: object):
    """The job whose join goes by the script, once it has ended, and its request."""
    works.encoder.script = [plan(), piece(), piece(), *script]
    wanted = await works.caption()
    return await works.result((await works.manager.submit(wanted)).id), wanted


async def test_a_film_is_composed_of_ranges_and_no_more_than_the_index_is_sent(works: Works) -> None:
    job, wanted = await made(works, composed((1, 10, 20), (0, 0, 5), (1, 20, 6000)))
    assert job.status is Status.COMPLETED
    assert (works.encoder.given[-1].composes, works.encoder.given[1].composes) == (True, False)
    assert [entry.is_outline for entry in works.encoder.given[-1].inputs] == [True, True]
    assert works.encoder.inputs[-2:] == [RESULT[-INDEX_BYTES:]] * 2
    assert works.encoder.chunks[-2:] == [(len(RESULT) - INDEX_BYTES, INDEX_BYTES)] * 2
    (kept,) = job.kept
    film = RESULT + RESULT[10:20] + RESULT[:5] + RESULT[20:6000]
    assert await content(works, job.tasks[kept].asset) == film
    stored = await works.assets.describe(job.tasks[kept].asset.removeprefix("assets/"))
    assert (stored.size_bytes, stored.sha256) == (len(film), hashlib.sha256(film).hexdigest())
    assert (job.tasks[kept].size_bytes, stored.index_bytes) == (len(film), 0)
    await is_left(works, *sources(wanted), job.tasks[kept].asset)


async def test_an_encoder_that_does_not_compose_gets_the_whole(works: Works) -> None:
    works.encoder.composes = False
    job, _ = await made(works, None)
    assert job.status is Status.COMPLETED
    assert works.encoder.inputs[-2:] == [RESULT] * 2
    assert {offset for offset, _ in works.encoder.chunks[-2:]} == {0}


async def test_what_cannot_be_composed_of_an_index_is_made_of_the_whole(works: Works) -> None:
    job, _ = await made(works, FailedPrecondition("pieces[0]: more must be read", reason="OUTLINE_TOO_SMALL"), None)
    assert job.status is Status.COMPLETED
    assert works.encoder.inputs[-4:] == [RESULT[-INDEX_BYTES:]] * 2 + [RESULT] * 2
    assert [task.composes for task in works.encoder.given[-2:]] == [True, False]
    (kept,) = job.kept
    assert job.tasks[kept].attempts == 1


@pytest.mark.parametrize("faulty", [(2, 0, 5), (0, 5, 5), (0, -1, 5), (0, 0, len(RESULT) + 1)])
async def test_ranges_that_there_are_not_are_refused(works: Works, faulty: tuple[int, int, int]) -> None:
    job, wanted = await made(works, composed((0, 0, 5), faulty), composed((0, 0, 5)))
    (kept,) = job.kept
    # The next attempt makes it.
    assert (job.status, job.tasks[kept].attempts) == (Status.COMPLETED, 2)
    await is_left(works, *sources(wanted), job.tasks[kept].asset)


async def test_a_result_that_is_not_to_be_composed_is_refused(works: Works) -> None:
    works.encoder.script = [composed((0, 0, 5)), None]
    job = await works.result((await works.manager.submit(await works.caption())).id)
    assert (job.status, job.tasks[0].attempts) == (Status.COMPLETED, 2)


async def test_a_piece_that_is_gone_is_told_by_its_name(works: Works) -> None:
    wanted, names = await works.caption(), []

    async def lose() -> None:
        job = await works.store.get(names[0])
        await works.assets.delete(job.tasks[1].asset.removeprefix("assets/"))

    works.encoder.script = [plan(), piece(), piece(), (lose, composed((1, 0, 5), (0, 0, 5)))]
    names.append((await works.manager.submit(wanted)).id)
    job = await works.result(names[0])
    assert job.failure is not None
    assert (job.status, job.failure.reason) == (Status.FAILED, "ASSET_NOT_FOUND")
    assert job.failure.message.startswith("film: pieces[0]: ")
    await is_left(works, *sources(wanted))


async def test_no_more_are_composed_at_once_than_memory_is_meant_for(works: Works) -> None:
    composing = works.assets.composing
    async with contextlib.AsyncExitStack() as stack:
        while not composing.locked():
            await stack.enter_async_context(composing)
        works.encoder.script = [plan(), piece(), piece(), composed((0, 0, 5))]
        job = await works.manager.submit(await works.caption())
        await until(lambda: len(works.encoder.given) == 4 and not works.encoder.script)
        await asyncio.sleep(0.2)
        assert not (await works.manager.get(job.id)).status.is_terminal
    assert (await works.result(job.id)).status is Status.COMPLETED


async def test_a_cancel_while_it_is_composed_leaves_nothing(works: Works) -> None:
    wanted, names = await works.caption(), []

    async def cancel() -> None:
        await works.manager.cancel(names[0])

    works.encoder.script = [plan(), piece(), piece(), (cancel, composed((0, 0, 5)))]
    names.append((await works.manager.submit(wanted)).id)
    assert (await works.result(names[0])).status is Status.CANCELLED
    await until(lambda: not works.dispatcher.running)
    await is_left(works, *sources(wanted))
