"""Work folders: one for each task, gone with it, however it ends."""

import asyncio
import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from encoder.sandbox.base import SandboxAccess
from servicekit.config import ConfigError

PREFIX = "task-"
LOCK = ".lock"
RESULT = "result"


@dataclass(frozen=True)
class TaskFolder:
    """A task's own folder, and the file that its result is to be written to."""

    folder: Path
    result: Path

    @property
    def reach(self) -> SandboxAccess:
        """What a child that works on the task may see."""
        return SandboxAccess((self.folder, self.result.parent), ())

    def clear(self, kept: Collection[Path]) -> None:
        """Remove everything but `kept`: a task begins anew. Blocks."""
        for path in {*self.folder.iterdir(), *self.result.parent.iterdir()} - set(kept):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


class Workspace:
    """The folders of one encoder. No two encoders may share them: each sweeps what it finds there at its start."""

    def __init__(self, work_dir: Path, output_dir: Path | None) -> None:
        self._work_dir = work_dir.resolve()
        self._output_dir = output_dir.resolve() if output_dir else self._work_dir

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Lock the folders, and remove what a killed encoder left. Raises ConfigError."""
        with contextlib.ExitStack() as stack:
            for name, folder in {"OUTPUT_DIR": self._output_dir, "WORK_DIR": self._work_dir}.items():
                if name == "OUTPUT_DIR" and folder == self._work_dir:
                    continue
                stack.enter_context(_locked(name, folder))
                for left in folder.glob(f"{PREFIX}*"):
                    shutil.rmtree(left, ignore_errors=True)
            yield

    @contextlib.asynccontextmanager
    async def task(self) -> AsyncIterator[TaskFolder]:
        """A new folder; removed with all that is in it when the block is left."""
        async with contextlib.AsyncExitStack() as stack:
            folder = await stack.enter_async_context(_temporary(self._work_dir))
            results = folder
            if self._output_dir != self._work_dir:
                results = await stack.enter_async_context(_temporary(self._output_dir))
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
def _locked(name: str, folder: Path) -> Iterator[None]:
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
