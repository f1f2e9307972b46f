"""A key that the service made: its text, of which only a digest is kept, and its record. Pure."""

import base64
import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.callers import Caller, Scope
from gateway.tenants.limits import NO_LIMITS, WorkLimits
from servicekit.codec import SPARSE
from servicekit.errors import Unauthenticated

# "agk_<id>_<secret>": the id names the key in lists and logs, the secret is 256 random bits.
PREFIX = "agk"
TEXT = re.compile(rf"{PREFIX}_([a-z2-7]{{10}})_[0-9a-f]{{64}}")
ID = re.compile(r"[a-z2-7]{10}")
# Who rotates a key again, as the answer was lost, does not shut out those who have the text of before.
MAX_FORMER = 5


@dataclass(frozen=True, slots=True)
class FormerDigest:
    """The digest of a text that a key had, and until when that is taken too."""

    digest: str
    until: float


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it is stored. `digest` is the HMAC-SHA256 of its text with the pepper, hexadecimal; times are Unix
    seconds (None: never)."""

    id: str
    digest: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None = field(default=None, metadata=SPARSE)
    revoked_at: float | None = field(default=None, metadata=SPARSE)
    # Names, one of which the client's certificate must have; () for any certificate, and for none.
    certificate_names: tuple[str, ...] = field(default=(), metadata=SPARSE)
    # What it was before it was rotated.
    former: tuple[FormerDigest, ...] = field(default=(), metadata=SPARSE)
    # Its own, beside those of its tenant.
    limits: WorkLimits = field(default=NO_LIMITS, metadata=SPARSE)

    @property
    def caller(self) -> Caller:
        """Who calls with the key; a scope that only a later version knows allows nothing here."""
        scopes = frozenset(scope for scope in Scope if scope in self.scopes)
        return Caller(self.tenant, self.id, scopes, is_limited=self.limits != NO_LIMITS)

    def matches(self, digest: str, now: float) -> bool:
        """Return True for the digest of the key, or of one before while that is taken; in constant time."""
        taken = [self.digest, *(one.digest for one in self.former if now < one.until)]
        return sum(hmac.compare_digest(digest, one) for one in taken) > 0

    def check_valid(self, now: float) -> None:
        """Raise Unauthenticated for a key that was revoked, or has expired."""
        if self.revoked_at is not None:
            raise Unauthenticated("This API key was revoked; use another one.", reason="KEY_REVOKED")
        if self.expires_at is not None and self.expires_at <= now:
            raise Unauthenticated("This API key has expired; use another one.", reason="KEY_EXPIRED")


def new_id() -> str:
    """Return the id of a new key."""
    return base64.b32encode(secrets.token_bytes(7)).decode().lower()[:10]


def new_text(key_id: str) -> str:
    """Return a new text of a key, with another secret each time."""
    return f"{PREFIX}_{key_id}_{secrets.token_hex(32)}"


def id_of(text: str) -> str:
    """Return the id in the text of a key; "" for what is none."""
    found = TEXT.fullmatch(text)
    return found[1] if found else ""


def digest_of(text: str, pepper: bytes) -> str:
    """Return what is stored of a key's text."""
    return hmac.new(pepper, text.encode(errors="replace"), hashlib.sha256).hexdigest()


def rotated(record: KeyRecord, digest: str, now: float, grace_seconds: float) -> KeyRecord:
    """The key has another text; the one before is taken for `grace_seconds` still, and those before it for as long as
    they were to be. Without that none of them is."""
    known = [*(one for one in record.former if now < one.until), FormerDigest(record.digest, now + grace_seconds)]
    return replace(record, digest=digest, former=tuple(known[-MAX_FORMER:]) if grace_seconds else ())


def revoked(record: KeyRecord, now: float) -> KeyRecord:
    """The key opens nothing any more."""
    return record if record.revoked_at is not None else replace(record, revoked_at=now)


def with_limits(record: KeyRecord, changes: Mapping[str, Any]) -> KeyRecord:
    """The key has other limits, of these names."""
    return replace(record, limits=replace(record.limits, **changes))


def end_of(record: KeyRecord) -> float:
    """Return when the key opened, or opens, nothing any more; infinity for never."""
    return min(math.inf if at is None else at for at in (record.revoked_at, record.expires_at))
