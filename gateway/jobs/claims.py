"""Idempotency keys: of requests with one key, however often and wherever they come in, the first makes the job.

A claim names the job of a key before anything of it is written. Whoever comes later with the key, also while the first
is at it or has died, writes the same job: its record is created once. A claim is dropped with its job, and by a request
that is refused before there is one, unless another has taken it over; one whose gateway was killed at it, and whose
caller did not ask again, stays.
"""

import contextlib
import hashlib
import re
from dataclasses import dataclass, replace

from gateway.assets.record import derived_id
from gateway.callers import DEFAULT_TENANT
from gateway.jetstream.keyvalue import KeyValue
from servicekit.codec import from_json, to_json
from servicekit.errors import Aborted, AlreadyExists, InvalidArgument

KEY = re.compile(r"[\x21-\x7e]{1,255}")
FIELD = "idempotency_key"


@dataclass(frozen=True)
class Claim:
    """The job of a key, and the SHA-256 of the request that came with it."""

    job_id: str
    digest: str


@dataclass(frozen=True)
class HeldClaim:
    """A claim as one request has it: with the revision at which it does, and whether it is the first with its key."""

    job_id: str
    revision: int
    is_first: bool


@dataclass(frozen=True)
class IdempotencyKey:
    """A key as its caller chose it, together with its request; each tenant has keys of its own."""

    key: str
    digest: str
    tenant: str

    @classmethod
    def of(cls, key: str, request: bytes, tenant: str = DEFAULT_TENANT) -> "IdempotencyKey | None":
        """Return the key of a request; None without one. Raises InvalidArgument for what is none."""
        if not key:
            return None
        if not KEY.fullmatch(key):
            text = "give 1 to 255 printable ASCII characters without blanks, another for each request: a random UUID."
            raise InvalidArgument.field(FIELD, text)
        return cls(key, hashlib.sha256(request).hexdigest(), tenant)

    @property
    def name(self) -> str:
        """The name under which the claim is stored."""
        # No key has a blank in it; claims of before there were tenants have their names still.
        scoped = self.key if self.tenant == DEFAULT_TENANT else f"{self.tenant} {self.key}"
        return hashlib.sha256(scoped.encode()).hexdigest()

    def asset_id(self, text: str) -> str:
        """Return the id of the asset that a data: URI of the request is stored as: the same each time it comes."""
        return derived_id(f"{self.name} {self.digest} {text}")


@dataclass(frozen=True)
class Claims:
    """The claims of all gateways. Errors: Unavailable."""

    bucket: KeyValue

    async def find(self, key: IdempotencyKey) -> Claim | None:
        """Return the claim of a key. Raises AlreadyExists for one that came with another request."""
        entry = await self.bucket.get(key.name)
        return _checked(entry.value, key) if entry is not None else None

    async def claim(self, key: IdempotencyKey, job_id: str) -> HeldClaim:
        """Claim a key for the job `job_id`, or return the claim of a request that was faster. Raises AlreadyExists."""
        while True:
            with contextlib.suppress(Aborted):
                return HeldClaim(job_id, await self.bucket.create(key.name, to_json(Claim(job_id, key.digest))), True)
            if (entry := await self.bucket.get(key.name)) is not None:
                return HeldClaim(_checked(entry.value, key).job_id, entry.revision, False)

    async def take_over(self, key: IdempotencyKey, held: HeldClaim) -> HeldClaim | None:
        """Take over the claim of another request, which cannot release it any more; None where somebody was faster."""
        try:
            value = to_json(Claim(held.job_id, key.digest))
            return replace(held, revision=await self.bucket.update(key.name, value, held.revision))
        except Aborted:
            return None

    async def hold(self, key: IdempotencyKey, job_id: str) -> HeldClaim:
        """Claim a key, or take over the claim that there is. Raises AlreadyExists."""
        while True:
            held = await self.claim(key, job_id)
            mine = held if held.is_first else await self.take_over(key, held)
            if mine is not None:
                return mine

    async def release(self, key: IdempotencyKey, held: HeldClaim) -> None:
        """Let go of a claim for whose job nothing was written, unless another request has taken it over."""
        await self.bucket.delete(key.name, held.revision)

    async def drop(self, name: str) -> None:
        """Forget a claim, whose job is no longer kept."""
        await self.bucket.delete(name)


def _checked(stored: bytes, key: IdempotencyKey) -> Claim:
    claim = from_json(Claim, stored)
    if claim.digest != key.digest:
        raise AlreadyExists(
            "This idempotency key came with another request before; give each request its own. A link that was signed "
            "anew makes another request: send the one of before, or upload the file and name its asset.",
            reason="IDEMPOTENCY_KEY_REUSED",
            fields={FIELD: "came with another request"},
            metadata={"job_id": claim.job_id},
        )
    return claim
