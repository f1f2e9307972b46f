"""Room on disks: a floor of free space below which files are refused, so that what must be written still can be."""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from servicekit.errors import ResourceExhausted

MIB = 1024**2
FULL = (errno.ENOSPC, errno.EDQUOT)
# Without a setting: a share of the file system, and no more than so much of it.
FLOOR_SHARE = 20
MAX_FLOOR_BYTES = 512 * MIB
RETRY_SECONDS = 60


@dataclass(frozen=True)
class DiskFloor:
    """The file system of a folder, of which `min_free_bytes` stay free (None: a twentieth, 512 MiB at most).

    `text` and `reason` are those of the refusal. The folder need not exist yet.
    """

    folder: Path
    min_free_bytes: int | None = None
    text: str = "The disk is full; try again later."
    reason: str = "DISK_FULL"

    def check(self, size_bytes: int = 0, *, share: float = 1.0) -> None:
        """Raise ResourceExhausted if writing so many bytes would leave less free than `share` of the floor."""
        if not self.has_room(share, size_bytes):
            raise self.refusal()

    def has_room(self, share: float = 1.0, size_bytes: int = 0) -> bool:
        """Return True if so many bytes more would leave `share` of the floor free."""
        return self.free_bytes - max(size_bytes, 0) >= self.floor_bytes * share

    def refusal(self) -> ResourceExhausted:
        """Return the error of a full disk."""
        return ResourceExhausted(self.text, reason=self.reason, retry_seconds=RETRY_SECONDS)

    @contextlib.contextmanager
    def full_disk_errors(self) -> Iterator[None]:
        """Raise ResourceExhausted for what the system raises in the block when the disk, or a quota, is full."""
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise self.refusal() from error
            raise

    @property
    def free_bytes(self) -> int:
        """Return the bytes that this process may still write."""
        found = self._statvfs()
        return found.f_bavail * found.f_frsize

    @property
    def size_bytes(self) -> int:
        """Return the bytes of the file system."""
        found = self._statvfs()
        return found.f_blocks * found.f_frsize

    @property
    def floor_bytes(self) -> int:
        """Return the bytes that stay free."""
        if self.min_free_bytes is not None:
            return self.min_free_bytes
        found = self._statvfs()
        return min(found.f_blocks * found.f_frsize // FLOOR_SHARE, MAX_FLOOR_BYTES)

    def _statvfs(self) -> os.statvfs_result:
        folder = self.folder.absolute()
        while True:
            try:
                return os.statvfs(folder)
            except FileNotFoundError:
                if folder == folder.parent:
                    raise
                folder = folder.parent
