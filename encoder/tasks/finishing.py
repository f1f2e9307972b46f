"""The end of a run, and the check of what it wrote: FFmpeg takes some milliseconds to end once all is written."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from apigpu.encoder.v1 import encoder_pb2
from encoder.ffmpeg.process import FfmpegProcess
from servicekit.errors import ServiceError
from servicekit.tasks import running as going_on


async def finish_checked(
    running: FfmpegProcess, checking: Coroutine[Any, Any, encoder_pb2.Summary] | None
) -> encoder_pb2.Summary | None:
    """Wait for the end of a run that has written all, and check its results meanwhile; return what they are. What the
    run failed with is raised before what is wrong with results, once nothing is asked of the planner any more."""
    if checking is None:
        await running.finish()
        return None
    async with going_on(checking) as checked:
        try:
            await running.finish()
        except ServiceError:
            await asyncio.wait([checked])
            raise
        return await checked
