"""What a child writes to: nothing of it is left open."""

import asyncio
import os

import pytest

from encoder.ffmpeg.children import Output
from tests.support.processes import descriptors


async def test_an_output_that_is_canceled_while_it_is_opened_leaves_no_end_open() -> None:
    before = descriptors(os.getpid())
    opening = asyncio.create_task(Output.open())
    await asyncio.sleep(0)  # it waits for the loop to read the pipe
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.sleep(0)
    assert descriptors(os.getpid()) == before
