"""Child processes that cannot outlive their parent, however the parent ends."""

import asyncio
import contextlib
import ctypes
import functools
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

# What a child gets of this process's environment: where programs, libraries and folders are, language and time, and
# what the driver of a card and Python read. Keys live in the environment too, so that all else stays here.
INHERITED = (
    *("HOME", "LANG", "LANGUAGE", "PATH", "TMPDIR", "TZ"),
    "MALLOC_ARENA_MAX",
    *("NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_VISIBLE_DEVICES"),
)
INHERITED_PREFIXES = ("LC_", "CUDA_", "PYTHON")

# Where the dynamic linker looks first.
LIBRARY_PATHS = ("DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH")

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_setpriv = shutil.which("setpriv")


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command line of a Python module. Without -P it would run files of the current folder in place of
    modules that it imports: a `queue.py` of the user."""
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment(*names: str, **values: str) -> dict[str, str]:
    """Return the environment of a child: of this process's own what INHERITED and `names` tell (a name with an
    asterisk at its end is a prefix), in any case of letters; and `values`."""
    exact = {*INHERITED, *names}
    prefixes = (*INHERITED_PREFIXES, *(name[:-1] for name in names if name.endswith("*")))
    found = {
        name: value for name, value in os.environ.items() if name.upper() in exact or name.upper().startswith(prefixes)
    }
    found |= {name: folders for name in LIBRARY_PATHS if (folders := library_path(name))}
    return found | values


def library_path(name: str = "LD_LIBRARY_PATH") -> str:
    """Return the folders of such a variable, without those that it has no full path of: an empty part, as OpenCV leaves
    one, stands for the current folder, which for some children is one with files of callers."""
    return os.pathsep.join(folder for folder in os.environ.get(name, "").split(os.pathsep) if os.path.isabs(folder))


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class TiedCommand(NamedTuple):
    """Command line of a child, and the `preexec_fn` to start it with (None where none is needed)."""

    command: tuple[str, ...]
    preexec: Callable[[], None] | None


def die_with_parent(command: Sequence[str], number: signal.Signals = signal.SIGKILL) -> TiedCommand:
    """Return the command for a child to which the kernel sends `number` when the thread that starts it ends.

    Linux only; elsewhere the command is returned as it is. Start children from the main thread. Source: prctl(2),
    PR_SET_PDEATHSIG.

    setpriv (util-linux) is preferred: without a preexec_fn Python starts children by vfork, which is 5 ms faster here
    and runs none of gRPC's fork handlers, which can abort a child. One gap remains: a parent that is killed in the
    milliseconds before setpriv has made its request leaves the child alive.
    """
    if _setpriv and _libc is not None:
        return TiedCommand((_setpriv, "--pdeathsig", number.name.removeprefix("SIG"), *command), None)
    return TiedCommand(tuple(command), _preexec(number) if _libc is not None else None)


async def spawn(
    command: Sequence[str], death_signal: signal.Signals = signal.SIGKILL, **options: Any
) -> asyncio.subprocess.Process:
    """Start a child that gets `death_signal` when its parent dies, in a session, and so a process group, and with an
    environment of its own (child_environment, unless `options` have another); `options` go to create_subprocess_exec.

    A cancel kills the child: asyncio alone would wait for ever for a child whose pipes it had no time to connect
    (Python 3.11).
    """
    child = die_with_parent(command, death_signal)
    options.setdefault("env", child_environment())
    spawning = asyncio.create_subprocess_exec(
        *child.command, preexec_fn=child.preexec, start_new_session=True, **options
    )
    starting = asyncio.ensure_future(spawning)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            kill_group(starting.result())
            await starting.result().wait()
        raise


def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill a child of `spawn` and its process group, unless the child has ended.

    The whole group, because a sandbox that is killed during its setup would leave its inner process waiting for ever.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _preexec(number: signal.Signals) -> Callable[[], None]:
    return functools.partial(request_death_signal, os.getpid(), number)


def request_death_signal(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send this process, which `parent` has just forked, a signal when the parent's thread ends. Does
    nothing but on Linux."""
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:  # the parent died between fork and prctl
        os.kill(os.getpid(), number)
