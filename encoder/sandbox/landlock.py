"""Landlock: the child bound by rules of the kernel, for hosts and containers where bubblewrap is not to be had."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from encoder.sandbox import launcher
from encoder.sandbox.base import MAX_PROCESSES, Limits, SandboxAccess, libraries

LAUNCHER = (sys.executable, "-I", "-S", str(Path(launcher.__file__).resolve()))


@dataclass(frozen=True)
class Landlock:
    """Shuts in by a launcher that gives up every right before it becomes the child: files by Landlock (Linux 5.13),
    sockets and the eyes on other processes by seccomp. Raises OSError where the kernel has no Landlock."""

    limits: Limits
    name: str = "landlock"

    def __post_init__(self) -> None:
        launcher.abi()

    def around(self, command: Sequence[str], reach: SandboxAccess) -> tuple[str, ...]:
        """See Sandbox."""
        limits = (self.limits.cpu_seconds, self.limits.memory_bytes, self.limits.file_bytes, MAX_PROCESSES)
        readable = [str(path) for path in (*libraries(), *reach.readable, Path(command[0])) if path.exists()]
        writable = [str(path) for path in (*reach.writable, *reach.devices)]
        return (*LAUNCHER, ":".join(map(str, limits)), "\n".join(readable), "\n".join(writable), *command)
