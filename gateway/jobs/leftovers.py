"""What tasks that have ended left at RunPod: their job was cancelled, or failed for good, while no gateway ran them."""

import asyncio

import structlog

from gateway.encoders.runpod import RunpodEncoder
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore
from rpc.errors import NotFound, ServiceError

log = structlog.get_logger("jobs")

SWEEP_SECONDS = 60.0


async def sweep_for_ever(store: JobStore, runpod: RunpodEncoder, seconds: float = SWEEP_SECONDS) -> None:
    """Sweep at once, and then every so often."""
    while True:
        try:
            await sweep(store, runpod)
        except ServiceError as error:
            log.warning("cannot look for what tasks left at RunPod", error=error.message)
        await asyncio.sleep(seconds)


async def sweep(store: JobStore, runpod: RunpodEncoder) -> None:
    """End the runs of tasks that have ended, and delete results that no record names."""
    for key in await runpod.held():
        ref = TaskRef.parse(key)
        try:
            task = (await store.get(ref.job_id)).tasks[ref.index]
        except NotFound:
            await runpod.abandon(key, "")
            continue
        if task.status.ended:
            await runpod.abandon(key, task.asset)
