"""When calls may be made: a minimum interval for each kind, kept on our side."""

import asyncio
from collections.abc import Mapping

from rpc.errors import Unavailable


class Pace:
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
