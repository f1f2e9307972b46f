"""Authentication by API key, with a rate limit for each key, and pauses for addresses that try wrong ones.

A right key always passes: whoever shares an address with somebody who guesses is not held up. So what keeps guessing
hopeless is the length of the keys; the pauses keep it cheap for us, and the log tells of it.
"""

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from gateway.ratelimit import KeyRateLimit
from servicekit.addresses import network_name, peer_address
from servicekit.backoff import Backoff, Cooldowns
from servicekit.errors import ResourceExhausted, ServiceError, Unauthenticated
from servicekit.interceptors import BeforeCall, Context

log = structlog.get_logger("gateway.auth")

# Prefixes of methods that need no key.
OPEN_METHODS = (
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/apigpu.v1.SystemService/GetInfo",
    "/apigpu.v1.SystemService/GetHealth",
)
WRONG_KEY = "WRONG_KEY"
# Wrong keys of an address (of IPv6: of a /64) that cost it no pause; those after them cost 1 s, 2 s, … 60 s.
FREE_WRONG_KEYS = 10
PAUSES = Backoff(first_seconds=1.0, max_seconds=60.0, jitter=0.0)
FORGET_SECONDS = 900.0
MAX_ADDRESSES = 10_000
MAX_LOG_LINES_PER_MINUTE = 60


class ApiKeys:
    """The valid keys of this gateway, and the addresses that tried others."""

    def __init__(self, keys: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._digests = [_digest(key) for key in keys]
        self._clock = clock
        self._pauses = Cooldowns(PAUSES, FREE_WRONG_KEYS, FORGET_SECONDS, MAX_ADDRESSES)
        self._log_lines = KeyRateLimit(MAX_LOG_LINES_PER_MINUTE, clock)
        self._unlogged = 0

    def authenticate(self, method: str, metadata: Mapping[str, str]) -> str:
        """Return a short digest that names the call's key ("" for open methods). Raises Unauthenticated."""
        key = require_key(method, metadata)
        if not key:
            return ""
        digest = _digest(key)
        # Every key is compared, so that the time reveals nothing.
        if not any([hmac.compare_digest(digest, valid) for valid in self._digests]):  # noqa: C419
            raise Unauthenticated("The API key is not known here.", reason=WRONG_KEY)
        return digest.hex()[:8]

    def admit(self, method: str, metadata: Mapping[str, str], address: str) -> None:
        """Authenticate a call from an address. Raises Unauthenticated, and ResourceExhausted for one wrong key more."""
        try:
            self.authenticate(method, metadata)
        except Unauthenticated as error:
            raise self.refusal(error, method, address) from error

    def refusal(self, error: ServiceError, method: str, address: str) -> ServiceError:
        """Return the error that a refused call ends with: that of `authenticate`, unless its address has to wait."""
        if error.reason != WRONG_KEY:
            return error
        network, now = network_name(address), self._clock()
        wait = self._pauses.remaining_seconds(network, now)
        if not wait:
            self._audit(method, address, self._pauses.add(network, now), self._pauses.failures(network))
            return error
        self._unlogged += 1
        seconds = math.ceil(wait)
        text = f"Too many wrong API keys came from your address, and this one is wrong too; try again in {seconds} s."
        return ResourceExhausted(text, reason="TOO_MANY_WRONG_KEYS", retry_seconds=wait)

    def _audit(self, method: str, address: str, wait_seconds: float, tries: int) -> None:
        try:
            self._log_lines.take("wrong keys")
        except ResourceExhausted:
            self._unlogged += 1
            return
        facts = {"wrong_keys": tries, "wait_seconds": wait_seconds, "not_logged": self._unlogged}
        log.warning("wrong API key", address=address[:64], method=method, **facts)
        self._unlogged = 0


def require_key(method: str, metadata: Mapping[str, str]) -> str:
    """Return the key in a call's metadata, valid or not ("" for open methods). Raises Unauthenticated without one."""
    if method.startswith(OPEN_METHODS):
        return ""
    key = metadata.get("x-api-key") or metadata.get("authorization", "").removeprefix("Bearer ").strip()
    if not key:
        raise Unauthenticated("An API key is required; give it as X-API-Key.", reason="NO_KEY")
    return key


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def authentication(keys: ApiKeys, limit: KeyRateLimit) -> BeforeCall:
    """Return the interceptor, for all kinds of call. It stands inside the error boundary, which answers its errors."""

    def judge(method: str, metadata: Mapping[str, str]) -> None:
        limit.take(keys.authenticate(method, metadata))

    def refusal(error: ServiceError, method: str, context: Context) -> ServiceError:
        address = peer_address(context.peer())
        # Calls of the JSON proxy come from no address: their keys were judged, and counted, before.
        return error if address is None else keys.refusal(error, method, str(address))

    return BeforeCall(judge, refusal)
