"""Wires the job subsystem: what submits tasks and what runs them."""

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.assets.store import AssetStore
from gateway.fleet.fleet import Fleet
from gateway.jobs.cost_guard import CostGuard
from gateway.jobs.dispatcher import Dispatcher
from gateway.jobs.executor import TaskExecutor
from gateway.jobs.ffmpeg_log import FfmpegLogs
from gateway.jobs.intermediates import IntermediateCleanup
from gateway.jobs.manager import JobManager
from gateway.jobs.policy import JobPolicy
from gateway.jobs.preparation import Preparation
from gateway.jobs.progress import ProgressBus
from gateway.jobs.queue import TaskQueue
from gateway.jobs.store import JobStore
from gateway.sources import Sources
from gateway.sources.prefetch import Prefetcher
from gateway.workers.base import ResumableEncoder
from gateway.workers.pool import Pool


def start_jobs(
    store: JobStore,
    queue: TaskQueue,
    progress: ProgressBus,
    sources: Sources,
    assets: AssetStore,
    pool: Pool,
    fleet: Fleet,
    policy: JobPolicy,
    stack: contextlib.AsyncExitStack,
    resumable: Sequence[ResumableEncoder] = (),
    check_room: Callable[[], None] = lambda: None,
    prefetcher: Prefetcher | None = None,
    logs: FfmpegLogs | None = None,
) -> tuple[JobManager, Dispatcher]:
    """Begin to take tasks from the queue; inputs are fetched beforehand into a folder of the system, without a
    `prefetcher`; what FFmpeg says is kept in `logs`. Both end with `stack`, what still runs returns to the queue."""
    queue.follow(store.index)
    cost_guard = CostGuard(store, fleet, pool, policy.cost_check_seconds)
    manager = JobManager(store, queue, progress, sources, cost_guard.check, policy, check_room)
    stack.push_async_callback(manager.stop)
    executor = TaskExecutor(
        *(store, progress, sources, assets, policy, cost_guard.check, resumable, pool.boot_id, fleet.estimate_store),
        workers=lambda: fleet.workers(pool.encoders),
        logs=logs,
    )
    preparation = Preparation(prefetcher or Prefetcher(sources, Path(tempfile.gettempdir())), policy)
    cleanup = IntermediateCleanup(store, assets)
    dispatcher = Dispatcher(store, queue, pool, fleet.assignments, executor, preparation, cost_guard, cleanup, policy)
    dispatcher.start()
    stack.push_async_callback(dispatcher.drain, 0)
    return manager, dispatcher
