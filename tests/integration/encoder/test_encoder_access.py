"""Who may call: certificates, addresses, the session token."""

from ipaddress import ip_network
from pathlib import Path

import grpc
import pytest

from apigpu.encoder.v1 import encoder_pb2_grpc
from encoder.server.app import is_allowed
from servicekit.errors import from_rpc
from tests.support import encoder_harness


async def test_a_certificate_of_a_client_opens_no_encoder(encoder: encoder_harness.Encoder) -> None:
    """The set has two authorities: that of clients is not trusted here."""
    async with encoder.client("client") as stranger:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stranger.capabilities()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_certificate_of_an_authority_opens_no_encoder(encoder: encoder_harness.Encoder) -> None:
    """It is trusted to sign those of gateways, and TLS takes it for one."""
    async with encoder.client("ca") as stranger:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stranger.capabilities()
    error = from_rpc(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CLIENT_CERTIFICATE")


async def test_no_certificate_opens_no_encoder(encoder: encoder_harness.Encoder) -> None:
    credentials = grpc.ssl_channel_credentials((encoder.certs / "ca.crt").read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{encoder.port}", credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await encoder_harness.Client(encoder_pb2_grpc.EncoderServiceStub(channel)).capabilities()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_address_and_session_token(certs: Path, tmp_path: Path) -> None:
    settings = {"SESSION_TOKEN": "secret-token", "ALLOWED_IPS": "10.0.0.0/8, 127.0.0.1"}
    with encoder_harness.running(certs, tmp_path, settings) as encoder:
        async with encoder.client() as client:
            for metadata in ((), (("x-session-token", "other"),)):
                client.metadata = metadata
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await client.capabilities()
                error = from_rpc(caught.value)
                assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "SESSION_TOKEN")
            client.metadata = (("x-session-token", "secret-token"),)
            assert (await client.capabilities()).slots == 3


async def test_an_address_outside_is_refused(certs: Path, tmp_path: Path) -> None:
    with encoder_harness.running(certs, tmp_path, {"ALLOWED_IPS": "10.0.0.0/8,fd00::/8"}) as encoder:
        async with encoder.client() as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.capabilities()
    assert from_rpc(caught.value).code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("peer", "network", "may"),
    [
        ("ipv4:10.1.2.3:5000", "10.0.0.0/8", True),
        ("ipv4:11.1.2.3:5000", "10.0.0.0/8", False),
        ("ipv6:%5B::1%5D:5000", "::1/128", True),
        ("ipv6:[::ffff:10.1.2.3]:5000", "10.0.0.0/8", True),
        ("ipv6:[fe80::1%25eth0]:5000", "fe80::/10", True),
        ("unix:/run/x", "0.0.0.0/0", False),
    ],
)
def test_peers_are_held_against_networks(peer: str, network: str, may: bool) -> None:
    assert is_allowed(peer, [ip_network(network)]) is may
