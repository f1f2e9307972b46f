"""Work folders: one for each task, removed with it, however it ends."""

import asyncio
import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from encoder.planning.protocol import SAMPLE_PREFIX
from encoder.sandbox.sandboxes import SandboxAccess
from servicekit.config import ConfigError
from servicekit.disk import DiskFloor

PREFIX, AHEAD_PREFIX = "task-", "ahead-"
PREFIXES = (PREFIX, AHEAD_PREFIX, SAMPLE_PREFIX)
LOCK = ".lock"
RESULT = "result"
FULL_TEXT = "The disk of the encoder is full; try another encoder, or later."


@dataclass(frozen=True)
class TaskFolder:
    """A task's own folder, and the file that its result is to be written to."""

    path: Path
    result: Path
    floors: Sequence[DiskFloor] = ()

    @property
    def access(self) -> SandboxAccess:
        """All that what works on the task may see of files."""
        return SandboxAccess((self.path, self.result.parent), ())

    def check_room(self) -> None:
        """Raise ResourceExhausted (DISK_FULL) once a disk has less than half of what must be free for a task to
        begin."""
        for floor in self.floors:
            floor.check(share=0.5)

    def clear(self, keep: Collection[Path]) -> None:
        """Remove everything but `keep`, for a task that begins anew. Blocks."""
        for path in {*self.path.iterdir(), *self.result.parent.iterdir()} - set(keep):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


@dataclass
class FolderAhead:
    """A folder that was made ahead of its task. Its name is that of the task's folder once it has begun."""

    name: str
    parent: Path
    has_begun: bool = False

    @property
    def access(self) -> SandboxAccess:
        """All that what is started ahead may see of files then."""
        return SandboxAccess((self.parent / f"{PREFIX}{self.name}",), (), begins_at=self.path)

    @property
    def path(self) -> Path:
        """Where it lies now."""
        return self.parent / f"{PREFIX if self.has_begun else AHEAD_PREFIX}{self.name}"

    def begin(self) -> None:
        """Have it be the folder of a task. Raises OSError."""
        old = self.path
        self.has_begun = True
        try:
            old.rename(self.path)
        except OSError:
            self.has_begun = False
            raise


@dataclass(frozen=True)
class Workspace:
    """The folders of one encoder; one can serve for both. No two encoders may share them: each sweeps what it finds
    there at its start."""

    work_dir: Path
    output_dir: Path
    min_free_bytes: int | None = None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folders, and remove what a killed encoder left. Raises ConfigError."""
        with contextlib.ExitStack() as stack:
            for folder, name in {self.output_dir: "OUTPUT_DIR", self.work_dir: "WORK_DIR"}.items():
                stack.enter_context(_lock(name, folder))
                for left in (path for prefix in PREFIXES for path in folder.glob(f"{prefix}*")):
                    shutil.rmtree(left, ignore_errors=True)
            yield

    @property
    def has_room(self) -> bool:
        """False while tasks are refused for want of space."""
        return all(floor.has_room() for floor in self._floors)

    @property
    def _floors(self) -> list[DiskFloor]:
        return [DiskFloor(path, self.min_free_bytes, FULL_TEXT) for path in {self.work_dir, self.output_dir}]

    @contextlib.asynccontextmanager
    async def folder_ahead(self) -> AsyncIterator[FolderAhead]:
        """Make a folder for a task to come; it is removed with all that is in it when the block is left. Raises
        OSError."""
        made = Path(tempfile.mkdtemp(prefix=AHEAD_PREFIX, dir=self.work_dir))
        folder = FolderAhead(made.name.removeprefix(AHEAD_PREFIX), self.work_dir)
        try:
            yield folder
        finally:
            await _remove(folder.path)

    @contextlib.asynccontextmanager
    async def task_folder(self, made: FolderAhead | None = None) -> AsyncIterator[TaskFolder]:
        """Make a new folder, which is removed with all that is in it when the block is left, unless one was `made`
        ahead, which begins here. Raises ResourceExhausted (DISK_FULL) where the disk is full, or becomes so in the
        block."""
        floors = self._floors
        with floors[0].full_disk_errors():
            for floor in floors:
                floor.check()
            if made is not None:
                made.begin()
                yield TaskFolder(made.path, made.path / RESULT, floors)
                return
            async with self._folders(floors) as folder:
                yield folder

    @contextlib.asynccontextmanager
    async def _folders(self, floors: Sequence[DiskFloor]) -> AsyncIterator[TaskFolder]:
        async with contextlib.AsyncExitStack() as stack:
            folder = await stack.enter_async_context(_temporary(self.work_dir))
            results = folder
            if self.output_dir != self.work_dir:
                results = await stack.enter_async_context(_temporary(self.output_dir))
            yield TaskFolder(folder, results / RESULT, floors)


@contextlib.asynccontextmanager
async def _temporary(parent: Path) -> AsyncIterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        yield folder
    finally:
        await _remove(folder)


async def _remove(folder: Path) -> None:
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
