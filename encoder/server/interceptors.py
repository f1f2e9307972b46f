"""Interceptors of the encoder: which peers may call, beside the client certificate that TLS asks for, and when the last
one did."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote

from servicekit.config import Network
from servicekit.errors import PermissionDenied, Unauthenticated
from servicekit.interceptors import QUIET, AroundCall, Context, metadata

TOKEN = "x-session-token"


def access_control(networks: Sequence[Network], session_token: str) -> AroundCall:
    """Return an interceptor that accepts calls from `networks` (empty: any) with the token (empty: none needed)."""

    @asynccontextmanager
    async def around(method: str, context: Context) -> AsyncIterator[None]:
        if networks and not is_allowed(context.peer(), networks):
            raise PermissionDenied("Your address may not use this encoder; see ALLOWED_IPS.", reason="ADDRESS")
        token = metadata(context).get(TOKEN, "")
        if session_token and not hmac.compare_digest(token.encode(), session_token.encode()):
            raise Unauthenticated(f"Metadata `{TOKEN}` is missing or is not this encoder's.", reason="SESSION_TOKEN")
        yield

    return AroundCall(around)


def is_allowed(peer: str, networks: Sequence[Network]) -> bool:
    """Return True if a gRPC peer ("ipv4:127.0.0.1:5000", "ipv6:[::1]:5000") is in one of `networks`."""
    address = _address(peer)
    return address is not None and any(address in network for network in networks)


def _address(peer: str) -> IPv4Address | IPv6Address | None:
    family, _, rest = unquote(peer).partition(":")
    if family not in ("ipv4", "ipv6"):
        return None
    address = ip_address(rest.rpartition(":")[0].strip("[]").partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


class IdleMonitor:
    """Counts the calls that are open, and knows when the last one ended, so that an encoder that nobody calls any more
    can end; probes of health do not count."""

    def __init__(self) -> None:
        self._open = 0
        self._last_at = time.monotonic()

    def interceptor(self) -> AroundCall:
        """Return an interceptor, to stand behind access control: a refused call does not count."""

        @asynccontextmanager
        async def around(method: str, context: Context) -> AsyncIterator[None]:
            if method.startswith(QUIET):
                yield
                return
            self._open += 1
            try:
                yield
            finally:
                self._open -= 1
                self._last_at = time.monotonic()

        return AroundCall(around)

    async def wait_idle(self, seconds: float) -> None:
        """Return once no call has been open for `seconds`; 0: never."""
        if not seconds:
            await asyncio.Event().wait()
        left = seconds
        while left > 0:
            await asyncio.sleep(left)
            last_at = time.monotonic() if self._open else self._last_at
            left = last_at + seconds - time.monotonic()
