"""The gate: which peers may call at all, beside the client certificate that TLS asks for."""

import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote

from servicekit.config import Network
from servicekit.errors import PermissionDenied, Unauthenticated
from servicekit.interceptors import AroundCall, Context, metadata

TOKEN = "x-session-token"


def access_control(networks: Sequence[Network], session_token: str) -> AroundCall:
    """An interceptor that lets in calls from `networks` (empty: any) that carry the token (empty: none needed)."""

    @asynccontextmanager
    async def around(method: str, context: Context) -> AsyncIterator[None]:
        if networks and not is_allowed(context.peer(), networks):
            raise PermissionDenied("Your address may not use this encoder; see ALLOWED_IPS.", reason="ADDRESS")
        given = metadata(context).get(TOKEN, "")
        if session_token and not hmac.compare_digest(given.encode(), session_token.encode()):
            raise Unauthenticated(f"Metadata `{TOKEN}` is missing or is not this encoder's.", reason="SESSION_TOKEN")
        yield

    return AroundCall(around)


def is_allowed(peer: str, networks: Sequence[Network]) -> bool:
    """Whether a gRPC peer ("ipv4:127.0.0.1:5000", "ipv6:[::1]:5000") is in one of `networks`."""
    address = _address(peer)
    return address is not None and any(address in network for network in networks)


def _address(peer: str) -> IPv4Address | IPv6Address | None:
    family, _, rest = unquote(peer).partition(":")
    if family not in ("ipv4", "ipv6"):
        return None
    address = ip_address(rest.rpartition(":")[0].strip("[]").partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
