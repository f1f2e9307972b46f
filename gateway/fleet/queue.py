"""What the queue asks of the fleet."""

from typing import Protocol

from gateway.encoders.pool import Pool
from gateway.fleet.knowledge import Knowledge
from gateway.fleet.register import Register
from gateway.fleet.scaler import Demand


class Queue(Protocol):
    """The tasks of all jobs, by their records."""

    tasks_waiting: int
    tasks_running: int

    def oldest_wait_seconds(self, now: float) -> float:
        """Seconds that the oldest waiting task has waited."""

    def operations_waiting(self) -> dict[str, int]:
        """Waiting tasks by operation."""


def demand(queue: Queue, register: Register, pool: Pool, knowledge: Knowledge, now: float) -> Demand:
    """The tasks that wait for a slot. One that a worker has, and has not begun, counts as waiting in its record and not
    here: RunPod may start a worker for it yet."""
    taken = sum(len(machine.running) for machine in register.living())
    taken += sum(max(seat.busy, seat.used) for seat in pool.seats if not seat.is_rented)
    begun_not = max(0, taken - queue.tasks_running)
    return Demand(
        waiting=max(0, queue.tasks_waiting - begun_not),
        oldest_wait_seconds=queue.oldest_wait_seconds(now),
        task_seconds=knowledge.estimates.mean_task_seconds(queue.operations_waiting()),
    )
