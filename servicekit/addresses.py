"""Addresses of peers: of gRPC's peer strings, and grouped so that one owner has one name."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote

# One customer of a provider has a /64 of IPv6 at least, and as many addresses as he likes in it.
IPV6_PREFIX = 64
# Text in place of an address, such as a forwarded name, is cut to this many letters.
MAX_NAME_LETTERS = 64


def peer_address(peer: str) -> IPv4Address | IPv6Address | None:
    """Return the address of a gRPC peer ("ipv4:127.0.0.1:5000", "ipv6:%5B::1%5D:5000"); None for other sockets."""
    family, _, rest = unquote(peer).partition(":")
    if family not in ("ipv4", "ipv6"):
        return None
    return parse_address(rest.rpartition(":")[0])


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, which may have brackets or a zone; of a mapped one that of IPv4. None for other text."""
    try:
        address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def network_name(address: str) -> str:
    """Return the name under which an address is counted: itself, or its /64 of IPv6. Other text is cut."""
    parsed = parse_address(address)
    if parsed is None:
        return address[:MAX_NAME_LETTERS]
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(IPv6Network((int(parsed) >> IPV6_PREFIX << IPV6_PREFIX, IPV6_PREFIX)))
