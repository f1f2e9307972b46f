"""What every sandbox must offer, and the limits that hold in all of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Threads count as processes, for all that a user runs; root is not bound by it outside a user namespace.
MAX_PROCESSES = 1024


@dataclass(frozen=True)
class Limits:
    """What one FFmpeg may use: CPU seconds of all threads, bytes of address space, bytes of a file that it writes."""

    cpu_seconds: int
    memory_bytes: int
    file_bytes: int

    @classmethod
    def of(cls, task_seconds: float, memory_bytes: int, file_bytes: int) -> "Limits":
        """The limits of a task that may take `task_seconds` of wall time on every core."""
        return cls(int(task_seconds * (os.cpu_count() or 1)) + 1, memory_bytes, file_bytes)

    def prlimit(self) -> tuple[str, ...]:
        """The options of prlimit(1) that set them."""
        return (
            f"--cpu={self.cpu_seconds}",
            f"--as={self.memory_bytes}",
            f"--fsize={self.file_bytes}",
            f"--nproc={MAX_PROCESSES}",
            "--core=0",
        )


@dataclass(frozen=True)
class SandboxAccess:
    """All that a child may see beside the system's libraries: folders that it may write to, files or folders that it
    may read, device files that it may use. Paths are the same inside; links are followed, and must lead to what is
    here."""

    writable: tuple[Path, ...]
    readable: tuple[Path, ...]
    devices: tuple[Path, ...] = ()


class Sandbox(Protocol):
    """Shuts a child in."""

    name: str
    """Name in the setting SANDBOX, in the log, `doctor` and GetCapabilities."""

    def around(self, command: Sequence[str], reach: SandboxAccess) -> tuple[str, ...]:
        """The command line that runs `command` (its first word an absolute path), shut in."""
        ...


def libraries() -> tuple[Path, ...]:
    """Folders and files that dynamic linking reads."""
    named = (Path(folder) for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder)
    system = (Path(name) for name in ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"))
    return tuple(path for path in (*system, *named) if path.exists())
