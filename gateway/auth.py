"""Authentication by API key, with a rate limit for each key, and pauses for addresses that try wrong ones.

A right key always passes: whoever shares an address with somebody who guesses is not held up. So what keeps guessing
hopeless is the length of the keys; the pauses keep it cheap for us, and the log tells of it.
"""

import functools
import hashlib
import hmac
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import structlog

from gateway.callers import ALL_SCOPES, COMMON_SCOPES, NOBODY, Caller, caller
from gateway.keys.ring import KeyRing, Names
from gateway.ratelimit import KeyRateLimit
from servicekit.addresses import client_network, peer_address
from servicekit.backoff import Backoff, Cooldowns
from servicekit.errors import ResourceExhausted, Unauthenticated
from servicekit.interceptors import AroundCall, Context, metadata

log = structlog.get_logger("gateway.auth")

# Prefixes of methods that need no key.
OPEN_METHODS = (
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/apigpu.v1.SystemService/GetInfo",
    "/apigpu.v1.SystemService/GetHealth",
)
WRONG_KEY = "WRONG_KEY"
# The scheme of Authorization, in any case (RFC 9110, section 11.1).
_BEARER = re.compile(r"bearer(\s+|$)", re.IGNORECASE)
# So many wrong keys cost a network (an address of IPv4, a /64 of IPv6) no pause, further ones 1 s, 2 s, 4 s … 60 s.
FREE_WRONG_KEYS = 10
PAUSES = Backoff(first_seconds=1.0, max_seconds=60.0, jitter=0.0)
FORGET_SECONDS = 900.0
MAX_NETWORKS = 10_000


class ApiKeys:
    """The valid keys of this gateway, and the networks that tried others."""

    def __init__(
        self,
        keys: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
        max_networks: int = MAX_NETWORKS,
        *,
        admin_keys: Sequence[str] = (),
        ring: KeyRing | None = None,
    ) -> None:
        """Accept `keys`, of the tenant "default", `admin_keys`, which may do all, and those of the `ring`. Of more than
        `max_networks` that tried others, the one that did so first is forgotten."""
        self._ring = ring
        self._known = {
            _digest(key): Caller(key_id=_digest(key).hex()[:8], scopes=scopes)
            for some, scopes in ((keys, COMMON_SCOPES), (admin_keys, ALL_SCOPES))
            for key in some
        }
        self._clock = clock
        self._pauses = Cooldowns(PAUSES, FREE_WRONG_KEYS, FORGET_SECONDS, max_networks)

    def authenticate(self, method: str, metadata: Mapping[str, str], names: Names = frozenset) -> Caller:
        """Return who calls (NOBODY for open methods); `names` are those of the client's certificate. Raises
        Unauthenticated, and PermissionDenied for a key that may not call the method."""
        key = require_key(method, metadata)
        if not key:
            return NOBODY
        found = self._find(key, names)
        found.check(method)
        return found

    def _find(self, key: str, names: Names) -> Caller:
        digest = _digest(key)
        # Every key is compared, so that the time reveals nothing.
        found = [known for valid, known in self._known.items() if hmac.compare_digest(digest, valid)]
        made = self._ring.find(key, names) if self._ring is not None else None
        if not found and made is None:
            text = "The API key is not known here; check it, or have the operator of this gateway make another."
            raise Unauthenticated(text, reason=WRONG_KEY)
        return found[0] if found else made or NOBODY

    def admit(self, method: str, metadata: Mapping[str, str], network: str, names: Names = frozenset) -> Caller:
        """Authenticate a call from a network, as `authenticate` does; a wrong key counts against the network.

        Raises Unauthenticated, PermissionDenied, and ResourceExhausted for a wrong key while the network has to wait.
        """
        try:
            return self.authenticate(method, metadata, names)
        except Unauthenticated as error:
            if error.reason == WRONG_KEY:
                self._count(method, network)
            raise

    def _count(self, method: str, network: str) -> None:
        now = self._clock()
        wait = self._pauses.remaining_seconds(network, now)
        if wait:
            text = (
                "Too many wrong API keys came from your address, and this one is wrong too; try again in "
                f"{math.ceil(wait)} s."
            )
            raise ResourceExhausted(text, reason="TOO_MANY_WRONG_KEYS", retry_seconds=wait)
        pause = self._pauses.add(network, now)
        count = self._pauses.failures(network)
        log.warning("wrong API key", network=network, method=method, wrong_keys=count, wait_seconds=pause)


def require_key(method: str, metadata: Mapping[str, str]) -> str:
    """Return the key in a call's metadata, valid or not ("" for open methods). Raises Unauthenticated without one."""
    if method.startswith(OPEN_METHODS):
        return ""
    given = (_BEARER.sub("", metadata.get(name, "").strip()) for name in ("x-api-key", "authorization"))
    key = next(filter(None, given), "")
    if not key:
        raise Unauthenticated("An API key is required; give it as X-API-Key.", reason="NO_KEY")
    return key


def certificate_names(context: Context) -> frozenset[str]:
    """Return the names in the certificate of a call's client: of its subject, and the alternative ones; none without
    a certificate."""
    found = context.auth_context()
    named = (*found.get("x509_common_name", ()), *found.get("x509_subject_alternative_name", ()))
    return frozenset(name.decode(errors="replace") for name in named)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def authentication(keys: ApiKeys, limit: KeyRateLimit) -> AroundCall:
    """Return the interceptor, for all kinds of call. It stands inside the error boundary, which answers its errors."""

    @asynccontextmanager
    async def around(method: str, context: Context) -> AsyncIterator[None]:
        peer, names = context.peer(), functools.partial(certificate_names, context)
        if peer.startswith("unix:"):  # a call of the JSON proxy, which has admitted it already
            found = keys.authenticate(method, metadata(context), names)
        else:
            found = keys.admit(method, metadata(context), client_network(peer_address(peer)), names)
        limit.take(found.key_id)
        caller.set(found)
        yield

    return AroundCall(around)
