"""Other people's clients of tus and of ByteStream, over a line that is cut, and over a gateway that is killed."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.toolchain import SOURCES, npm_ci, run, sdk, workplace
from tests.support.lone_gateway import KEY, LoneGateway
from tests.support.missing import need
from tests.support.relay import Relay
from tests.support.until import until_sync

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

MIB = 1024 * 1024
CLIENT_SECONDS = 240


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneGateway]:
    with LoneGateway(tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    path.write_bytes(os.urandom(40 * MIB + 7))
    return path


@pytest.fixture
def relay(gateway: LoneGateway) -> Iterator[Relay]:
    with Relay(gateway.url.removeprefix("http://")) as between:
        yield between


@pytest.fixture(scope="module")
def node() -> Path:
    folder = workplace("tus")
    npm_ci(folder)
    return folder / "client.js"


def begin(*command: str | Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "X_API_KEY": KEY}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: "subprocess.Popen[str]") -> str:
    said, error = process.communicate(timeout=CLIENT_SECONDS)
    assert process.returncode == 0, error
    return said.strip()


def check(gateway: LoneGateway, name: str, film: Path) -> None:
    asset = gateway.http.get(f"/{name}").json()
    assert (asset["filename"], asset["contentType"]) == ("film.mp4", "video/mp4")
    assert asset["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest()
    assert gateway.http.get(f"/{name}/content").content == film.read_bytes()


@pytest.mark.parametrize("chunk_bytes", [0, 5 * MIB])
def test_tus_js_client_goes_on_after_a_cut(
    gateway: LoneGateway, relay: Relay, film: Path, node: Path, chunk_bytes: int
) -> None:
    relay.cut_after_sent_bytes = 33 * MIB
    said = json.loads(ended(begin("node", node, f"http://{relay.address}/uploads", film, str(chunk_bytes))))
    assert said["retries"] >= 1
    assert relay.sent_bytes < 40 * MIB + 24 * MIB  # sent anew it would be more
    check(gateway, said["asset"], film)


def test_tus_js_client_goes_on_after_its_gateway_was_killed(
    gateway: LoneGateway, relay: Relay, film: Path, node: Path
) -> None:
    client = begin("node", node, f"http://{relay.address}/uploads", film, "0")
    until_sync(lambda: relay.sent_bytes > 20 * MIB)
    gateway.end(signal.SIGKILL)
    gateway.start()
    check(gateway, json.loads(ended(client))["asset"], film)


def test_tuspy_goes_on_after_a_cut(gateway: LoneGateway, relay: Relay, film: Path) -> None:
    relay.cut_after_sent_bytes = 20 * MIB
    script = SOURCES / "tus" / "client.py"
    name = ended(begin(sdk("python"), script, f"http://{relay.address}/uploads", film, str(4 * MIB)))
    assert relay.connections >= 2
    check(gateway, name, film)


def test_the_bytestream_client_of_google_in_go(gateway: LoneGateway, film: Path) -> None:
    need("go")
    folder = workplace("bytestream")
    run("go", "build", "-o", "bin/", ".", folder=folder)
    name = ended(begin(folder / "bin" / "bytestream", gateway.target, gateway.certificates, film))
    check(gateway, name, film)
