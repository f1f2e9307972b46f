"""Exponential backoff: how long to wait after a failure before the next attempt."""

import random
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from `first_seconds` up to `max_seconds`.

    `jitter` (0 to 1) is the share of a pause that chance may take off: processes that failed together must not come
    back together.
    """

    first_seconds: float
    max_seconds: float
    jitter: float = 0.5

    def pause_seconds(self, failures: int) -> float:
        """Return the seconds to wait after the given number of failures in a row (1: the first one)."""
        doubled = self.first_seconds * 2.0 ** min(max(failures, 1) - 1, 60)
        return min(doubled, self.max_seconds) * random.uniform(1.0 - self.jitter, 1.0)


@dataclass
class Cooldowns:
    """Names that failed and are left alone for a while, longer after each failure. Times are seconds of any one clock.

    The first `free` failures cost no pause. A name whose cooldown ended `forget_seconds` ago (`backoff.max_seconds`
    where none are given) begins anew. Of more than `max_names` the one that failed longest ago is forgotten.
    """

    backoff: Backoff
    free: int = 0
    forget_seconds: float | None = None
    max_names: int | None = None
    _entries: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, name: str, now: float) -> float:
        """Count a failure of the name; return the seconds that it is left alone for."""
        until, failures = self._entries.pop(name, (now, 0))
        failures = failures + 1 if now - until < self._forget_seconds else 1
        seconds = self.backoff.pause_seconds(failures - self.free) if failures > self.free else 0.0
        self._entries[name] = (now + seconds, failures)
        if self.max_names is not None and len(self._entries) > self.max_names:
            del self._entries[next(iter(self._entries))]
        return seconds

    def clear(self, name: str) -> None:
        """Forget the failures of a name that succeeded."""
        self._entries.pop(name, None)

    def active(self, now: float) -> list[str]:
        """Return the names that are left alone now."""
        return [name for name in self._entries if self.is_active(name, now)]

    def is_active(self, name: str, now: float) -> bool:
        return self.remaining_seconds(name, now) > 0

    def remaining_seconds(self, name: str, now: float) -> float:
        """Return the seconds that the name is still left alone for; 0 where it is not."""
        return max(0.0, self._entries[name][0] - now) if name in self._entries else 0.0

    def failures(self, name: str) -> int:
        """Return the failures of the name that are remembered."""
        return self._entries[name][1] if name in self._entries else 0

    def prune(self, now: float) -> None:
        """Drop the names that would begin anew anyway."""
        self._entries = {name: entry for name, entry in self._entries.items() if now - entry[0] < self._forget_seconds}

    @property
    def _forget_seconds(self) -> float:
        return self.backoff.max_seconds if self.forget_seconds is None else self.forget_seconds
