"""The open uploads of each tenant, counted in memory: every gateway follows the records of all. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from gateway.uploads.session import UploadSession


class OpenUploads:
    """When each upload expires that is neither whole nor gone, by tenant and key."""

    def __init__(self) -> None:
        self._expiries: defaultdict[str, dict[str, datetime]] = defaultdict(dict)
        self._tenants: dict[str, str] = {}
        self._beginning: Counter[str] = Counter()

    def note(self, key: str, session: UploadSession | None) -> None:
        """Take in the state of an upload, or that its record is gone (None)."""
        if session is not None and not session.is_finished:
            self._tenants[key] = session.tenant
            self._expiries[session.tenant][key] = session.expires_at
        elif (tenant := self._tenants.pop(key, None)) is not None:
            del self._expiries[tenant][key]
            if not self._expiries[tenant]:
                del self._expiries[tenant]

    def count(self, tenant: str, now: datetime) -> int:
        """Return how many uploads of a tenant are open, those included that are being begun."""
        if tenant in self._expiries:
            for key in [key for key, expires_at in self._expiries[tenant].items() if expires_at <= now]:
                self.note(key, None)
        return len(self._expiries.get(tenant, ())) + self._beginning[tenant]

    def next_expiry(self, tenant: str) -> datetime | None:
        """Return when the first of a tenant's open uploads expires; None without one."""
        return min(self._expiries.get(tenant, {}).values(), default=None)

    @contextmanager
    def beginning(self, tenant: str) -> Iterator[None]:
        """Count one more, whose record is being written."""
        self._beginning[tenant] += 1
        try:
            yield
        finally:
            self._beginning[tenant] -= 1
            if not self._beginning[tenant]:
                del self._beginning[tenant]
