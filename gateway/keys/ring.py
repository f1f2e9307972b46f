"""The keys of all gateways, held in memory: a call is judged without a look at the store, also while that is away."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field

import structlog

from gateway.callers import Caller, Scope
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from gateway.keys import record
from gateway.keys.record import KeyRecord
from gateway.tenants.limits import NO_LIMITS, WorkLimits
from servicekit.errors import FailedPrecondition, PermissionDenied, ResourceExhausted

log = structlog.get_logger("gateway.keys")

MAX_KEYS = 10_000
# A key that was revoked, or has expired, is listed for so long still.
KEPT_SECONDS = 30 * 86_400.0
# Has the digest of no key.
NO_KEY = KeyRecord("", "", "", "", (), 0.0)

Names = Callable[[], Collection[str]]


@dataclass(frozen=True)
class NewKey:
    """What a key is to be: whose, called what, allowed what, until when (Unix seconds; None: for ever), the names of
    client certificates that it may come with (none: with any, and without), and its own limits."""

    tenant: str
    name: str
    scopes: tuple[Scope, ...]
    expires_at: float | None = None
    certificate_names: tuple[str, ...] = ()
    limits: WorkLimits = NO_LIMITS


@dataclass(eq=False)
class KeyRing:
    """The keys that the service made. Every change is a change of a record, which all gateways follow.

    Errors: NotFound (no such key), Unavailable (the store does not answer).
    """

    records: Records[KeyRecord]
    pepper: bytes = field(repr=False)

    @classmethod
    async def open(cls, bucket: KeyValue, pepper: bytes) -> "KeyRing":
        """Read all keys, and follow their changes from then on."""
        ring = cls(Records(bucket, KeyRecord, "key", missing="There is no key {key}."), pepper)
        await ring.records.start()
        return ring

    def find(self, text: str, names: Names) -> Caller | None:
        """Return who calls with a key; None for one that is not known here. `names` are those of the client's
        certificate. Raises Unauthenticated for a key that is no longer valid, PermissionDenied for one that came with
        another certificate."""
        now = time.time()
        found = self.records.cached.get(record.id_of(text), NO_KEY)
        # Also of what is no key, so that the time does not tell which ids there are.
        if not found.matches(record.digest_of(text, self.pepper), now) or found is NO_KEY:
            return None
        found.check_valid(now)
        if found.certificate_names and not set(found.certificate_names) & set(names()):
            text = "This API key is taken only with certain client certificates, over gRPC; present one of them."
            raise PermissionDenied(text, reason="CERTIFICATE_NAME")
        return found.caller

    async def create(self, wanted: NewKey) -> tuple[KeyRecord, str]:
        """Make a key; return its record, and its text, which is kept nowhere. Raise ResourceExhausted for too many."""
        await self._prune()
        if len(self.records.cached) >= MAX_KEYS:
            text = f"There are {MAX_KEYS} keys, and more are not kept; revoke some, which goes by within 30 days."
            raise ResourceExhausted(text, reason="TOO_MANY_KEYS")
        key_id = record.new_id()
        text = record.new_text(key_id)
        made = KeyRecord(
            id=key_id,
            digest=record.digest_of(text, self.pepper),
            tenant=wanted.tenant,
            name=wanted.name,
            scopes=tuple(scope.value for scope in wanted.scopes),
            created_at=time.time(),
            expires_at=wanted.expires_at,
            certificate_names=wanted.certificate_names,
            limits=wanted.limits,
        )
        await self.records.create(key_id, made)
        log.info("API key made", key=key_id, tenant=made.tenant, name=made.name, scopes=made.scopes)
        return made, text

    def limits_of(self, key_id: str) -> WorkLimits:
        """Return the limits of a key; none of one that is not there any more."""
        found = self.records.cached.get(key_id)
        return found.limits if found is not None else NO_LIMITS

    def list(self, tenant: str = "") -> list[KeyRecord]:
        """Return the keys of a tenant ("": of all), the newest first. One that ended too long ago is none of them,
        whichever gateway has deleted it."""
        oldest = time.time() - KEPT_SECONDS
        kept = (key for key in self.records.cached.values() if record.end_of(key) >= oldest)
        found = [key for key in kept if tenant in ("", key.tenant)]
        return sorted(found, key=lambda key: (key.created_at, key.id), reverse=True)

    async def rotate(self, key_id: str, grace_seconds: float) -> tuple[KeyRecord, str]:
        """Give a key another text, and return both; the one before is taken for `grace_seconds` still. Raise
        FailedPrecondition for a key that is no longer valid."""
        text = record.new_text(key_id)
        digest = record.digest_of(text, self.pepper)

        def step(found: KeyRecord) -> KeyRecord:
            now = time.time()
            if found.revoked_at is not None or (found.expires_at or now + 1) <= now:
                why = f"Key {key_id} was revoked or has expired; make a new one."
                raise FailedPrecondition(why, reason="KEY_NOT_VALID")
            return record.rotated(found, digest, now, grace_seconds)

        changed = await self.records.update(key_id, step)
        log.info("API key rotated", key=key_id, tenant=changed.tenant, grace_seconds=grace_seconds)
        return changed, text

    async def set_limits(self, key_id: str, changes: Mapping[str, float]) -> KeyRecord:
        """Change limits of a key, by their names. They hold for what it submits from then on; jobs that it submitted
        while it had none are not counted."""
        changed = await self.records.update(key_id, lambda found: record.with_limits(found, changes))
        log.info("limits of an API key changed", key=key_id, tenant=changed.tenant, **asdict(changed.limits))
        return changed

    async def revoke(self, key_id: str) -> KeyRecord:
        """End a key for good; once more does nothing."""
        changed = await self.records.update(key_id, lambda found: record.revoked(found, time.time()))
        log.info("API key revoked", key=key_id, tenant=changed.tenant)
        return changed

    async def _prune(self) -> None:
        """Delete the records of keys that ended long ago. Other gateways may keep them in memory, where they open
        nothing either."""
        oldest = time.time() - KEPT_SECONDS
        for key in list(self.records.cached.values()):
            if record.end_of(key) < oldest:
                await self.records.delete(key.id)
