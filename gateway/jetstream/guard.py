"""The guard of the store: it keeps JetStream writable through a full disk, and knows whether it is.

A nats-server whose write fails for want of space refuses all further ones to that stream, space or none, until it is
restarted (2.15.1). So the embedded one has a reserve: a file beside its store that is given up when the disk runs full.
When a write fails all the same, it is tried anew once there is space, and the server is restarted if it still refuses.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from gateway.jetstream.connection import JetStream
from servicekit.backoff import Backoff
from servicekit.disk import MIB, DiskFloor
from servicekit.tasks import cancel_and_wait, repeat

log = structlog.get_logger("gateway.jetstream")

CHECK_SECONDS = 1.0
MAX_RESERVE_BYTES = 32 * MIB
RESTARTS = Backoff(first_seconds=5.0, max_seconds=120.0, jitter=0.2)
FULL = "the disk is full"
LOW = "the disk has little space left; uploads are refused"
NOT_WRITABLE = "the store of jobs takes no writes"


class Reserve:
    """Space that is taken from the disk in advance, as a file, and given back when the disk is full."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self.size_bytes = size_bytes

    @classmethod
    def of(cls, folder: Path, floor: DiskFloor) -> "Reserve":
        """Return the reserve of the embedded server in `folder`."""
        return cls(folder / "reserve", min(floor.floor_bytes // 2, MAX_RESERVE_BYTES))

    @property
    def critical_bytes(self) -> int:
        """With less free than this, the space is given back."""
        return self.size_bytes // 2

    @property
    def is_held(self) -> bool:
        """True while the space is taken."""
        return self._path.exists()

    def take(self) -> None:
        """Take the space; none where the file system cannot, or has not enough."""
        if self.is_held or not hasattr(os, "posix_fallocate"):
            return
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self.size_bytes)
        except OSError as error:
            self.release()
            log.warning("cannot reserve space for the store", error=error.strerror)

    def release(self) -> None:
        """Give the space back."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def make_room(folder: Path, floor: DiskFloor) -> None:
    """Give the reserve back where the disk is too full for the embedded server to start."""
    reserve = Reserve.of(folder, floor)
    if floor.free_bytes < reserve.critical_bytes:
        reserve.release()


class StoreGuard:
    """Watches the disk and the writes of the store. `problem` is what is wrong now, in words for operators; "" while
    all is well."""

    def __init__(self, jetstream: JetStream, floor: DiskFloor, folder: Path) -> None:
        """Guard the store; `folder` is that of the embedded server, if there is one."""
        self.problem = ""
        # Called whenever `problem` changed.
        self.on_change: list[Callable[[], Awaitable[None]]] = []
        self._jetstream = jetstream
        self.floor = floor
        self._reserve = Reserve.of(folder, floor)
        self._in_doubt = False
        self._restarts = 0
        self._next_restart_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(repeat("cannot check the store", CHECK_SECONDS, self.check))

    async def stop(self) -> None:
        """End the watch. The reserve stays, for a start on a full disk."""
        if self._task is not None:
            await cancel_and_wait(self._task)

    def check_room(self) -> None:
        """Raise ResourceExhausted for a new job while the store has nothing but what running jobs need."""
        if self.floor.free_bytes < self._critical_bytes and not self._reserve.is_held:
            raise self.floor.refusal()

    async def check(self) -> None:
        """Look at the disk once, and at the store where there is doubt."""
        problem = await self._find_problem()
        if problem == self.problem:
            return
        if problem:
            log.warning("the store is in trouble", error=problem)
        else:
            log.info("the store is well again")
        self.problem = problem
        for callback in self.on_change:
            await callback()

    @property
    def is_writable(self) -> bool:
        """True unless new jobs could not be stored."""
        return self.problem in ("", LOW)

    @property
    def _critical_bytes(self) -> int:
        return self._reserve.critical_bytes if self._jetstream.server else 0

    async def _find_problem(self) -> str:
        self._manage_reserve()
        free_bytes = self.floor.free_bytes
        if free_bytes < self._critical_bytes:
            self._in_doubt = True  # a write may fail meanwhile; none is tried, as it would be the one that fails
            return FULL
        self._in_doubt = self._in_doubt or self._jetstream.write_failed.is_set()
        if self._in_doubt and not await self._is_writable():
            return NOT_WRITABLE
        return LOW if free_bytes < self.floor.floor_bytes else ""

    def _manage_reserve(self) -> None:
        if not self._jetstream.server:
            return
        free_bytes = self.floor.free_bytes
        if free_bytes < self._critical_bytes and self._reserve.is_held:
            self._reserve.release()
            log.warning("disk is full; the store lives on its reserve", reserve_bytes=self._reserve.size_bytes)
        elif free_bytes > self.floor.floor_bytes + self._reserve.size_bytes:
            self._reserve.take()

    async def _is_writable(self) -> bool:
        """Try a write to every bucket; restart the embedded server where one fails though there is space."""
        self._jetstream.write_failed.clear()
        if await self._jetstream.can_write():
            self._in_doubt, self._restarts = False, 0
            return True
        self._in_doubt = True
        now = time.monotonic()
        server = self._jetstream.server
        if server and self._jetstream.is_connected and now >= self._next_restart_at:
            self._restarts += 1
            self._next_restart_at = now + RESTARTS.pause_seconds(self._restarts)
            log.warning("nats-server refuses writes; restarting it")
            server.restart()
        return False
