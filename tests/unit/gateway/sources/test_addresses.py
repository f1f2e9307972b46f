"""Which addresses are public."""

from ipaddress import ip_address, ip_network

import pytest

from gateway.sources.addresses import NOT_PUBLIC_V4, NOT_PUBLIC_V6, is_allowed, parse

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2606:4700::5efe:808:808",
    "168.63.129.15",
    "168.63.129.17",
]
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "161.26.0.10",
    "166.9.1.1",
    "168.63.129.16",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::168.63.129.16",
    "::ffff:168.63.129.16",
    "2002:a83f:8110::1",
    "2606:4700::5efe:10.0.0.1",
    "2606:4700::200:5efe:10.0.0.1",
    "2606:4700::5efe:169.254.169.254",
    "2002:808:808::5efe:127.0.0.1",
    "2001:db8::5efe:8.8.8.8",
    "fe80::5efe:8.8.8.8",
    "fd00:ec2::254",
    "fd20:ce::254",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text):
    assert is_allowed(ip_address(text), ())


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_not_public(text):
    assert not is_allowed(ip_address(text), ())


@pytest.mark.parametrize("network", [*NOT_PUBLIC_V4, *NOT_PUBLIC_V6])
def test_the_edges_of_every_range_are_in_it(network):
    assert not is_allowed(network[0], ())
    assert not is_allowed(network[-1], ())


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_python_calls_none_of_them_more_public_than_we_do(text):
    """The other way round it may: 224.0.0.1 is global to `ipaddress`, and not for us."""
    address = ip_address(text)
    assert is_allowed(address, ()) <= address.is_global


@pytest.mark.parametrize(
    ("text", "allow", "allowed"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.4/32", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("::ffff:10.1.2.3", "::ffff:0:0/96", True),
        ("2606:4700::5efe:10.1.2.3", "10.0.0.0/8", True),
        ("2606:4700::5efe:10.1.2.3", "192.168.0.0/16", False),
        ("fd00::5efe:10.1.2.3", "10.0.0.0/8", False),
        ("fd00::1", "fd00::/8", True),
        ("fd00::1", "10.0.0.0/8", False),
        ("::1", "127.0.0.0/8", False),
        ("8.8.8.8", "10.0.0.0/8", True),
    ],
)
def test_the_operator_may_allow_ranges(text, allow, allowed):
    assert is_allowed(ip_address(text), (ip_network(allow),)) is allowed


def test_the_zone_of_an_address_does_not_matter():
    assert parse("fe80::1%eth0") == ip_address("fe80::1")
