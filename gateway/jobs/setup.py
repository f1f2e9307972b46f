"""Wires the job subsystem: what submits tasks and what runs them."""

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class JobResources:
    """What jobs are kept in, queued and told by, where their inputs come from, and where their results go.

    Inputs are fetched beforehand into a folder of the system without a `prefetcher`. `check_room` raises
    ResourceExhausted while there is no room for new jobs."""

    store: JobStore
    queue: TaskQueue
    progress: ProgressBus
    sources: Sources
    assets: AssetStore
    logs: FfmpegLogs
    prefetcher: Prefetcher | None = None
    check_room: Callable[[], None] = lambda: None


def start_jobs(
    resources: JobResources,
    pool: Pool,
    fleet: Fleet,
    policy: JobPolicy,
    stack: contextlib.AsyncExitStack,
    resumable: Sequence[ResumableEncoder] = (),
) -> tuple[JobManager, Dispatcher]:
    """Begin to take tasks from the queue. What submits jobs, and what runs them, end with `stack`; what still runs
    returns to the queue."""
    store, queue, sources, assets = resources.store, resources.queue, resources.sources, resources.assets
    queue.follow(store.index)
    pool.speeds.told = fleet.estimate_store.slowness
    cost_guard = CostGuard(store, fleet, pool, policy.cost_check_seconds)
    manager = JobManager(store, queue, resources.progress, sources, cost_guard.check, policy, resources.check_room)
    stack.push_async_callback(manager.stop)
    executor = TaskExecutor(
        *(store, resources.progress, sources, assets, policy),
        *(cost_guard.check, resumable, pool.boot_id, fleet.estimate_store, resources.logs),
        workers=lambda: fleet.workers(pool.encoders),
    )
    preparation = Preparation(resources.prefetcher or Prefetcher(sources, Path(tempfile.gettempdir())), policy)
    cleanup = IntermediateCleanup(store, assets)
    dispatcher = Dispatcher(store, queue, pool, fleet.assignments, executor, preparation, cost_guard, cleanup, policy)
    dispatcher.start()
    stack.push_async_callback(dispatcher.drain, 0)
    return manager, dispatcher
