"""Dry runs on encoders that do as they are told, and origins that are slow."""

import asyncio
import contextlib

import pytest

from apigpu.v1 import jobs_pb2
from apigpu.v1.video_pb2 import CaptionRequest, Operation
from gateway.jobs.quote import MAX_QUOTES, Quoter
from gateway.sources.prefetch import Prefetcher
from servicekit.errors import InvalidArgument, ResourceExhausted
from servicekit.tasks import cancel_and_wait
from tests.support.until import until, within
from tests.support.web_server import Web, answer

DRY = jobs_pb2.JobOptions(dry_run=True)
BODY = b"a film" * 1000


@pytest.fixture
def quoter(works, tmp_path):
    prefetcher = Prefetcher(works.manager.sources, tmp_path / "prefetch")
    return Quoter(works.manager, works.pool, works.fleet, prefetcher)


@pytest.fixture
def gate():
    return asyncio.Event()


@pytest.fixture
async def slow(gate):
    """An origin that sends the head and a byte, and the rest once the gate is open."""

    async def route(writer):
        writer.write(answer(BODY[:1], Content_Length=len(BODY)))
        await gate.wait()
        writer.write(BODY[1:])
        await writer.drain()

    web = Web({"/video": route})
    server = await asyncio.start_server(web.handle, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    yield web
    server.close()


async def test_a_slow_origin_holds_no_slot_and_what_came_is_sent_once(works, quoter, slow, gate):
    wanted = Operation(caption=CaptionRequest(url_video=slow.url("/video"), srt_text="words"))
    asking = asyncio.create_task(quoter.quote(wanted, DRY, ""))
    await until(lambda: slow.open_connections == 1)
    honest = await works.manager.submit(await works.caption())
    await works.result(honest.id)
    assert works.encoder.tasks == 1
    gate.set()
    await within(asking)
    assert (works.encoder.tasks, works.encoder.given[-1].plan_only) == (2, True)
    assert works.encoder.inputs[-2] == BODY


async def test_an_encoder_of_before_there_were_dry_runs_carries_nothing_out(works, quoter):
    works.encoder.script = ["hang"]
    quote = await within(quoter.quote(await works.caption(), DRY, ""))
    assert (quote.results, quote.faults) == ((), ())
    assert "earlier version" in quote.unknown[0]
    await until(lambda: works.encoder.running == 0)
    assert works.manager.store.index.tasks_waiting == 0


async def test_a_caller_that_leaves_leaves_nothing_behind(works, quoter, slow, gate):
    wanted = Operation(caption=CaptionRequest(url_video=slow.url("/video"), srt_text="words"))
    asking = asyncio.create_task(quoter.quote(wanted, DRY, ""))
    await until(lambda: slow.open_connections == 1)
    await cancel_and_wait(asking)
    await until(lambda: (quoter.limit.free, quoter.prefetcher.held_bytes) == (MAX_QUOTES, 0))
    gate.set()  # the origin sees only now that nobody reads
    await until(lambda: slow.open_connections == 0)
    assert works.encoder.tasks == 0


async def test_without_an_encoder_the_request_and_its_addresses_are_judged(works, quoter):
    (member,) = works.pool.members
    works.pool.remove(member.encoder.name)
    wanted = Operation(caption=CaptionRequest(url_video="assets/" + "a" * 26, srt_text="words"))
    quote = await within(quoter.quote(wanted, DRY, ""))
    assert [dict(fault.fields).keys() for fault in quote.faults] == [{"url_video"}]
    assert "no encoder is there" in quote.unknown[0]


async def held(stack, quoter, clients):
    """Take a place of dry runs for each of these clients."""
    for client in clients:
        await stack.enter_async_context(quoter.limit.hold(client))


async def test_too_many_at_once_are_refused_and_so_is_what_is_no_operation(works, quoter):
    with pytest.raises(InvalidArgument):
        await quoter.quote(Operation(), DRY, "")
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(ResourceExhausted):
            await held(stack, quoter, ["somebody"] * MAX_QUOTES)
        assert (await quoter.quote(await works.caption(), DRY, "")).operation == "caption"  # of another caller
        with pytest.raises(ResourceExhausted):
            await held(stack, quoter, map(str, range(MAX_QUOTES)))
        with pytest.raises(ResourceExhausted):
            await quoter.quote(await works.caption(), DRY, "")
