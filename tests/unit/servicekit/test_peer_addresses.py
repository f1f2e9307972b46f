"""Addresses of peers, and the names that they are counted under."""

import pytest

from servicekit.addresses import client_network, parse_address, peer_address


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:5000", "127.0.0.1"),
        ("ipv6:[::1]:5000", "::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:5000", "fe80::1"),
        ("ipv6:%5B::ffff:10.0.0.1%5D:5000", "10.0.0.1"),
        ("unix:/tmp/x.sock", None),
        ("unix:", None),
        ("", None),
    ],
)
def test_peers_of_grpc(peer, address):
    found = peer_address(peer)
    assert (found and str(found)) == address


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("proxy-name", ""),
        ("9" * 100_000, ""),
        ("", ""),
    ],
)
def test_names_of_networks(address, name):
    assert client_network(parse_address(address)) == name
