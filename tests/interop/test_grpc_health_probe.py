"""Health, asked by grpc_health_probe."""

import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.interop.toolchain import run, workplace
from tests.support.missing import need
from tools.pair import Pair, free_ports, running

pytestmark = [pytest.mark.interop, pytest.mark.timeout(1500)]

GATEWAY_SERVICES = ("", "apigpu.v1.VideoService", "apigpu.v1.JobService", "apigpu.v1.AssetService")
ENCODER_SERVICES = ("", "apigpu.encoder.v1.EncoderService")
NO_CONNECTION, NO_ANSWER = 2, 3

Probe = Callable[..., int]


@pytest.fixture(scope="module")
def encoder_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, encoder_port: int) -> Iterator[Pair]:
    """A pair whose encoder's main port is known."""
    with running(tmp_path_factory.mktemp("pair"), ENCODER_PORT=str(encoder_port)) as started:
        yield started


@pytest.fixture(scope="module")
def probe() -> Probe:
    """The exit code of grpc_health_probe, built from its module at the version that health_probe/go.mod pins."""
    need("go")
    folder = workplace("health_probe")
    program = folder / "bin" / "grpc-health-probe"
    run("go", "build", "-o", program, "github.com/grpc-ecosystem/grpc-health-probe", folder=folder)

    def ask(port: int | str, *flags: str) -> int:
        return subprocess.run([program, f"-addr=localhost:{port}", *flags], timeout=60).returncode

    return ask


def tls(pair: Pair, name: str = "") -> list[str]:
    """The flags for TLS; with `name`, presenting that certificate."""
    folder = pair.certificates
    own = [f"-tls-client-cert={folder}/{name}.crt", f"-tls-client-key={folder}/{name}.key"]
    return ["-tls", f"-tls-ca-cert={folder}/ca.crt", *(own if name else [])]


@pytest.mark.parametrize("service", GATEWAY_SERVICES)
def test_the_gateway_answers_in_plaintext(probe, pair, service):
    assert probe(pair.health_port, f"-service={service}") == 0


@pytest.mark.parametrize("service", ENCODER_SERVICES)
def test_the_encoder_answers_in_plaintext(probe, pair, service):
    assert probe(pair.encoder_health_port, f"-service={service}") == 0


def test_the_gateway_answers_over_mutual_tls_without_a_key(probe, pair):
    assert probe(grpc_port(pair), *tls(pair, "client")) == 0


def test_the_encoder_answers_a_gateway_over_mutual_tls(probe, pair, encoder_port):
    assert probe(encoder_port, *tls(pair, "gateway")) == 0


def test_the_gateway_wants_a_certificate(probe, pair):
    assert probe(grpc_port(pair), *tls(pair)) == NO_CONNECTION


@pytest.mark.parametrize("name", ["", "client"])
def test_the_encoder_wants_the_certificate_of_a_gateway(probe, pair, encoder_port, name):
    assert probe(encoder_port, *tls(pair, name)) == NO_CONNECTION


def test_the_main_ports_do_not_speak_plaintext(probe, pair, encoder_port):
    assert probe(grpc_port(pair)) == NO_CONNECTION
    assert probe(encoder_port) == NO_CONNECTION


def test_an_unknown_service_is_not_known(probe, pair):
    assert probe(pair.health_port, "-service=apigpu.v1.NoService") == NO_ANSWER


def grpc_port(pair: Pair) -> str:
    return pair.target.rpartition(":")[2]
