"""Tasks whose inputs are slow to come hold no slot, and run when they are there."""

import asyncio
import os

import pytest

from apigpu.v1.story_pb2 import Scene
from apigpu.v1.video_pb2 import CaptionRequest, Operation, StoryRequest
from gateway.jobs.model import Status
from gateway.sources import Sources
from gateway.sources.spools import StillComing
from servicekit.backoff import Backoff
from tests.support.until import until, until_async, within
from tests.support.web_server import Web, answer

BODY = os.urandom(3_000_000)


@pytest.fixture
async def serve():
    servers = []

    async def start(routes):
        web = Web(routes)
        servers.append(await asyncio.start_server(web.handle, "127.0.0.1", 0))
        web.port = servers[-1].sockets[0].getsockname()[1]
        return web

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def gate():
    return asyncio.Event()


@pytest.fixture
async def slow(serve, gate):
    """An origin that sends the head and a byte, and the rest once the gate is open."""

    async def route(writer):
        writer.write(answer(BODY[:1], Content_Length=len(BODY)))
        await gate.wait()
        writer.write(BODY[1:])
        await writer.drain()

    return await serve({"/video": route})


async def caption(works, url):
    return Operation(caption=CaptionRequest(url_video=url, url_srt=await works.asset(b"subtitles")))


async def submit(works, url):
    return await works.manager.submit(await caption(works, url))


async def status(works, job):
    return (await works.store.get(job.id)).status


async def test_a_slow_origin_holds_no_slot(works, slow, gate):
    jobs = [await submit(works, slow.url("/video")) for _ in range(3 * works.encoder.slots)]
    await until(lambda: slow.open_connections == len(jobs))
    honest = await works.manager.submit(await works.caption())
    assert (await works.result(honest.id)).status is Status.COMPLETED
    assert works.encoder.tasks == 1
    assert {await status(works, job) for job in jobs} == {Status.IN_QUEUE}
    gate.set()
    for job in jobs:
        assert (await works.result(job.id)).status is Status.COMPLETED
    assert works.encoder.inputs.count(BODY) == len(jobs)


@pytest.mark.parametrize("retry", [{"max_slow_tasks": 2, "origin_busy": Backoff(0.1, 1.0)}])
async def test_more_than_may_be_slow_wait_in_the_queue(works, slow, gate):
    jobs = [await submit(works, slow.url("/video")) for _ in range(8)]
    await until(lambda: slow.open_connections >= 2)
    honest = await works.manager.submit(await works.caption())
    assert (await works.result(honest.id)).status is Status.COMPLETED
    gate.set()
    for job in jobs:
        done = await works.result(job.id)
        assert (done.status, done.tasks[0].attempts) == (Status.COMPLETED, 1)


@pytest.mark.parametrize("retry", [{"origin_busy": Backoff(1000.0, 1000.0)}])
async def test_what_is_still_coming_is_asked_for_again_when_it_may_have_come(works, serve, monkeypatch):
    web, asked, opened = await serve({"/video": answer(BODY)}), [], Sources.open

    def coming(sources, source, *rest):
        if source == web.url("/video"):
            asked.append(source)
            if len(asked) == 1:
                raise StillComing("It has not come yet.", reason="ORIGIN_BUSY", retry_seconds=0.05)
        return opened(sources, source, *rest)

    monkeypatch.setattr(Sources, "open", coming)
    done = await works.result((await submit(works, web.url("/video"))).id)
    assert (done.status, done.tasks[0].attempts, len(asked)) == (Status.COMPLETED, 1, 2)


async def test_a_job_that_is_cancelled_meanwhile_leaves_its_origin(works, slow, gate):
    job = await submit(works, slow.url("/video"))
    await until(lambda: slow.open_connections == 1)
    await works.manager.cancel(job.id)
    await until(lambda: not works.dispatcher.running)
    assert works.encoder.tasks == 0
    gate.set()
    await until(lambda: slow.open_connections == 0)


async def test_an_input_that_is_not_there_takes_no_encoder(works, serve):
    web = await serve({"/gone": answer(b"", "404 Not Found"), "/down": answer(b"", "503 Down")})
    gone, down = await submit(works, web.url("/gone")), await submit(works, web.url("/down"))
    done = await works.result(gone.id)
    assert (done.status, done.tasks[0].attempts) == (Status.FAILED, 1)
    assert "url_video" in done.tasks[0].failure.message
    done = await works.result(down.id)
    assert (done.status, done.tasks[0].attempts) == (Status.FAILED, 3)
    assert works.encoder.tasks == 0


async def test_a_large_input_comes_whole(works, serve):
    body = os.urandom(20_000_000)
    web = await serve({"/known": answer(body), "/unknown": answer(body, Content_Length=None, Connection="close")})

    async def closing(writer):
        writer.write(answer(body, Content_Length=None))
        await writer.drain()

    web.routes["/unknown"] = closing
    for target in ("/known", "/unknown"):
        job = await submit(works, web.url(target))
        assert (await works.result(job.id)).status is Status.COMPLETED
    assert works.encoder.inputs.count(body) == 2


async def test_a_prepared_task_comes_before_later_ones(works, slow, gate):
    """While both slots are taken a slow task gets ready; the next slot is its."""
    job = await submit(works, slow.url("/video"))
    await until(lambda: slow.open_connections == 1)
    hold = asyncio.Event()
    works.encoder.script = [hold, hold]
    busy = [await works.manager.submit(await works.caption()) for _ in range(2)]
    await until(lambda: works.encoder.running == 2)
    later = [await works.manager.submit(await works.caption()) for _ in range(5)]
    gate.set()
    await until(lambda: slow.open_connections == 0)
    hold.set()
    for other in (job, *busy, *later):
        assert (await within(works.manager.wait(other.id))).status is Status.COMPLETED
    await until_async(lambda: _done(works))


async def _done(works):
    return not works.dispatcher.running


def story(web, count):
    scenes = [Scene(image_url=web.url(f"/{number}"), duracao=1) for number in range(count)]
    return Operation(story=StoryRequest(scenes=scenes))


async def test_many_small_inputs_are_fetched_at_once_within_bounds(works, serve):
    together, most = asyncio.Barrier(8), 0

    def picture(number):
        async def route(writer):
            nonlocal most
            most = max(most, web.open_connections)
            if 7 <= number < 15:  # the eight of the fourth round
                await together.wait()
            writer.write(answer(b"%d" % number))
            await writer.drain()

        return route

    web = await serve({f"/{number}": picture(number) for number in range(30)})
    job = await works.manager.submit(story(web, 30))
    assert (await works.result(job.id)).status is Status.COMPLETED
    assert works.encoder.inputs == [b"%d" % number for number in range(30)]
    assert most == 8


async def test_of_several_inputs_that_fail_all_are_named(works, serve):
    routes = {f"/{number}": answer(b"picture") for number in range(12)}
    web = await serve(routes | {"/5": answer(b"", "404 Gone"), "/9": answer(b"", "404 Gone")})
    job = await works.result((await works.manager.submit(story(web, 12))).id)
    assert job.failure is not None
    assert [name for name, _ in job.failure.fields] == ["scenes[5].image_url", "scenes[9].image_url"]
    assert works.encoder.tasks == 0
