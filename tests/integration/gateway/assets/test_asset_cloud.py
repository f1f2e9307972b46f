"""The asset store on a cloud: the same promises, kept over a server that speaks S3."""

import asyncio
import os

import httpx
import pytest

from gateway.assets.bucket import Bucket
from gateway.assets.cloud_files import PART_BYTES
from gateway.assets.store import ABANDONED_AFTER, AssetStore
from servicekit.chunks import CHUNK_BYTES
from servicekit.errors import DataLoss, NotFound, Unavailable
from tests.support.object_server import BUCKET, ObjectServer, settings_of
from tests.support.until import until


@pytest.fixture
def cloud(monkeypatch):
    with ObjectServer() as server:
        for name, value in settings_of(server.server_port).items():
            monkeypatch.setenv(name, value)
        yield server


def store(retention_seconds=3600, bucket=BUCKET, staging_folder=None):
    location = Bucket(f"s3://{bucket}/under/here", staging_folder)
    return AssetStore(location, retention_seconds=retention_seconds, max_bytes=1 << 30)


async def put(assets, data, chunk_bytes=CHUNK_BYTES):
    async with assets.create("clip.mp4") as writer:
        for start in range(0, len(data), chunk_bytes):
            await writer.write(data[start : start + chunk_bytes])
        return await writer.commit(size_bytes=len(data))


async def get(assets, asset_id, *span):
    return b"".join([chunk async for chunk in assets.read(asset_id, *span)])


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 3 * PART_BYTES + 12345])
async def test_what_is_committed_comes_back(cloud, size):
    data = os.urandom(size)
    assets = store()
    asset = await put(assets, data)
    assert cloud.keys() == [f"under/here/assets/{asset.id}", f"under/here/records/{asset.id}.json"]
    assert await store().describe(asset.id) == asset
    assert await get(assets, asset.id) == data
    assert await get(assets, asset.id, size // 2, 1000) == data[size // 2 : size // 2 + 1000]
    assert [len(chunk) async for chunk in assets.read(asset.id)][:-1] == [CHUNK_BYTES] * ((size - 1) // CHUNK_BYTES)


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 12345])
async def test_what_waits_for_its_part_comes_back_whole(cloud, tmp_path, size):
    data, assets = os.urandom(size), store(staging_folder=tmp_path / "staged")
    asset = await put(assets, data, chunk_bytes=CHUNK_BYTES + 7)
    assert await get(assets, asset.id) == data
    assert cloud.keys() == [f"under/here/assets/{asset.id}", f"under/here/records/{asset.id}.json"]
    assert list(tmp_path.glob("staged/*")) == []


async def test_of_what_waits_only_whole_parts_are_sent(cloud):
    assets = store()
    async with assets.create("clip.mp4") as writer:
        for sent in range(PART_BYTES // CHUNK_BYTES):
            await writer.write(bytes(CHUNK_BYTES))
            await writer.checksum()
            assert cloud.parts == {}, sent
        await writer.write(b"1")
        await writer.checksum()
        sent = await until(lambda: [len(part) for parts in cloud.parts.values() for part in parts.values()])
        assert sent == [PART_BYTES]


async def test_what_waits_is_dropped_without_commit_and_told_of_where_it_cannot_be_sent(cloud, tmp_path):
    assets = store(staging_folder=tmp_path)
    async with assets.create("clip.mp4") as writer:
        await writer.write(bytes(CHUNK_BYTES))
    async with assets.create("clip.mp4") as writer:
        await writer.write(b"x")
        with pytest.raises(DataLoss):
            await writer.commit(size_bytes=2)
    assert cloud.keys() == []
    missing = store(bucket="other", staging_folder=tmp_path)
    for size in (1, 2 * PART_BYTES):
        with pytest.raises(Unavailable):
            await put(missing, bytes(size))
    assert list(tmp_path.iterdir()) == []


async def test_leaving_without_commit_leaves_nothing_to_be_seen(cloud):
    async with store().create("clip.mp4") as writer:
        for _ in range(2 * PART_BYTES // CHUNK_BYTES):
            await writer.write(bytes(CHUNK_BYTES))
    await asyncio.sleep(0.1)
    assert cloud.keys() == []
    async with store().create("clip.mp4") as writer:
        with pytest.raises(DataLoss):
            await writer.commit(size_bytes=1)
    assert cloud.keys() == []


async def test_deleted_and_expired_and_left_over(cloud):
    assets, short = store(), store(retention_seconds=0)
    kept, deleted, orphan = [await put(assets, b"x") for _ in range(3)]
    expired = await put(short, b"x")
    await assets.delete(deleted.id)
    with pytest.raises(NotFound):
        await assets.delete(deleted.id)
    del cloud.objects[f"under/here/records/{orphan.id}.json"]
    assert await short.sweep() == 1
    cloud.age(f"under/here/assets/{orphan.id}", ABANDONED_AFTER.total_seconds() + 60)
    assert await short.sweep() == 1
    with pytest.raises(NotFound, match=expired.name):
        await assets.describe(expired.id)
    assert cloud.keys() == [f"under/here/assets/{kept.id}", f"under/here/records/{kept.id}.json"]


async def test_content_that_was_cut_is_not_passed_off_as_whole(cloud):
    assets = store()
    asset = await put(assets, os.urandom(PART_BYTES))
    key = f"under/here/assets/{asset.id}"
    cloud.objects[key] = (cloud.objects[key][0][:-1], cloud.objects[key][1])
    with pytest.raises(DataLoss):
        await get(assets, asset.id)


async def test_a_bucket_that_is_not_there_is_a_fault_of_the_service(cloud):
    for call in (
        put(store(bucket="other"), b"x"),
        put(store(bucket="other"), bytes(PART_BYTES * 2)),
        store(bucket="other").sweep(),
    ):
        with pytest.raises(Unavailable):
            await call


async def test_a_cloud_gives_its_files_by_links_of_its_own_and_a_folder_does_not(cloud, tmp_path):
    assets = store()
    asset = await put(assets, b"bytes")
    async with httpx.AsyncClient(verify=False, timeout=60) as http:
        assert (await http.get(await assets.signed_url(asset.id, 60))).content == b"bytes"
    with pytest.raises(NotFound):
        await assets.signed_url("a" * 26, 60)
    local = AssetStore(str(tmp_path), retention_seconds=60, max_bytes=1 << 20)
    assert await local.signed_url((await put(local, b"x")).id, 60) is None
