"""How gateways and one machine know each other: certificates and a token that nobody else has and that end with it.

The host of a rented machine can read all that the machine is given. So it gets nothing that opens anything else: a CA
is made for this machine alone, signs two certificates, and its key is dropped.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.fleet.instances.instance import InstanceAccess
from gateway.workers.grpc import GrpcEncoder
from servicekit.config import Network
from servicekit.tls import TrustBundle

# The clocks of hosts are not ours: certificates begin earlier and end later than needed by so much.
MARGIN_SECONDS = 3600.0
# What the gateways' certificates are made out to; nothing asks for it.
GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class InstanceCredentials:
    """Both sides: what gateways keep, and the environment of the encoder."""

    access: InstanceAccess
    environment: dict[str, str]


def issue(label: str, max_age_seconds: float, gateway_networks: Sequence[Network] = ()) -> InstanceCredentials:
    """Make the certificates and the token of the machine `label`, which lives `max_age_seconds` at most and lets in
    calls from `gateway_networks` (empty: from anywhere)."""
    valid = timedelta(seconds=max_age_seconds + MARGIN_SECONDS)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{label} CA")])
    ca = _signed(ca_name, ca_name, ca_key, ca_key, valid, _ca_extensions())
    ca_pem = ca.public_bytes(serialization.Encoding.PEM)
    server = _leaf(label, ExtendedKeyUsageOID.SERVER_AUTH, ca_name, ca_key, valid)
    client = _leaf(GATEWAY, ExtendedKeyUsageOID.CLIENT_AUTH, ca_name, ca_key, valid)
    token = secrets.token_urlsafe(32)
    environment = {"SESSION_TOKEN": token, "TLS_BUNDLE": TrustBundle(*server, ca_pem).text}
    if gateway_networks:
        environment["ALLOWED_IPS"] = ",".join(map(str, gateway_networks))
    return InstanceCredentials(
        InstanceAccess(ca_pem.decode(), client[0].decode(), client[1].decode(), token), environment
    )


def open_encoder(address: str, label: str, access: InstanceAccess) -> GrpcEncoder:
    """The encoder on the machine `label`, at `address` (host:port): it is that machine, or it is not spoken to."""
    bundle = TrustBundle(access.certificate.encode(), access.key.encode(), access.ca.encode())
    return GrpcEncoder(address, bundle.channel_credentials(), access.session_token, tls_name=label, name=label)


Extensions = list[tuple[x509.ExtensionType, bool]]


def _leaf(
    name: str,
    use: x509.ObjectIdentifier,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    valid: timedelta,
) -> tuple[bytes, bytes]:
    """Certificate and key in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    extensions: Extensions = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage([use]), False),
        (x509.SubjectAlternativeName([x509.DNSName(name)]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    ]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = _signed(subject, issuer, key, issuer_key, valid, extensions)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _ca_extensions() -> Extensions:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return [(x509.BasicConstraints(ca=True, path_length=0), True), (usage, True)]


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    valid: timedelta,
    extensions: Extensions,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(seconds=MARGIN_SECONDS))
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())
