"""What tasks that have ended left at RunPod: their job was cancelled, or failed for good, while no gateway ran them."""

import asyncio

from gateway.encoders.runpod import RunpodEncoder
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore, Unreadable
from rpc.errors import NotFound
from rpc.tasks import survived

SWEEP_SECONDS = 60.0


async def sweep_for_ever(store: JobStore, runpod: RunpodEncoder, seconds: float = SWEEP_SECONDS) -> None:
    """Sweep at once, and then every so often."""
    while True:
        with survived("cannot look for what tasks left at RunPod"):
            await sweep(store, runpod)
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
        except Unreadable:
            continue
        if task.status.ended:
            await runpod.abandon(key, task.asset)
