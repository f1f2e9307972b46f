"""Work folders: one for each task, removed with it, however it ends."""

import asyncio
import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from servicekit.config import ConfigError

PREFIX = "task-"
LOCK = ".lock"
RESULT = "result"


@dataclass(frozen=True)
class TaskFolder:
    """A task's own folder, and the file that its result is to be written to."""

    path: Path
    result: Path

    def clear(self, keep: Collection[Path]) -> None:
        """Remove everything but `keep`, for a task that begins anew. Blocks."""
        for path in {*self.path.iterdir(), *self.result.parent.iterdir()} - set(keep):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Workspace:
    """The folders of one encoder; one can serve for both. No two encoders may share them: each sweeps what it finds
    there at its start."""

    work_dir: Path
    output_dir: Path

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folders, and remove what a killed encoder left. Raises ConfigError."""
        with contextlib.ExitStack() as stack:
            for folder, name in {self.output_dir: "OUTPUT_DIR", self.work_dir: "WORK_DIR"}.items():
                stack.enter_context(_lock(name, folder))
                for left in folder.glob(f"{PREFIX}*"):
                    shutil.rmtree(left, ignore_errors=True)
            yield

    @contextlib.asynccontextmanager
    async def task_folder(self) -> AsyncIterator[TaskFolder]:
        """Make a new folder; it is removed with all that is in it when the block is left."""
        async with contextlib.AsyncExitStack() as stack:
            folder = await stack.enter_async_context(_temporary(self.work_dir))
            results = folder
            if self.output_dir != self.work_dir:
                results = await stack.enter_async_context(_temporary(self.output_dir))
            yield TaskFolder(folder, results / RESULT)


@contextlib.asynccontextmanager
async def _temporary(parent: Path) -> AsyncIterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        yield folder
    finally:
        # Large files take a while to unlink. Shielded, so that a second cancellation leaves nothing behind.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


@contextlib.contextmanager
def _lock(name: str, folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w")
    except OSError as error:
        raise ConfigError(f"{name}={folder}: cannot be written to ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"{name}={folder}: another encoder uses it; give each its own") from error
        yield
