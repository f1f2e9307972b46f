"""The sandboxes, the limits that hold in all of them, and what a child may see from inside."""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from encoder.sandbox import launcher
from servicekit.process import child_environment, library_path

AUTO = "auto"

# Threads count as processes, for all that a user runs; root is not bound by it outside a user namespace.
MAX_PROCESSES = 1024
PROGRAMS = ("bwrap", "prlimit")

# How glibc hands out memory in what runs inside: with the thresholds that it comes to by itself after the first large
# blocks, in larger steps, and of two heaps for all threads, whose pages are new but once. FFmpeg asks for memory a page
# at a time on each of its threads, which takes a tenth of a short run. Source: mallopt(3).
ALLOCATOR = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TOP_PAD_": str(4 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024),
}

# What CUDA takes for granted: without /sys, or where it may not name its threads, it ends with its error 304. Sources:
# those who shut it in and could try: NVIDIA/OpenShell 710 and 1696, nolabs-ai/nono 673, truefoundry/trueforge 466.
SYSTEM = "/sys"
PROCESS = "/proc/self"
THREADS = "/proc/self/task"
MACHINE = ("cpuinfo", "devices", "driver/nvidia*", "filesystems", "meminfo", "modules", "stat", "sys/vm", "version")
DRIVER_VARIABLES = "CUDA_"


@dataclass(frozen=True)
class ProcessLimits:
    """Limits of one FFmpeg: CPU seconds of all threads, bytes of address space, bytes of a file that it writes. Of one
    that may load a driver, which reserves far more address space than it uses, bytes of private memory."""

    cpu_seconds: int
    memory_bytes: int
    file_bytes: int

    @classmethod
    def for_task(cls, task_seconds: float, memory_bytes: int, file_bytes: int) -> "ProcessLimits":
        """Return the limits of a task that may take `task_seconds` of wall time on every core."""
        return cls(int(task_seconds * (os.cpu_count() or 1)) + 1, memory_bytes, file_bytes)

    def prlimit_options(self, *, driver: bool = False) -> tuple[str, ...]:
        """Return the options of prlimit(1) that set them."""
        return (
            f"--cpu={self.cpu_seconds}:{self.cpu_seconds + launcher.CPU_GRACE_SECONDS}",
            f"--{'data' if driver else 'as'}={self.memory_bytes}",
            f"--fsize={self.file_bytes}",
            f"--nproc={MAX_PROCESSES}",
            "--core=0",
        )


