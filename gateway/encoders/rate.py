"""Keeps calls to a provider under its rate, on our side, so that it need not refuse them."""

import asyncio
from collections import deque


class Rate:
    """At most `calls` in any `seconds`; who is over them waits for a turn."""

    def __init__(self, calls: int, seconds: float) -> None:
        self._calls = calls
        self._seconds = seconds
        self._times: deque[float] = deque()
        self._paused_until = 0.0

    async def turn(self) -> None:
        """Wait until a call may be made, and count it."""
        while (wait := self._wait()) > 0:  # noqa: ASYNC110 - a time is waited for, not an event
            await asyncio.sleep(wait)
        self._times.append(asyncio.get_running_loop().time())

    def pause(self, seconds: float) -> None:
        """The provider asks for patience: no turn for so long."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)

    def _wait(self) -> float:
        now = asyncio.get_running_loop().time()
        while self._times and self._times[0] <= now - self._seconds:
            self._times.popleft()
        full_until = self._times[0] + self._seconds if len(self._times) >= self._calls else 0.0
        return max(full_until, self._paused_until) - now
