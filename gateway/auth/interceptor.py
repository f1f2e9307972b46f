"""The interceptor that requires an API key and limits the rate of calls, for all four kinds of call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.auth.keys import ApiKeys
from gateway.ratelimit import KeyRateLimit
from servicekit.interceptors import AroundCall, Context, metadata


def authentication(keys: ApiKeys, limit: KeyRateLimit) -> AroundCall:
    """Return the interceptor; it stands inside the error boundary, which turns its errors into statuses."""

    @asynccontextmanager
    async def around(method: str, context: Context) -> AsyncIterator[None]:
        limit.take(keys.authenticate(method, metadata(context)))
        yield

    return AroundCall(around)
