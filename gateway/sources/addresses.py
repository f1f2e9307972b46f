"""Addresses that the gateway may fetch from: public ones, and those that the operator allows.

The tables are written out because `ipaddress` classifies some of these ranges differently from version to version.
Source: IANA's special-purpose address registries for IPv4 and IPv6, and the registry of IPv6 global unicast.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from servicekit.config import Network

Address = IPv4Address | IPv6Address

NOT_PUBLIC_V4 = {
    IPv4Network("0.0.0.0/8"): "this network",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared by a carrier",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("169.254.0.0/16"): "link-local",
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


def is_allowed(address: Address, allow: Sequence[Network]) -> bool:
    """Return True if the address is public or within `allow`; an IPv4 address embedded in an IPv6 one is unwrapped."""
    target = _effective(address)
    return is_public(target) or any(one in network for network in allow for one in (address, target))


def is_public(address: Address) -> bool:
    """Return True if the address, or the IPv4 address that it embeds, is on the public Internet."""
    target = _effective(address)
    if isinstance(target, IPv4Address):
        return not any(target in network for network in NOT_PUBLIC_V4)
    return target in PUBLIC_V6 and not any(target in network for network in NOT_PUBLIC_V6)


def parse(text: str) -> Address:
    """Parse the address of a resolver, without the zone of a link-local one. Raises ValueError."""
    return ip_address(text.partition("%")[0])


def _effective(address: Address) -> Address:
    """Return the IPv4 address that packets to a mapped, 6to4 or NAT64 address arrive at."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
