"""Sources by the form of their text."""

from dataclasses import replace

import pytest

from gateway.assets.record import new_id
from gateway.assets.store import AssetStore
from gateway.callers import DEFAULT_TENANT
from gateway.sources import Sources
from servicekit.errors import InvalidArgument, NotFound
from tests.support.web_server import answer


@pytest.fixture
def store(tmp_path):
    return AssetStore(str(tmp_path / "assets"), retention_seconds=60, max_bytes=10_000_000)


@pytest.fixture
def sources(fetching, store):
    return Sources(fetching(), store)


async def read(sources, text):
    async with sources.open(text, DEFAULT_TENANT) as source:
        return source.filename, source.size_bytes, b"".join([chunk async for chunk in source.chunks()])


async def test_an_asset_and_a_url_are_read_alike(serve, sources, store):
    data = bytes(range(256)) * 5000
    async with store.create("clip.mp4") as writer:
        await writer.write(data)
        asset = await writer.commit()
    web = await serve({"/clip.mp4": answer(data)})
    for text in (asset.name, web.url("/clip.mp4")):
        sources.check(text)
        assert await read(sources, text) == ("clip.mp4", len(data), data)


async def test_an_asset_that_another_gateway_has_deleted_is_read_no_more(sources, store, tmp_path):
    async with store.create("clip.mp4") as writer:
        await writer.write(b"small")
        asset = await writer.commit()
    await AssetStore(str(tmp_path / "assets"), retention_seconds=60, max_bytes=10_000_000).delete(asset.id)
    with pytest.raises(NotFound):
        await read(sources, asset.name)


async def test_what_stood_in_a_request_is_read_once_by_its_own_job_without_the_store(sources, store, tmp_path):
    asset = await sources.store("data:text/plain,Hi", DEFAULT_TENANT)
    sources.just_stored.bind([asset.name], "job")
    await AssetStore(str(tmp_path / "assets"), retention_seconds=60, max_bytes=10_000_000).delete(asset.id)

    async def opened(job_id):
        async with sources.open(asset.name, DEFAULT_TENANT, job_id) as source:
            return source.size_bytes, b"".join([chunk async for chunk in source.chunks()])

    with pytest.raises(NotFound):
        await opened("other")
    assert await opened("job") == (2, b"Hi")
    with pytest.raises(NotFound):
        await opened("job")


async def test_what_stood_in_a_request_and_is_deleted_is_read_no_more(sources, store):
    asset = await sources.store("data:text/plain,Hi", DEFAULT_TENANT)
    sources.just_stored.bind([asset.name], "job")
    await store.delete(asset.id)
    with pytest.raises(NotFound):
        async with sources.open(asset.name, DEFAULT_TENANT, "job") as source:
            assert [chunk async for chunk in source.chunks()]


def test_what_is_deleted_is_told_once_however_often_sources_are_copied(sources, store):
    assert replace(sources, spools=None).just_stored is sources.just_stored
    assert store.listeners == [sources.just_stored.told]


async def test_an_asset_of_a_moment_ago_is_read_by_its_tenant_alone(sources, store):
    async with store.create("clip.mp4") as writer:
        await writer.write(b"mine")
        asset = await writer.commit()
    with pytest.raises(NotFound):
        async with sources.open(asset.name, "other"):
            pass


async def test_an_asset_that_is_not_there(sources):
    name = f"assets/{new_id()}"
    sources.check(name)
    with pytest.raises(NotFound, match=name):
        await read(sources, name)


@pytest.mark.parametrize(
    "text", ["", "clip.mp4", "assets/", "assets/../x", "assets/x", "file:///x", "http://u:p@h/", "s3://b/k"]
)
async def test_other_forms_are_refused_alike_by_both(sources, text):
    with pytest.raises(InvalidArgument):
        sources.check(text)
    with pytest.raises(InvalidArgument):
        await read(sources, text)
