"""Cancel runs, and delete results, that are left of tasks which ended while no gateway followed them."""

import asyncio
from collections.abc import Iterable

from gateway.jetstream.records import UnreadableRecord
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore
from gateway.workers.base import ResumableEncoder
from servicekit.errors import NotFound
from servicekit.tasks import log_and_continue

SWEEP_SECONDS = 60.0


async def reap_orphaned_runs(
    store: JobStore, encoders: Iterable[ResumableEncoder], seconds: float = SWEEP_SECONDS
) -> None:
    """Reap at once, and then every `seconds`."""
    while True:
        for encoder in encoders:
            with log_and_continue(f"cannot reap orphaned runs of {encoder.name}"):
                await reap_once(store, encoder)
        await asyncio.sleep(seconds)


async def reap_once(store: JobStore, encoder: ResumableEncoder) -> None:
    """Abandon the runs of tasks that have ended; their results stay where the record names them."""
    for key in await encoder.resumable_tasks():
        ref = TaskRef.parse(key)
        try:
            task = (await store.get(ref.job_id)).tasks[ref.index]
        except NotFound:
            await encoder.abandon(key, "")
            continue
        except UnreadableRecord:
            continue
        if task.status.is_terminal:
            await encoder.abandon(key, task.asset)
