"""Certificates of a server that runs: they are read again when they change, and clients are held to those in force."""

import asyncio
import contextlib
import shutil
from datetime import timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from api_gpu.local.certs import make_set
from servicekit.certificates import CLIENT, IssuedCertificate, create_authority, issue_certificate
from servicekit.errors import from_rpc
from servicekit.interceptors import error_boundary
from servicekit.server import Service
from servicekit.server_tls import ReloadingIdentity, ServerTls, leads_to
from servicekit.tls import Identity, IdentityFiles
from tests.support.until import until, within

DAY = timedelta(days=1)


class Rig:
    """A server whose method answers once `released` is set, and the folders of its certificates and of another set."""

    def __init__(self, folder):
        self.certs, self.other = folder / "certs", folder / "other"
        for made in (self.certs, self.other):
            make_set(made)
        files = IdentityFiles(self.certs / "gateway.crt", self.certs / "gateway.key", self.certs / "client-ca.crt")
        self.identity = ReloadingIdentity.of(files)
        self.tls = ServerTls(self.identity, require_client=True)
        self.released, self.open, self.port = asyncio.Event(), 0, 0

    @contextlib.asynccontextmanager
    async def serving(self):
        service = Service([error_boundary(60), self.tls.interceptor()], 60)
        handlers = {
            "Say": grpc.unary_unary_rpc_method_handler(self._say),
            "Hear": grpc.stream_stream_rpc_method_handler(self._hear),
        }
        service.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.Test", handlers),))
        self.port = service.listen("127.0.0.1:0", self.tls.credentials())
        service.listen_for_probes("127.0.0.1:0")
        await service.start()
        try:
            yield self
        finally:
            await service.drain(0)

    @contextlib.asynccontextmanager
    async def client(self, folder, name="client", ca=None):
        """A connection with a certificate of a folder, which trusts the server's own authority, or `ca`."""
        identity = Identity.read(folder / f"{name}.crt", folder / f"{name}.key", (ca or self.certs) / "ca.crt")
        options = (("grpc.use_local_subchannel_pool", 1),)
        async with grpc.aio.secure_channel(
            f"localhost:{self.port}", identity.channel_credentials(), options
        ) as channel:
            yield channel

    def replace(self, name, source):
        """Put a file of the other set in the place of one of the server's."""
        shutil.copy(self.other / source, self.certs / name)

    async def _say(self, request, context):
        self.open += request == b"wait"
        if request == b"wait":
            await self.released.wait()
        return b"said"

    async def _hear(self, requests, context):
        async for request in requests:
            self.open += 1
            yield request


@pytest.fixture
async def rig(tmp_path):
    async with Rig(tmp_path).serving() as rig:
        yield rig


async def say(channel, text=b"hello"):
    return await within(channel.unary_unary("/t.Test/Say")(text))


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await within(call)
    return from_rpc(caught.value)


async def test_the_certificate_of_an_authority_is_no_clients(rig):
    """TLS takes it: it is trusted, and may be used for signatures."""
    async with rig.client(rig.certs, "client-ca") as channel:
        error = await refusal(say(channel))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CLIENT_CERTIFICATE")
    async with rig.client(rig.certs) as channel:
        assert await say(channel) == b"said"


async def test_a_new_certificate_of_the_server_is_shown_to_new_connections(rig):
    async with rig.client(rig.certs) as before:
        assert await say(before) == b"said"
        for name in ("gateway.crt", "gateway.key"):
            rig.replace(name, name)
        rig.identity.reload()
        assert await say(before) == b"said"
        async with rig.client(rig.certs, ca=rig.other) as after:
            assert await say(after) == b"said"


async def test_half_of_a_new_set_changes_nothing(rig):
    rig.replace("gateway.crt", "gateway.crt")
    rig.identity.reload()
    async with rig.client(rig.certs) as channel:
        assert await say(channel) == b"said"
    rig.replace("gateway.key", "gateway.key")
    rig.identity.reload()
    async with rig.client(rig.certs, ca=rig.other) as channel:
        assert await say(channel) == b"said"


async def test_a_removed_authority_ends_what_is_open(rig):
    async with rig.client(rig.certs) as channel:
        waiting = asyncio.ensure_future(say(channel, b"wait"))
        stream = channel.stream_stream("/t.Test/Hear")()
        await stream.write(b"x")
        assert await within(stream.read()) == b"x"
        await until(lambda: rig.open == 2)
        rig.replace("client-ca.crt", "client-ca.crt")
        rig.identity.reload()
        for call in (waiting, stream.read(), say(channel)):
            error = await refusal(call)
            assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CLIENT_CERTIFICATE")
    async with rig.client(rig.other, ca=rig.certs) as channel:
        assert await say(channel) == b"said"


async def test_an_authority_beside_the_old_one_ends_nothing(rig):
    async with rig.client(rig.certs) as channel:
        waiting = asyncio.ensure_future(say(channel, b"wait"))
        await until(lambda: rig.open == 1)
        both = (rig.certs / "client-ca.crt").read_bytes() + (rig.other / "client-ca.crt").read_bytes()
        (rig.certs / "client-ca.crt").write_bytes(both)
        rig.identity.reload()
        async with rig.client(rig.other, ca=rig.certs) as new:
            assert await say(new) == b"said"
        rig.released.set()
        assert await within(waiting) == b"said"
        assert await say(channel) == b"said"


async def test_an_authority_that_comes_back_is_trusted_again(rig):
    own = (rig.certs / "client-ca.crt").read_bytes()
    async with rig.client(rig.certs) as channel:
        assert await say(channel) == b"said"
        rig.replace("client-ca.crt", "client-ca.crt")
        rig.identity.reload()
        assert (await refusal(say(channel))).reason == "CLIENT_CERTIFICATE"
        (rig.certs / "client-ca.crt").write_bytes(own)
        rig.identity.reload()
        assert await say(channel) == b"said"


async def test_files_are_followed(rig):
    following = asyncio.ensure_future(rig.identity.follow(0.01))
    before = rig.identity.current
    rig.replace("client-ca.crt", "client-ca.crt")
    await until(lambda: rig.identity.current != before)
    (rig.certs / "client-ca.crt").unlink()  # as while an editor writes it
    await asyncio.sleep(0.05)
    assert not following.done()
    following.cancel()


def intermediate(root: IssuedCertificate) -> IssuedCertificate:
    """An authority that another one signed."""
    own = create_authority("between", DAY)
    builder = x509.CertificateBuilder(
        issuer_name=root.certificate.subject,
        subject_name=own.certificate.subject,
        public_key=own.key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=own.certificate.not_valid_before_utc,
        not_valid_after=own.certificate.not_valid_after_utc,
    ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return IssuedCertificate(builder.sign(root.key, hashes.SHA256()), own.key)


def test_a_chain_leads_to_its_authorities_and_to_no_other():
    root, stranger = create_authority("root", DAY), create_authority("root", DAY)
    between = intermediate(root)
    leaf = issue_certificate(between, "leaf", [CLIENT], ["leaf"], DAY)
    chain = (leaf.certificate_pem, between.certificate_pem)
    assert leads_to(chain, [root.certificate])
    assert leads_to(chain, [stranger.certificate, between.certificate])
    assert not leads_to(chain, [stranger.certificate])
    assert not leads_to(chain[:1], [root.certificate])
    assert not leads_to((b"nothing that can be read",), [root.certificate])
