"""Child processes that cannot outlive their parent, however it ends."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def dies_with_parent(number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """A `preexec_fn`: the kernel sends `number` to the child when the thread that started it ends (Linux; elsewhere
    nothing happens). Start children from the main thread. Source: prctl(2), PR_SET_PDEATHSIG."""
    parent = os.getpid()

    def arrange() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(number))
            if os.getppid() != parent:  # it died between fork and prctl
                os.kill(os.getpid(), number)

    return arrange
