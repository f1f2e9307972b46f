"""Encoders behind a name: which addresses it has, that they come and go, and whose certificate is asked for."""

import asyncio
import contextlib
import shutil
import socket

import pytest

from api_gpu.local.certs import make_set
from gateway.config import GatewaySettings
from gateway.workers.base import EncoderBusy
from gateway.workers.grpc import GrpcEncoder
from gateway.workers.pool import Pool
from gateway.workers.static import DnsDiscovery, EncoderName, LookupFailed, add_static_encoders, look_up
from servicekit.config import ConfigError
from servicekit.server_tls import ReloadingIdentity
from servicekit.tls import Identity, IdentityFiles
from tests.integration.gateway.jobs.conftest import ScriptedEncoder, serving
from tests.support.until import HANG_SECONDS

NAME = EncoderName("encoder.apigpu.svc", 50052)


@pytest.mark.parametrize("address", ["127.0.0.1:50052", "encoder:50052", "[::1]:50052"])
def test_an_address_is_no_name(address):
    assert EncoderName.parse(address) is None


def test_a_name_is_a_host_and_a_port():
    assert EncoderName.parse("dns:///encoder.apigpu.svc:50052") == NAME
    assert (
        EncoderName.parse("dns:///encoder.apigpu.svc.cluster.local.:1").tls_name == "encoder.apigpu.svc.cluster.local"
    )


@pytest.mark.parametrize("url", ["dns:///encoder", "dns:///:50052", "dns:///a:0", "dns:///a:70000", "dns:////a:1"])
def test_a_name_that_cannot_be_used_stops_the_start(url):
    with pytest.raises(ConfigError, match=r"ENCODERS=.*must be dns:///name:port"):
        GatewaySettings.load(x_api_key="key", encoders=f"10.0.0.1:50052,{url}")


async def test_addresses_are_those_that_the_system_tells():
    assert "127.0.0.1:50052" in await look_up("localhost", 50052)
    assert await look_up("::1", 50052) == {"[::1]:50052"}


@pytest.mark.parametrize("number", [socket.EAI_NONAME, socket.EAI_NODATA])
async def test_a_name_that_nobody_has_is_the_name_of_nobody(monkeypatch, number):
    answering(monkeypatch, socket.gaierror(number, "no address"))
    assert await look_up("encoder.apigpu.svc", 50052) == frozenset()


async def test_a_name_server_that_does_not_answer_says_nothing_of_the_encoders(monkeypatch):
    answering(monkeypatch, socket.gaierror(socket.EAI_AGAIN, "try again"))
    with pytest.raises(LookupFailed, match="try again"):
        await look_up("encoder.apigpu.svc", 50052)


def answering(monkeypatch, error):
    async def getaddrinfo(*_, **__):
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


class Zone:
    """What DNS says of the name, which the test can change, and what the follower made of it."""

    def __init__(self):
        self.answer = frozenset()
        self.asked = 0
        self.events = []
        self.follower = DnsDiscovery(
            NAME,
            lambda address: self.events.append(f"+{address}"),
            lambda address: self.events.append(f"-{address}"),
            look_up=self.look_up,
            interval_seconds=0.01,
        )

    async def look_up(self, host, port):
        assert (host, port) == ("encoder.apigpu.svc", 50052)
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def says(self, answer):
        """What the follower did, two look-ups after DNS began to say this."""
        self.answer = answer if isinstance(answer, Exception) else frozenset(answer)
        self.events.clear()
        seen = self.asked
        async with asyncio.timeout(HANG_SECONDS):
            while self.asked < seen + 3:
                await asyncio.sleep(0.005)
        return self.events


@pytest.fixture
async def zone():
    made = Zone()
    following = asyncio.create_task(made.follower.follow())
    yield made
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


async def test_encoders_come_and_go_with_their_addresses(zone):
    assert await zone.says([]) == []
    assert await zone.says(["10.0.0.1:1", "10.0.0.2:1"]) == ["+10.0.0.1:1", "+10.0.0.2:1"]
    assert await zone.says(["10.0.0.2:1", "10.0.0.3:1"]) == ["+10.0.0.3:1", "-10.0.0.1:1"]
    assert await zone.says([]) == ["-10.0.0.2:1", "-10.0.0.3:1"]


async def test_encoders_stay_while_no_name_server_answers(zone):
    await zone.says(["10.0.0.1:1"])
    assert await zone.says(LookupFailed("try again")) == []
    assert await zone.says(["10.0.0.1:1", "10.0.0.2:1"]) == ["+10.0.0.2:1"]


async def test_the_certificate_is_held_to_the_name_and_not_to_the_address(tmp_path):
    make_set(tmp_path, ["encoder.apigpu.svc"])
    credentials = Identity.read(
        tmp_path / "gateway.crt", tmp_path / "gateway.key", tmp_path / "ca.crt"
    ).channel_credentials()
    async with serving(ScriptedEncoder(slots=4), tmp_path) as port:
        right = GrpcEncoder(f"127.0.0.1:{port}", credentials, "", NAME.tls_name)
        wrong = GrpcEncoder(f"127.0.0.1:{port}", credentials, "", "encoder.elsewhere.svc")
        try:
            assert (await right.capabilities(HANG_SECONDS)).slots == 4
            with pytest.raises(EncoderBusy, match="does not answer"):
                await wrong.capabilities(timeout_seconds=0.5)
        finally:
            await right.close()
            await wrong.close()


async def test_encoders_are_called_with_the_certificate_in_force(tmp_path):
    """Its files change, as the encoder's have: no restart is needed."""
    own, new = tmp_path / "own", tmp_path / "new"
    for folder in (own, new):
        make_set(folder)
    names = ("gateway.crt", "gateway.key", "ca.crt")
    identity = ReloadingIdentity.of(IdentityFiles(*(own / name for name in names)))
    pool = Pool()
    async with serving(ScriptedEncoder(slots=4), new) as port:
        try:
            add_static_encoders([f"127.0.0.1:{port}"], pool, identity, "")
            (member,) = pool.members
            with pytest.raises(EncoderBusy, match="does not answer"):
                await member.encoder.capabilities(timeout_seconds=0.5)
            for name in names:
                shutil.copy(new / name, own)
            identity.reload()
            assert (await member.encoder.capabilities(HANG_SECONDS)).slots == 4
        finally:
            await pool.close()
