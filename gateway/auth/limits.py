"""How often a key may call: a token bucket each."""

import math
import time
from collections.abc import Callable

from rpc.errors import ResourceExhausted


class RateLimit:
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
