"""Work in the background that surely ends, and a watch on a bucket as such."""

import asyncio

from gateway.engine.keyvalue import Changed, KeyValue

ASK_AGAIN_SECONDS = 0.2


async def ended(*tasks: "asyncio.Task[None]") -> None:
    """End tasks. A cancel may get lost in a wait_for (Python 3.11), so it is said again until it is heard."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=ASK_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


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
