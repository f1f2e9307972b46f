"""What is made ready for the next task while none runs: its folder, and an FFmpeg that waits in it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from encoder.ffmpeg.ahead import StartedAhead, started_ahead
from encoder.ffmpeg.process import Ffmpeg
from encoder.tasks.slots import Slots
from encoder.tasks.workspace import FolderAhead, TaskFolder, Workspace
from servicekit.tasks import log_and_continue

# So long after the last task, so that it takes no time from what still ends; after what the two servers fork ahead.
IDLE_SECONDS = 0.04


@dataclass(frozen=True)
class Ready:
    """A folder, the FFmpeg that waits in it, and what ends both."""

    folder: FolderAhead
    ahead: StartedAhead
    ending: contextlib.AsyncExitStack


@dataclass
class Readiness:
    """Has folder and FFmpeg for one task ready, which `keep` makes while it runs."""

    workspace: Workspace
    ffmpeg: Ffmpeg
    slots: Slots
    _ready: Ready | None = field(default=None, init=False)
    _is_due: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @contextlib.asynccontextmanager
    async def task_folder(self, *, encodes: bool) -> AsyncIterator[tuple[TaskFolder, StartedAhead | None]]:
        """Return the folder of a task, and the FFmpeg that waits there, or is being started, for one that is likely to
        have it encode. Raises what Workspace.task_folder raises."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._is_due.set)
            if not encodes:
                yield await stack.enter_async_context(self.workspace.task_folder()), None
                return
            ready, self._ready = self._ready, None
            if ready is not None:
                await stack.enter_async_context(ready.ending)
                if ready.folder.path.is_dir():  # unless someone has cleaned up there
                    yield await stack.enter_async_context(self.workspace.task_folder(ready.folder)), ready.ahead
                    return
            folder = await stack.enter_async_context(self.workspace.task_folder())
            starting = started_ahead(self.ffmpeg, folder.access, self.slots.take_out)
            yield folder, await stack.enter_async_context(starting)

    async def keep(self) -> None:
        """Make what is missing ready whenever no task has run for a moment, until cancelled; then end it."""
        self._is_due.set()
        try:
            while True:
                await self._is_due.wait()
                self._is_due.clear()
                await asyncio.sleep(IDLE_SECONDS)
                if self._ready is None and not (self.slots.busy or self.slots.is_closed):
                    with log_and_continue("cannot make a folder ready for the next task"):
                        self._ready = await self._make()
        finally:
            if self._ready is not None:
                await self._ready.ending.aclose()

    async def _make(self) -> Ready | None:
        """Return what is ready once FFmpeg waits: before that it may not have looked up the folder, which a task
        renames."""
        async with contextlib.AsyncExitStack() as stack:
            folder = await stack.enter_async_context(self.workspace.folder_ahead())
            starting = started_ahead(self.ffmpeg, folder.access, self.slots.take_out)
            ahead = await stack.enter_async_context(starting)
            return Ready(folder, ahead, stack.pop_all()) if await ahead.waits() else None
