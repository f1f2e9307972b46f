"""When calls may be made: a minimum interval for each kind, kept on our side."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping

from servicekit.errors import ResourceExhausted, Unavailable


class KeyRateLimit:
    """At most `per_minute` calls a minute for each key, in bursts of a tenth of that; 0 is no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._burst = max(1.0, per_minute / 10)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> None:
        """Count a call. Raises ResourceExhausted that says when to call again."""
        if not self._rate or not key:
            return
        now = self._clock()
        tokens, at = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        if tokens < 1:
            wait = (1 - tokens) / self._rate
            text = f"Too many calls with this key; try again in {wait:.1f} s."
            again = {"retry_after_seconds": str(math.ceil(wait))}
            raise ResourceExhausted(text, reason="RATE_LIMIT", metadata=again)
        self._buckets[key] = (tokens - 1, now)


class WindowRateLimit:
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


class MinInterval:
    """Turns for calls of several kinds, `intervals` apart (seconds; a kind that is not named has none). Who would wait
    for more than `patience_seconds` is refused instead."""

    def __init__(self, intervals: Mapping[str, float], patience_seconds: float) -> None:
        self._intervals = intervals
        self._patience_seconds = patience_seconds
        self._free_at: dict[str, float] = {}

    async def turn(self, kind: str) -> None:
        """Wait until a call of this kind may be made. Raises Unavailable when that is too far away."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._free_at.get(kind, now))
        if at - now > self._patience_seconds:
            raise Unavailable(f"No call to {kind} may be made for {at - now:.0f} s.", reason="PACE")
        self._free_at[kind] = at + self._intervals.get(kind, 0.0)
        await asyncio.sleep(at - now)

    def rest(self, kind: str, seconds: float) -> None:
        """Make no call of this kind for so long."""
        until = asyncio.get_running_loop().time() + seconds
        self._free_at[kind] = max(self._free_at.get(kind, until), until)
