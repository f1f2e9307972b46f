"""What a client prefers of the way it is answered, by the header Prefer. Source: RFC 7240."""

import re
from dataclasses import dataclass

from starlette.datastructures import Headers

RESPOND_ASYNC, WAIT = "respond-async", "wait"
# Field of requests of methods that can wait.
WAIT_FIELD = "wait_seconds"
# A call that waits longer is cut by proxies and tools.
MAX_WAIT_SECONDS = 300
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Preferences:
    """Preferences that are known here. `wait_seconds` is None without one, and at most MAX_WAIT_SECONDS."""

    respond_async: bool = False
    wait_seconds: int | None = None

    @classmethod
    def parse(cls, headers: Headers) -> "Preferences":
        """Return the preferences of a request. What is unknown or malformed counts as not said, as the RFC asks."""
        found: dict[str, str] = {}
        for preference in ",".join(headers.getlist("prefer")).split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
        wait = found.get(WAIT, "")
        seconds = min(int(wait), MAX_WAIT_SECONDS) if _SECONDS.fullmatch(wait) else None
        return cls(RESPOND_ASYNC in found, seconds)

    @property
    def applied(self) -> str:
        """Return what Preference-Applied says of an answer that came before the result."""
        known = [RESPOND_ASYNC] if self.respond_async or self.wait_seconds is None else []
        return ", ".join(known if self.wait_seconds is None else [*known, self.applied_wait])

    @property
    def applied_wait(self) -> str:
        """Return what Preference-Applied says of a wait."""
        return f"{WAIT}={self.wait_seconds}"
