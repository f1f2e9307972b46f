"""Sweeping: expired assets and what dead uploads left go, everything else stays."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from gateway.assets.store import ABANDONED_AFTER, AssetStore
from servicekit.errors import NotFound

OLD_SECONDS = ABANDONED_AFTER.total_seconds() + 60
UPLOAD_UNTIL_KILLED = """
import asyncio, sys
from gateway.assets.store import AssetStore

async def upload():
    store = AssetStore(sys.argv[1], retention_seconds=3600, max_bytes=1 << 40)
    async with store.create("a.mp4") as writer:
        for _ in range(8):
            await writer.write(bytes(1 << 20))
        print("going", flush=True)
        await asyncio.sleep(60)

asyncio.run(upload())
"""


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def age(path, seconds=OLD_SECONDS):
    then = time.time() - seconds
    os.utime(path, (then, then))


async def put(store, data=b"data"):
    async with store.create("a.srt") as writer:
        await writer.write(data)
        return await writer.commit()


async def test_expired_assets_go_and_others_stay(folder, store):
    kept = await put(store)
    short = AssetStore(str(folder), retention_seconds=0.05, max_bytes=1000)
    expired = [await put(short) for _ in range(3)]
    await asyncio.sleep(0.1)
    assert await short.sweep() == 3
    assert await short.sweep() == 0
    assert files(folder) == [f"assets/{kept.id}", f"records/{kept.id}.json"]
    with pytest.raises(NotFound):
        await short.describe(expired[0].id)


async def test_a_shorter_retention_does_not_break_an_older_promise(folder, store):
    asset = await put(store)
    age(folder / "records" / f"{asset.id}.json", 100)
    assert await AssetStore(str(folder), retention_seconds=1, max_bytes=1).sweep() == 0
    assert (await store.describe(asset.id)).id == asset.id


async def test_a_damaged_record_goes_when_its_time_is_over(folder, store):
    asset = await put(store)
    record = folder / "records" / f"{asset.id}.json"
    record.write_bytes(b"{")
    assert await store.sweep() == 0
    age(record, 3601)
    assert await store.sweep() == 1
    assert files(folder) == []


async def test_content_whose_record_was_never_written_goes_when_it_is_old(folder, store):
    asset, dead = await put(store), await put(store)
    (folder / "records" / f"{dead.id}.json").unlink()
    assert await store.sweep() == 0, "its record may be about to be written"
    for one in (asset, dead):
        age(folder / one.name)
    assert await store.sweep() == 1
    assert files(folder) == [f"assets/{asset.id}", f"records/{asset.id}.json"]


async def test_what_a_killed_gateway_staged_goes_when_it_is_old(folder, store):
    command = [sys.executable, "-c", UPLOAD_UNTIL_KILLED, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            assert await asyncio.to_thread(other.stdout.readline) == b"going\n"
            (staged,) = files(folder)
            assert await store.sweep() == 0, "the other gateway is still at it"
        finally:
            other.send_signal(signal.SIGKILL)
    assert files(folder) == [staged]
    assert await store.sweep() == 0
    age(folder / staged)
    assert await store.sweep() == 1
    assert files(folder) == []


async def test_an_upload_that_goes_on_survives_a_sweep(folder, store):
    async with store.create("a.mp4") as writer:
        await writer.write(bytes(5 * 1024 * 1024))
        assert await store.sweep() == 0
        await writer.write(bytes(1024 * 1024))
        asset = await writer.commit()
    assert sum([len(chunk) async for chunk in store.read(asset.id)]) == 6 * 1024 * 1024


async def test_files_of_others_are_not_touched(folder, store):
    await put(store)
    others = [folder / "assets" / "README", folder / "records" / "notes.json", folder / "assets" / "draft#1"]
    for path in others:
        path.write_text("mine")
        age(path)
    assert await store.sweep() == 0
    assert all(path.exists() for path in others)


async def test_an_empty_store_has_nothing_to_sweep(store):
    assert await store.sweep() == 0


async def test_sweeps_at_once_share_the_work(folder, store):
    short = AssetStore(str(folder), retention_seconds=0, max_bytes=1000)
    for _ in range(10):
        await put(short)
    counts = await asyncio.gather(*(short.sweep() for _ in range(3)))
    assert sum(counts) >= 10
    assert files(folder) == []
