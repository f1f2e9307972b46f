"""Children: none is left behind, however early its start is cancelled."""

import asyncio
import sys

import pytest

from servicekit import process

PIPES = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}


@pytest.mark.parametrize("turns", range(8))
async def test_a_start_that_is_cancelled_ends(turns: int) -> None:
    starting = asyncio.create_task(process.spawn([sys.executable, "-c", "import time; time.sleep(60)"], **PIPES))
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    done, _ = await asyncio.wait([starting], timeout=30)
    assert done
    assert starting.cancelled()


async def test_a_kill_takes_the_children_of_the_child() -> None:
    """The grandchild holds the pipe open, and would hold the wait for its end."""
    child = await process.spawn(["sh", "-c", "sleep 60 & echo begun; wait"], **PIPES)
    assert child.stdout is not None
    assert await child.stdout.readline() == b"begun\n"
    process.kill_group(child)
    async with asyncio.timeout(40):
        await child.wait()
    process.kill_group(child)
