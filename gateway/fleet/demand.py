"""What the queue asks of the fleet."""

from typing import Protocol

from gateway.fleet.holders import Holders
from gateway.fleet.knowledge import Knowledge
from gateway.fleet.scaler import Demand


class Queue(Protocol):
    """The tasks of all jobs, by their records."""

    tasks_waiting: int
    tasks_running: int

    def oldest_wait_seconds(self, now: float) -> float:
        """Seconds that the oldest waiting task has waited."""

    def operations_waiting(self) -> dict[str, int]:
        """Waiting tasks by operation."""


def demand(queue: Queue, holders: Holders, knowledge: Knowledge, now: float) -> Demand:
    """The tasks that wait for a slot: those that no gateway has in hand. By its record one may run, and its gateway be
    dead; or wait, while RunPod starts a worker for it."""
    return Demand(
        waiting=max(0, queue.tasks_waiting + queue.tasks_running - len(holders.held())),
        oldest_wait_seconds=queue.oldest_wait_seconds(now),
        task_seconds=knowledge.estimates.mean_task_seconds(queue.operations_waiting()),
    )