@dataclass(frozen=True)
class SandboxAccess:
    """All that a child may see beside the system's libraries: folders that it may write to, files or folders that it
    may read. Paths are the same inside; links are followed, and must lead to what is here.

    With `devices`, be they none, it may load the driver of a graphics card: it may use these device files, and gets
    what CUDA takes for granted and nothing more. That is the description of the machine and of itself to read, in /sys
    and /proc, the names of its own threads to write, as much address space as it wants, and the driver's variables."""

    writable: tuple[Path, ...]
    readable: tuple[Path, ...]
    devices: tuple[Path, ...] | None = None
    # Where the first folder that it may write to lies when the child is started, if it is renamed only then.
    begins_at: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the first folder that it may write to lies when it is started."""
        return self.begins_at or self.writable[0]

    def source(self, path: Path) -> Path:
        """Return where a folder that it may write to lies when it is started."""
        return self.folder if path == self.writable[0] else path

    @property
    def has_driver(self) -> bool:
        """True where the child may load the driver of a graphics card."""
        return self.devices is not None


@dataclass(frozen=True)
class Sandbox(ABC):
    """Isolates a child process. `name` is that in the setting SANDBOX, in the log, `doctor` and GetCapabilities."""

    limits: ProcessLimits
    name: ClassVar[str]
    # True where it can have a library loaded before a command.
    preloads: ClassVar[bool] = False

    def __post_init__(self) -> None:  # noqa: B027
        """Raise OSError where it cannot work on this machine."""

    @abstractmethod
    def wrap(self, command: Sequence[str], access: SandboxAccess, preload: Path | None = None) -> tuple[str, ...]:
        """Return the command line that runs `command` (its first word an absolute path) inside the sandbox, where that
        `preloads` with a library of ours that is loaded before it."""


class Bubblewrap(Sandbox):
    """Runs the child in namespaces of its own, by bwrap(1) of the package bubblewrap: it sees no network, and no file
    but those that it may access. Limits by prlimit(1) of util-linux.

    Raises FileNotFoundError where one of the two is not installed.
    """

    name = "bubblewrap"
    preloads = True

    def __post_init__(self) -> None:
        for program in PROGRAMS:
            if shutil.which(program) is None:
                raise FileNotFoundError(f"{program} is not installed")

    def wrap(self, command: Sequence[str], access: SandboxAccess, preload: Path | None = None) -> tuple[str, ...]:
        bwrap, prlimit = (str(shutil.which(program)) for program in PROGRAMS)
        # Without --new-session: whoever starts it makes a session of it, and then the inner process, which until it is
        # set up does not die with its parent, is in the process group that is killed.
        options = ["--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--clearenv"]
        if folders := library_path():
            options += ["--setenv", "LD_LIBRARY_PATH", folders]
        for name, value in ALLOCATOR.items():
            options += ["--setenv", name, value]
        if preload is not None:
            options += ["--setenv", launcher.PRELOAD, str(preload)]
        options += ["--dev", "/dev"]
        readable = dict.fromkeys((*library_paths(), *access.readable, *([preload] if preload is not None else [])))
        for path in readable:
            if path.is_symlink() and path.resolve() in readable:  # as /lib is, where it is that of /usr
                # Of what is inside: what is bound beneath such a link is looked up before that is the root.
                options += ["--symlink", os.path.relpath(path.resolve(), path.parent), str(path)]
            else:
                options += ["--ro-bind", str(path.resolve()), str(path)]
        for path in dict.fromkeys(access.writable):
            options += ["--bind", str(access.source(path)), str(path)]
        if access.devices is not None:
            options += _driver_options(access.devices)
        if access.writable:
            options += ["--chdir", str(access.writable[0])]
        options += ["--ro-bind", command[0], command[0], "--remount-ro", "/"]
        limits = self.limits.prlimit_options(driver=access.has_driver)
        return (prlimit, *limits, bwrap, *options, "--", *command)


class Landlock(Sandbox):
    """Runs the child by a launcher that gives up every right first, for hosts and containers without bubblewrap: files
    by Landlock (Linux 5.13), sockets and access to other processes by seccomp. Raises OSError where the kernel has no
    Landlock."""

    name = "landlock"
    preloads = True

    def __post_init__(self) -> None:
        launcher.abi()

    def wrap(self, command: Sequence[str], access: SandboxAccess, preload: Path | None = None) -> tuple[str, ...]:
        limits = (self.limits.cpu_seconds, self.limits.memory_bytes, self.limits.file_bytes, MAX_PROCESSES)
        readable = [*library_paths(), *access.readable, Path(command[0])]
        if preload is not None:
            readable.append(preload)
        writable = [*map(access.source, access.writable)]
        if access.devices is not None:
            found = [path for name in MACHINE for path in Path("/proc").glob(name)]
            readable += [Path(SYSTEM), Path(PROCESS), *found]
            writable += [Path(THREADS), *access.devices]
        return (
            *launcher.COMMAND,
            *(["--driver"] if access.has_driver else []),
            *(["--preload", str(preload)] if preload is not None else []),
            ":".join(map(str, limits)),
            "\n".join(str(path) for path in readable if path.exists()),
            "\n".join(map(str, writable)),
            *command,
        )


class NoSandbox(Sandbox):
    """Lets the child see what the encoder sees, where there is neither bubblewrap nor Landlock; limits where the system
    has prlimit."""

    name = "none"

    def wrap(self, command: Sequence[str], access: SandboxAccess, preload: Path | None = None) -> tuple[str, ...]:
        prlimit = shutil.which("prlimit")
        limits = self.limits.prlimit_options(driver=access.has_driver)
        return (prlimit, *limits, *command) if prlimit else tuple(command)


def _driver_options(devices: Sequence[Path]) -> list[str]:
    """Return the options of bwrap(1) for a child that may load a driver. The processes of its own namespace are all
    that it finds in /proc; what belongs to the whole machine there, and root may write to, can be read alone."""
    options = ["--proc", "/proc"]
    for path in (SYSTEM, *_settable_in_proc()):
        options += ["--ro-bind", path, path]
    for device in devices:
        options += ["--dev-bind", str(device), str(device)]
    for name, value in child_environment().items():
        if name.startswith(DRIVER_VARIABLES):
            options += ["--setenv", name, value]
    return options


def _settable_in_proc() -> list[str]:
    """Return what in /proc belongs to no process and may have something to write to."""
    with os.scandir("/proc") as entries:
        return sorted(entry.path for entry in entries if not entry.name.isdigit() and _is_settable(entry))


def _is_settable(entry: "os.DirEntry[str]") -> bool:
    if entry.is_symlink():
        return False
    return entry.is_dir() or bool(entry.stat().st_mode & 0o222)


SANDBOXES: dict[str, type[Sandbox]] = {"bubblewrap": Bubblewrap, "landlock": Landlock, "none": NoSandbox}
"""By the name in the setting SANDBOX, the strictest first; `auto` takes the first that works."""


def library_paths() -> tuple[Path, ...]:
    """Return the folders and files that dynamic linking reads."""
    configured = (Path(folder) for folder in library_path().split(":") if folder)
    system = (Path(name) for name in ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"))
    return tuple(path for path in (*system, *configured) if path.exists())
