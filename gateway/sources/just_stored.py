"""Small inputs that stood in a request, held in memory until the first attempt at its job reads them, which is a moment
later: to read them from the store again would hold up the encoder that waits for them.

They are read once, by that job alone, and for a few seconds at most; whoever else reads the asset has it from the
store, and so have later attempts. What is deleted here meanwhile is forgotten.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from gateway.assets.known import checked
from gateway.assets.record import PREFIX, StoredAsset
from servicekit.chunks import MAX_SMALL_BYTES

# So long, and so many bytes of all jobs.
HELD_SECONDS = 2.0
MAX_HELD_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class HeldInput:
    """An asset with its bytes, the job that it is for ("" until that is known), and what ends its time."""

    asset: StoredAsset
    data: bytes
    expiry: asyncio.TimerHandle
    job_id: str = ""


@dataclass(eq=False)
class JustStored:
    """Holds inputs by the ids of their assets."""

    seconds: float = HELD_SECONDS
    max_bytes: int = MAX_HELD_BYTES
    _held: dict[str, HeldInput] = field(default_factory=dict, init=False)
    held_bytes: int = field(default=0, init=False)

    def add(self, asset: StoredAsset, data: bytes) -> None:
        """Hold what was stored just now, if it is small and there is room."""
        self.forget(asset.id)
        if len(data) <= MAX_SMALL_BYTES and self.held_bytes + len(data) <= self.max_bytes:
            expiry = asyncio.get_running_loop().call_later(self.seconds, self.forget, asset.id)
            self._held[asset.id] = HeldInput(asset, data, expiry)
            self.held_bytes += len(data)

    def bind(self, names: Iterable[str], job_id: str) -> None:
        """Have inputs, by the names of their assets, be for a job, and no other."""
        for asset_id in (name.removeprefix(PREFIX) for name in names):
            if (held := self._held.get(asset_id)) is not None:
                self._held[asset_id] = replace(held, job_id=job_id)

    def take(self, asset_id: str, job_id: str, tenant: str) -> HeldInput | None:
        """Return what is held for a job of a tenant, and hold it no longer; None for what is not. Raises NotFound for
        what is another tenant's."""
        held = self._held.get(asset_id)
        if held is None or not job_id or held.job_id != job_id:
            return None
        self.forget(asset_id)
        checked(held.asset, tenant)
        return held

    def forget(self, asset_id: str) -> None:
        """Hold an input no longer."""
        if (held := self._held.pop(asset_id, None)) is not None:
            held.expiry.cancel()
            self.held_bytes -= len(held.data)

    def told(self, asset_id: str, *, is_stored: bool) -> None:
        """Forget what was deleted; implements AssetListener."""
        if not is_stored:
            self.forget(asset_id)
