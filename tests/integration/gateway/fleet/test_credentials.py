"""What one instance is given opens that instance and nothing else; real TLS, a real encoder."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import psutil
import pytest
from cryptography import x509

from api_gpu.local import certs as certificates
from gateway.fleet.instances.credentials import issue, open_encoder
from gateway.fleet.instances.instance import InstanceAccess, is_label_of, new_label
from gateway.workers.base import EncoderBusy
from gateway.workers.grpc import GrpcEncoder
from servicekit.certificates import CLOCK_SKEW
from servicekit.config import ConfigError
from servicekit.tls import Identity
from tests.support import encoder_harness
from tests.support.until import HANG_SECONDS

LABEL = "api-gpu-0123456789abcdef"
HOUR_SECONDS = 3600.0


@pytest.fixture(scope="module")
def issued():
    return issue(LABEL, HOUR_SECONDS)


@pytest.fixture(scope="module")
def instance(issued, tmp_path_factory):
    """An encoder that has nothing but its environment."""
    folder = tmp_path_factory.mktemp("instance")
    with encoder_harness.running(folder / "no-certs", folder, issued.environment) as running:
        yield running


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    certificates.make_set(folder)
    return folder


async def asked(encoder, timeout_seconds=HANG_SECONDS):
    try:
        return await encoder.capabilities(timeout_seconds)
    finally:
        await encoder.close()


async def refusal(encoder):
    with pytest.raises(EncoderBusy) as caught:
        await asked(encoder, timeout_seconds=0.3)
    return caught.value.message


async def test_a_gateway_with_the_access_of_the_instance_is_let_in(instance, issued):
    assert (await asked(open_encoder(f"127.0.0.1:{instance.port}", LABEL, issued.access))).slots == 3


async def test_certificates_of_another_instance_open_nothing(instance):
    other = issue(LABEL, HOUR_SECONDS)  # even one of the same name
    assert "does not answer" in await refusal(open_encoder(f"127.0.0.1:{instance.port}", LABEL, other.access))


async def test_another_instances_client_certificate_opens_nothing_either_where_the_ca_is_right(instance, issued):
    other = issue(LABEL, HOUR_SECONDS).access
    mixed = InstanceAccess(issued.access.ca, other.certificate, other.key, issued.access.session_token)
    assert "does not answer" in await refusal(open_encoder(f"127.0.0.1:{instance.port}", LABEL, mixed))


async def test_the_certificate_that_opens_own_encoders_opens_no_rented_one(instance, issued, certs):
    ours = Identity.read(certs / "gateway.crt", certs / "gateway.key", certs / "ca.crt").channel_credentials()
    assert "does not answer" in await refusal(
        GrpcEncoder(f"127.0.0.1:{instance.port}", ours, issued.access.session_token, LABEL)
    )
    pinned = Identity(
        (certs / "gateway.crt").read_bytes(), (certs / "gateway.key").read_bytes(), issued.access.ca.encode()
    )
    assert "does not answer" in await refusal(
        GrpcEncoder(f"127.0.0.1:{instance.port}", pinned.channel_credentials(), issued.access.session_token, LABEL)
    )


async def test_an_instance_of_another_name_is_not_spoken_to(instance, issued):
    text = await refusal(open_encoder(f"127.0.0.1:{instance.port}", new_label("api-gpu"), issued.access))
    assert "does not answer" in text


async def test_a_wrong_token_is_refused(instance, issued):
    wrong = InstanceAccess(issued.access.ca, issued.access.certificate, issued.access.key, "wrong")
    assert "x-session-token" in await refusal(open_encoder(f"127.0.0.1:{instance.port}", LABEL, wrong))


async def test_an_address_that_is_not_a_gateways_is_refused(tmp_path):
    issued = issue(LABEL, HOUR_SECONDS, [ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
    with encoder_harness.running(tmp_path / "no-certs", tmp_path, issued.environment) as instance:
        text = await refusal(open_encoder(f"127.0.0.1:{instance.port}", LABEL, issued.access))
    assert "ALLOWED_IPS" in text


def test_the_key_is_in_no_file_and_no_log(instance, issued):
    secret = Identity.parse(issued.environment["TLS_BUNDLE"]).key.split(b"\n")[1]
    opened = [Path(file.path) for file in psutil.Process(instance.process.pid).open_files()]
    for path in [*instance.work_dir.parent.rglob("*"), *opened]:
        assert not path.is_file() or secret not in path.read_bytes()
    assert issued.environment["TLS_BUNDLE"][:64] not in str(instance.lines)
    assert issued.access.session_token not in str(instance.lines)


def test_certificates_end_soon_after_the_instance(issued):
    bundle = Identity.parse(issued.environment["TLS_BUNDLE"])
    latest = datetime.now(UTC) + timedelta(seconds=HOUR_SECONDS) + CLOCK_SKEW
    earliest = latest - timedelta(seconds=60)
    for pem in (bundle.certificate, bundle.ca, issued.access.certificate.encode(), issued.access.ca.encode()):
        assert earliest < x509.load_pem_x509_certificate(pem).not_valid_after_utc <= latest


def test_the_instance_is_given_no_key_but_its_own(issued):
    given = issued.environment["TLS_BUNDLE"]
    assert Identity.parse(given).ca.decode() == issued.access.ca
    assert issued.access.key not in Identity.parse(given).key.decode()
    assert set(issued.environment) == {"SESSION_TOKEN", "TLS_BUNDLE"}


@pytest.mark.parametrize("text", ["%", "aGVsbG8=", ""])
def test_a_bundle_that_cannot_be_used_is_told_without_its_content(text):
    with pytest.raises(ConfigError, match=r"TLS_BUNDLE=\(hidden\)") as caught:
        Identity.parse(text)
    assert "hello" not in str(caught.value)


def test_a_key_of_another_certificate_is_told(issued):
    bundle = Identity.parse(issued.environment["TLS_BUNDLE"])
    mixed = Identity(bundle.certificate, issued.access.key.encode(), bundle.ca)
    with pytest.raises(ConfigError, match="belong together"):
        Identity.parse(mixed.text)


def test_labels_are_those_of_one_fleet():
    assert is_label_of("api-gpu", new_label("api-gpu"))
    assert not is_label_of("api-gpu", new_label("api-gpu-b"))
    assert not is_label_of("api-gpu", new_label("b"))
    assert not is_label_of("api-gpu", "api-gpu-by-hand")
