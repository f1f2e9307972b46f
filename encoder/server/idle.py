"""Callers: when somebody last had a use for this encoder. One that nobody calls any more costs its rent for nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from servicekit.interceptors import QUIET, AroundCall, Context


class IdleMonitor:
    """Counts the calls that are open, and knows when the last one ended; probes of health are none."""

    def __init__(self) -> None:
        self._open = 0
        self._last_at = time.monotonic()

    def counted(self) -> AroundCall:
        """An interceptor, to stand behind the gate: who is not let in does not count."""

        @asynccontextmanager
        async def around(method: str, context: Context) -> AsyncIterator[None]:
            if method.startswith(QUIET):
                yield
                return
            self._open += 1
            try:
                yield
            finally:
                self._open -= 1
                self._last_at = time.monotonic()

        return AroundCall(around)

    async def stay_away(self, seconds: float) -> None:
        """Returns once no call has been open for `seconds`; 0: never."""
        if not seconds:
            await asyncio.Event().wait()
        left = seconds
        while left > 0:
            await asyncio.sleep(left)
            left = self._since() + seconds - time.monotonic()

    def _since(self) -> float:
        return time.monotonic() if self._open else self._last_at
