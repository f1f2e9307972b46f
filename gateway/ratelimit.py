"""Rate limits: on calls that clients make, which are refused, and on calls that we make to a provider, which wait."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from servicekit.errors import ResourceExhausted, Unavailable

MAX_RETRY_AFTER_SECONDS = 60.0


class KeyRateLimit:
    """Limit calls to `per_minute` for each key, in bursts of a tenth of that; 0 is no limit."""

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
            text = f"Too many calls with this key; try again in {math.ceil(wait * 10) / 10:.1f} s."
            raise ResourceExhausted(text, reason="RATE_LIMIT", retry_seconds=wait)
        self._buckets[key] = (tokens - 1, now)


class CallRateLimit:
    """Hold calls of one kind to at most `calls` in any `seconds`, in the order in which they ask for a turn."""

    def __init__(self, calls: int, seconds: float, max_wait_seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._max_wait_seconds = max_wait_seconds
        # Times of the last turns, those too that are still waited for.
        self._turns: deque[float] = deque(maxlen=calls)
        self._paused_until = 0.0

    async def turn(self) -> None:
        """Wait until a call may be made. Raises Unavailable if that is more than `max_wait_seconds` away."""
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            is_full = len(self._turns) == self._turns.maxlen
            at = max(now, self._paused_until, self._turns[0] + self._seconds if is_full else now)
            if at - now > self._max_wait_seconds:
                text = f"The provider's rate limit allows no call for {at - now:.0f} s."
                raise Unavailable(text, reason="PACE", retry_seconds=at - now)
            self._turns.append(at)
            await asyncio.sleep(at - now)
            if self._paused_until <= at:  # else a pause began meanwhile: queue again, or all would go on at its end
                return

    def pause(self, seconds: float) -> None:
        """Let nobody have a turn for so long: the provider asked for it."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)


def retry_after_seconds(header: str, default_seconds: float) -> float:
    """Return the seconds of a Retry-After header, which may be a date; at most MAX_RETRY_AFTER_SECONDS."""
    try:
        is_number = header.strip().replace(".", "", 1).isdecimal()
        seconds = float(header) if is_number else parsedate_to_datetime(header).timestamp() - time.time()
    except (ValueError, OverflowError):
        seconds = default_seconds
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
