"""What a job may cost, and what it is expected to."""

from apigpu.v1 import video_pb2
from gateway.fleet.fleet import Fleet
from gateway.jobs import operation
from gateway.workers.pool import Pool
from servicekit.errors import FailedPrecondition

COST_LIMIT = "COST_LIMIT"


class Budget:
    """Holds what is asked for against `max_cost_usd`, before it starts."""

    def __init__(self, fleet: Fleet, pool: Pool) -> None:
        self._fleet = fleet
        self._pool = pool

    def check(self, wanted: video_pb2.Operation) -> None:
        """Raise FailedPrecondition (COST_LIMIT) for an operation that is expected to cost more than it may. Own
        encoders cost nothing: where one answers, a job may wait for it."""
        most_usd = operation.budget(wanted)
        if most_usd is None or any(seat.ready and not seat.is_rented for seat in self._pool.seats):
            return
        tasks = len(operation.items(wanted) or [""])
        expected_usd = self._fleet.expected_usd(operation.kind(wanted)[0], tasks)
        if expected_usd is not None and expected_usd > most_usd:
            raise FailedPrecondition(
                f"max_cost_usd is {most_usd:g}, and the job is expected to cost {expected_usd:.4f}; allow more.",
                reason=COST_LIMIT,
                fields={"max_cost_usd": f"{expected_usd:.4f} expected"},
                metadata={"expected_usd": f"{expected_usd:.6f}"},
            )
