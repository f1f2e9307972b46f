"""The store through a full disk: it lives on its reserve, says so, and is well again by itself."""

import pytest

from tests.support import small_disk

COMMON = """
import asyncio, sys
from pathlib import Path
from gateway.assets.bucket import storage_floor
from gateway.jetstream.connection import JetStream
from gateway.jetstream.guard import StoreGuard
from servicekit.errors import ResourceExhausted, Unavailable
from tests.support.until import until

DISK = Path(sys.argv[1])

def fill(name):
    with open(DISK / name, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass

async def main(script):
    jetstream = await JetStream.open("", DISK / "nats", 60)
    floor = storage_floor(DISK)
    guard = StoreGuard(jetstream, floor, DISK / "nats")
    jobs, queue = await jetstream.key_value("jobs"), await jetstream.queue("tasks", 5)
    try:
        await script(jetstream, floor, guard, jobs, queue)
    finally:
        await guard.stop()
        await jetstream.close()
"""
RESERVE = """
async def script(jetstream, floor, guard, jobs, queue):
    await guard.check()
    assert guard.problem == "", guard.problem
    reserved = floor.free_bytes
    fill("others")
    await guard.check()
    assert "uploads are refused" in guard.problem, guard.problem
    assert floor.free_bytes > 0, "the reserve was not given up"
    for number in range(20):
        await jobs.put(f"k{number}", bytes(2000))
        assert await queue.put(f"t{number}")
    guard.check_room()
    (DISK / "others").unlink()
    await guard.check()
    assert guard.problem == "", guard.problem
    assert abs(floor.free_bytes - reserved) < 500_000, "the reserve was not taken again"

asyncio.run(main(script))
"""
START = """
from gateway.jetstream.guard import make_room

async def script(jetstream, floor, guard, jobs, queue):
    await guard.check()
    await jobs.put("before", b"")
    await guard.stop()
    await jetstream.close()
    fill("others")
    make_room(DISK / "nats", floor)
    again = await JetStream.open("", DISK / "nats", 60)
    try:
        jobs = await again.key_value("jobs")
        assert await jobs.get("before")
        await jobs.put("after", b"")
    finally:
        await again.close()

asyncio.run(main(script))
"""
BROKEN = """
async def script(jetstream, floor, guard, jobs, queue):
    await guard.check()
    pid = jetstream.server.pid
    fill("others")
    await guard.check()
    fill("more")  # the reserve too
    await guard.check()
    assert guard.problem == "the disk is full", guard.problem
    assert not guard.is_writable
    try:
        guard.check_room()
    except ResourceExhausted as error:
        assert (error.reason, error.retry_seconds) == ("STORAGE_FULL", 60)
    else:
        raise AssertionError("a job would be taken")
    failed = 0
    for number in range(20):
        try:
            await jobs.put(f"k{number}", bytes(4000))
        except Unavailable:
            failed += 1
            break
    assert failed, "the disk was not full"
    (DISK / "others").unlink()
    (DISK / "more").unlink()
    changes = []
    async def note():
        changes.append(guard.problem)
    guard.on_change.append(note)
    guard.start()
    await until(lambda: guard.problem == "", seconds=90)
    assert jetstream.server.pid != pid, "the server was not restarted"
    await jobs.put("after", b"")
    assert await queue.put("after")
    assert await jobs.get("after")
    assert (await jobs.keys()).count("_probe") == 0

asyncio.run(main(script))
"""


@pytest.mark.parametrize("script", [RESERVE, START, BROKEN], ids=["reserve", "start", "broken"])
def test_a_full_disk(tmp_path, script):
    small_disk.run(COMMON + script, tmp_path, megabytes=64)
