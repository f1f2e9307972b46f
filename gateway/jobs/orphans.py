"""What tasks that have ended left at RunPod: their job was cancelled, or failed for good, while no gateway ran them."""

import asyncio

from gateway.fleet.providers.runpod.encoder import RunpodEncoder
from gateway.jetstream.records import UnreadableRecord
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore
from servicekit.errors import NotFound
from servicekit.tasks import log_and_continue

SWEEP_SECONDS = 60.0


async def reap_orphaned_runs(store: JobStore, runpod: RunpodEncoder, seconds: float = SWEEP_SECONDS) -> None:
    """Sweep at once, and then every so often."""
    while True:
        with log_and_continue("cannot look for what tasks left at RunPod"):
            await reap_once(store, runpod)
        await asyncio.sleep(seconds)


async def reap_once(store: JobStore, runpod: RunpodEncoder) -> None:
    """End the runs of tasks that have ended, and delete results that no record names."""
    for key in await runpod.held():
        ref = TaskRef.parse(key)
        try:
            task = (await store.get(ref.job_id)).tasks[ref.index]
        except NotFound:
            await runpod.abandon(key, "")
            continue
        except UnreadableRecord:
            continue
        if task.status.is_terminal:
            await runpod.abandon(key, task.asset)
