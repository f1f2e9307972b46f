"""Addresses that the gateway may fetch from: public ones, and those that the operator allows.

The tables are written out because `ipaddress` classifies some of these ranges differently from version to version.
Source: IANA's special-purpose address registries for IPv4 and IPv6, and the registry of IPv6 global unicast.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from servicekit.config import Network

Address = IPv4Address | IPv6Address

NOT_PUBLIC_V4 = {
    IPv4Network("0.0.0.0/8"): "this network",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared by a carrier",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("161.26.0.0/16"): "services inside IBM's cloud",
    IPv4Network("166.8.0.0/14"): "services inside IBM's cloud",
    IPv4Network("168.63.129.16/32"): "the host of a machine at Azure",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.0.0.0/24"): "protocol assignments",
    IPv4Network("192.0.2.0/24"): "documentation",
    IPv4Network("192.88.99.0/24"): "6to4 relays",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("198.18.0.0/15"): "benchmarks",
    IPv4Network("198.51.100.0/24"): "documentation",
    IPv4Network("203.0.113.0/24"): "documentation",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved, broadcast",
}
# Contains all public IPv6 addresses, and no loopback, unique local, link-local, site-local or multicast ones.
PUBLIC_V6 = IPv6Network("2000::/3")
NOT_PUBLIC_V6 = {
    IPv6Network("2001::/23"): "protocol assignments, Teredo",
    IPv6Network("2001:db8::/32"): "documentation",
    IPv6Network("3fff::/20"): "documentation",
}
NAT64 = IPv6Network("64:ff9b::/96")
# The identifier of an interface that tunnels IPv4 (ISATAP), before the IPv4 address. Source: RFC 5214, section 6.1.
ISATAP = (0x00005EFE, 0x02005EFE)


def is_allowed(address: Address, allow: Sequence[Network]) -> bool:
    """Return True if the address is public or within `allow`, and so is each IPv4 address that it embeds."""
    return any(address in network for network in allow) or all(
        _is_public(target) or any(target in network for network in allow) for target in targets(address)
    )


def parse(text: str) -> Address:
    """Parse the address of a resolver, without the zone of a link-local one. Raises ValueError."""
    return ip_address(text.partition("%")[0])


def targets(address: Address) -> Iterator[Address]:
    """Yield the addresses that packets to this one may arrive at: itself, and IPv4 addresses behind a tunnel."""
    if isinstance(address, IPv4Address):
        yield address
        return
    number = int(address)
    translated = IPv4Address(number & 0xFFFFFFFF) if address in NAT64 else address.ipv4_mapped or address.sixtofour
    yield translated or address
    if (number >> 32) & 0xFFFFFFFF in ISATAP:
        yield IPv4Address(number & 0xFFFFFFFF)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_V4)
    return address in PUBLIC_V6 and not any(address in network for network in NOT_PUBLIC_V6)
