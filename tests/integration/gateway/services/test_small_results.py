"""Results that go along with the news of the end of their job."""

import asyncio

import pytest

from apigpu.v1 import jobs_pb2
from gateway.assets.store import AssetStore
from gateway.callers import Caller, Scope, caller
from gateway.services.small_results import MAX_RESULT_BYTES, check_most, small_result
from servicekit.errors import InvalidArgument
from tests.support.until import within

DATA = b"x" * 1000


@pytest.fixture
def store(tmp_path):
    return AssetStore(str(tmp_path), retention_seconds=3600, max_bytes=1 << 24)


async def made(store, data=DATA, tenant="default"):
    """Return a job whose result is a file of these bytes."""
    async with store.create("a.mp4", tenant=tenant) as writer:
        await writer.write(data)
        asset = await writer.commit()
    return jobs_pb2.Job(output=jobs_pb2.Output(asset=asset.name))


async def test_a_result_goes_along_where_it_has_as_many_bytes_as_may_come(store):
    job = await made(store)
    assert [await small_result(store, job, most) for most in (1000, 999, 0)] == [DATA, b"", b""]
    assert await small_result(store, await made(store, bytes(MAX_RESULT_BYTES + 1)), MAX_RESULT_BYTES) == b""
    for other in (jobs_pb2.Job(), jobs_pb2.Job(output=jobs_pb2.Output(asset="assets/none"))):
        assert await small_result(store, other, 1000) == b""


async def test_what_was_deleted_since_or_is_damaged_does_not_go_along(store, tmp_path):
    other_gateway = AssetStore(str(tmp_path), retention_seconds=3600, max_bytes=1 << 24)
    deleted, damaged = await made(store), await made(store)
    await other_gateway.delete(deleted.output.asset.removeprefix("assets/"))
    (tmp_path / damaged.output.asset).write_bytes(b"y" * 1000)
    assert [await small_result(store, job, 1000) for job in (deleted, damaged)] == [b"", b""]


class Stalled(AssetStore):
    """A store that answers no question."""

    async def find(self, *_):
        await asyncio.Event().wait()


async def test_a_store_that_does_not_answer_holds_up_no_news(store, tmp_path):
    job = await made(store)
    stalled = Stalled(str(tmp_path), retention_seconds=3600, max_bytes=1 << 24)
    assert await within(small_result(stalled, job, 1000, read_seconds=0.05)) == b""


async def test_a_result_of_another_tenant_does_not_go_along(store):
    job = await made(store, tenant="acme")
    token = caller.set(Caller(tenant="other", scopes=frozenset({Scope.READ})))
    try:
        assert await small_result(store, job, 1000) == b""
    finally:
        caller.reset(token)


@pytest.mark.parametrize("most", [-1, MAX_RESULT_BYTES + 1])
def test_no_more_can_be_asked_for_than_may_go_along(most):
    with pytest.raises(InvalidArgument) as caught:
        check_most(most)
    assert "max_result_bytes" in caught.value.fields
    check_most(MAX_RESULT_BYTES)
