"""A watch on a bucket, as work in the background."""

import asyncio

from gateway.engine.keyvalue import Changed, KeyValue
from rpc.tasks import ended


class Watching:
    """A watch from `start` to `stop`; see KeyValue.watch for `changed`."""

    def __init__(self, records: KeyValue, changed: Changed) -> None:
        self._records = records
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Tell of what there is; on return all of it was told."""
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._records.watch(self._changed, ready))
        await ready.wait()

    async def stop(self) -> None:
        """Tell of nothing more."""
        if self._task is not None:
            await ended(self._task)
