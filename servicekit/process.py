"""Child processes that cannot outlive their parent, however it ends."""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_setpriv = shutil.which("setpriv")


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command line of a Python module. Without -P it would run files of the current folder in place of
    modules that it imports: a `queue.py` of the user."""
    return [sys.executable, "-P", "-m", module, *arguments]


class TiedCommand(NamedTuple):
    """How to start a child: its command line, and the `preexec_fn` to start it with (None where none is needed)."""

    command: tuple[str, ...]
    preexec: Callable[[], None] | None


def die_with_parent(command: Sequence[str], number: signal.Signals = signal.SIGKILL) -> TiedCommand:
    """The command, so that the kernel sends `number` to the child when the thread that starts it ends (Linux;
    elsewhere nothing happens). Start children from the main thread. Source: prctl(2), PR_SET_PDEATHSIG.

    setpriv (util-linux) is preferred: without a preexec_fn Python starts children by vfork, which is 5 ms faster here
    and runs none of gRPC's fork handlers, which can abort a child. One window stays open with it: a parent that is
    killed in the milliseconds before setpriv has made its request leaves the child alive.
    """
    if _setpriv and _libc is not None:
        return TiedCommand((_setpriv, "--pdeathsig", number.name.removeprefix("SIG"), *command), None)
    return TiedCommand(tuple(command), _arranging(number) if _libc is not None else None)


async def started(command: Sequence[str], **options: Any) -> asyncio.subprocess.Process:
    """Start a tied child in a process group of its own; `options` are those of create_subprocess_exec. Killed when this
    is cancelled: asyncio alone would wait for ever for a child whose pipes it had no time to connect (Python 3.11)."""
    child = die_with_parent(command)
    spawning = asyncio.create_subprocess_exec(*child.command, preexec_fn=child.preexec, process_group=0, **options)
    starting = asyncio.ensure_future(spawning)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            kill(starting.result())
            await starting.result().wait()
        raise


def kill(process: asyncio.subprocess.Process) -> None:
    """End a child of `started` at once, if it has not ended. All of its group goes: a sandbox that is killed while it
    is being set up would leave its inside behind, which waits for ever."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _arranging(number: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def arrange() -> None:
        assert _libc is not None
        _libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died between fork and prctl
            os.kill(os.getpid(), number)

    return arrange
