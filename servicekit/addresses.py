"""Addresses of callers, from the peers of gRPC and the sockets of HTTP."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote

# What one subscriber of IPv6 gets at least.
IPV6_PREFIX = 64


def peer_address(peer: str) -> IPv4Address | IPv6Address | None:
    """Return the address of a gRPC peer ("ipv4:127.0.0.1:5000", "ipv6:[::1]:5000"); None for unix sockets."""
    family, _, rest = unquote(peer).partition(":")
    return parse_address(rest.rpartition(":")[0]) if family in ("ipv4", "ipv6") else None


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address as sockets write it, IPv4 where IPv6 only wraps it; None for anything else."""
    try:
        address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def client_network(address: IPv4Address | IPv6Address | None) -> str:
    """Return what stands for one client in limits: its IPv4 address, or its network of IPv6; "" for no address."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return str(address or "")
