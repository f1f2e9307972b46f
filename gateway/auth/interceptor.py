"""The interceptor that asks for a key and counts calls, for all four kinds of call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.auth.keys import Keys
from gateway.ratelimit import KeyRateLimit
from servicekit.interceptors import AroundCall, Context, metadata


def key_required(keys: Keys, limit: KeyRateLimit) -> AroundCall:
    """Comes after the boundary, which turns what this raises into a status."""

    @asynccontextmanager
    async def around(method: str, context: Context) -> AsyncIterator[None]:
        limit.take(keys.check(method, metadata(context)))
        yield

    return AroundCall(around)
