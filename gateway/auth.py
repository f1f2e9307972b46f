"""Authentication by API key, with a rate limit for each key."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar

from gateway.ratelimit import KeyRateLimit
from servicekit.errors import Unauthenticated
from servicekit.interceptors import AroundCall, Context, metadata

# Prefixes of methods that need no key.
OPEN_METHODS = (
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/apigpu.v1.SystemService/GetInfo",
    "/apigpu.v1.SystemService/GetHealth",
)


# Within a call: the digest that names its caller's key; "" in open methods.
caller_key: ContextVar[str] = ContextVar("caller_key", default="")


class ApiKeys:
    """The valid keys of this gateway."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def authenticate(self, method: str, metadata: Mapping[str, str]) -> str:
        """Return a short digest that names the call's key ("" for open methods). Raises Unauthenticated."""
        key = require_key(method, metadata)
        if not key:
            return ""
        digest = _digest(key)
        # Every key is compared, so that the time reveals nothing.
        if not any([hmac.compare_digest(digest, valid) for valid in self._digests]):  # noqa: C419
            raise Unauthenticated("The API key is not known here.", reason="WRONG_KEY")
        return digest.hex()[:8]


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


def authentication(keys: ApiKeys, limit: KeyRateLimit) -> AroundCall:
    """Return the interceptor, for all kinds of call. It stands inside the error boundary, which answers its errors."""

    @asynccontextmanager
    async def around(method: str, context: Context) -> AsyncIterator[None]:
        key = keys.authenticate(method, metadata(context))
        limit.take(key)
        caller_key.set(key)
        yield

    return AroundCall(around)
