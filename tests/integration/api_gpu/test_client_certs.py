"""The set of certificates: who trusts whom, by real handshakes."""

import asyncio
import ssl
from pathlib import Path

import pytest

from api_gpu.local.certs import make_set


async def handshake(folder: Path, server: str, server_trusts: str, client: str, client_trusts: str, name: str) -> None:
    """A TLS server and a client that present certificates of the set; raises what goes wrong on either side."""
    at_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / f"{server_trusts}.crt")
    at_server.load_cert_chain(folder / f"{server}.crt", folder / f"{server}.key")
    at_server.verify_mode = ssl.CERT_REQUIRED
    at_client = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=folder / f"{client_trusts}.crt")
    at_client.load_cert_chain(folder / f"{client}.crt", folder / f"{client}.key")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(1))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=at_server) as listening:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=at_client, server_hostname=name)
        try:
            writer.write(b"x")
            if await reader.read(1) != b"x":
                raise ssl.SSLError("refused")
        finally:
            writer.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    assert make_set(made, ["gpu.example.com", "192.0.2.7"])
    return made


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "gpu.example.com", "192.0.2.7"])
async def test_a_client_enters_the_gateway(folder: Path, name: str) -> None:
    await handshake(folder, "gateway", "client-ca", "client", "ca", name)


async def test_the_gateway_enters_the_encoder(folder: Path) -> None:
    await handshake(folder, "encoder", "ca", "gateway", "ca", "localhost")


async def test_a_client_enters_no_encoder(folder: Path) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await handshake(folder, "encoder", "ca", "client", "ca", "localhost")


async def test_an_encoder_is_no_client(folder: Path) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await handshake(folder, "encoder", "ca", "encoder", "ca", "localhost")


async def test_another_name_is_refused(folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await handshake(folder, "gateway", "client-ca", "client", "ca", "elsewhere.example.com")


def test_a_set_is_kept(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert not make_set(folder, ["new.example.com"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob("*.key"))
