"""Progress of running tasks, announced to whoever watches on whichever gateway; nothing of it is kept."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass

from gateway.engine.nats import Engine
from gateway.jobs.queue import TaskRef
from rpc.errors import Unavailable


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far one task is: frames made, frames to make (0: not known), frames a second."""

    frames_done: int
    frames_total: int
    fps: float


class Board:
    """Topics "progress.<job>.<index>"."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def announce(self, task: TaskRef, progress: TaskProgress) -> None:
        """Tell the watchers; that nobody can be told is no fault of the task."""
        with contextlib.suppress(Unavailable):
            await self._engine.announce(f"progress.{task.key}", json.dumps(asdict(progress)).encode())

    @contextlib.asynccontextmanager
    async def following(self, job_id: str, told: Callable[[int, TaskProgress], None]) -> AsyncIterator[None]:
        """Call `told(index, progress)` for every task of the job while the block runs."""

        def heard(topic: str, data: bytes) -> None:
            told(TaskRef.parse(topic.removeprefix("progress.")).index, TaskProgress(**json.loads(data)))

        async with self._engine.listen(f"progress.{job_id}.*", heard):
            yield
