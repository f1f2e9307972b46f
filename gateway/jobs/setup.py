"""Wires the job subsystem: what submits tasks and what runs them."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.assets.store import AssetStore
from gateway.fleet.fleet import Fleet
from gateway.jobs.cost_guard import CHECK_SECONDS, CostGuard
from gateway.jobs.dispatcher import Dispatcher
from gateway.jobs.executor import TaskExecutor
from gateway.jobs.manager import JobManager
from gateway.jobs.progress import ProgressBus
from gateway.jobs.queue import TaskQueue
from gateway.jobs.retry import RETRY_POLICY, RetryPolicy
from gateway.jobs.store import JobStore
from gateway.sources import Sources
from gateway.workers.base import ResumableEncoder
from gateway.workers.pool import Pool


@dataclass(frozen=True, slots=True)
class JobLimits:
    """The seconds that a task may take, the attempts that it has, the items of a batch."""

    max_task_seconds: float
    max_attempts: int
    max_items: int
    cost_check_seconds: float = CHECK_SECONDS


def start_jobs(
    store: JobStore,
    queue: TaskQueue,
    progress: ProgressBus,
    sources: Sources,
    assets: AssetStore,
    pool: Pool,
    fleet: Fleet,
    limits: JobLimits,
    stack: contextlib.AsyncExitStack,
    resumable: Sequence[ResumableEncoder] = (),
    retry: RetryPolicy = RETRY_POLICY,
) -> tuple[JobManager, Dispatcher]:
    """Begin to take tasks from the queue. Both end with `stack`, what still runs returns to the queue."""
    cost_guard = CostGuard(store, fleet, pool, limits.cost_check_seconds)
    manager = JobManager(store, queue, progress, sources, limits.max_items, cost_guard.check, retry)
    stack.push_async_callback(manager.stop)
    executor = TaskExecutor(
        store, progress, sources, assets, limits.max_task_seconds, limits.max_attempts, resumable, retry
    )
    dispatcher = Dispatcher(store, queue, pool, fleet.assignments, executor, cost_guard, limits.max_attempts, retry)
    dispatcher.start()
    stack.push_async_callback(dispatcher.drain, 0)
    return manager, dispatcher
