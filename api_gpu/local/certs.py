"""A set of certificates for a pair on one machine, or to start from elsewhere.

    ca.crt ca.key                  signs the gateway and the encoder; clients trust it
    client-ca.crt client-ca.key    signs clients; the gateway lets in whom it signed
    gateway.crt gateway.key        the gateway: server to clients, client of encoders
    encoder.crt encoder.key        the encoder: lets in whom ca.crt signed as a client, that is gateways alone
    client.crt client.key          a client

Two authorities, so that a client's certificate opens no encoder.
"""

import ipaddress
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
LEAF_DAYS = 825
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH

Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def make_set(folder: Path, hosts: Sequence[str] = ()) -> bool:
    """Make the set in `folder` for this machine's names and `hosts`; False, and nothing touched, when it is there."""
    if (folder / "client.crt").exists():
        return False
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = list(dict.fromkeys(["localhost", "127.0.0.1", "::1", socket.gethostname(), *hosts]))
    ca = authority(folder, "ca", "api-gpu CA")
    client_ca = authority(folder, "client-ca", "api-gpu client CA")
    leaf(folder, "gateway", ca, [SERVER, CLIENT], names)
    leaf(folder, "encoder", ca, [SERVER], names)
    leaf(folder, "client", client_ca, [CLIENT], ["client"])
    return True


def authority(folder: Path, stem: str, name: str) -> Authority:
    """Make a certificate authority: `stem`.crt and `stem`.key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(subject, subject, key, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256())
    _write(folder, stem, certificate, key)
    return certificate, key


def leaf(
    folder: Path, stem: str, signer: Authority, uses: Sequence[x509.ObjectIdentifier], names: Sequence[str]
) -> None:
    """Make a certificate signed by `signer` for `names` (host names and addresses): `stem`.crt and `stem`.key."""
    issuer, issuer_key = signer
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"api-gpu {stem}")])
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        _builder(subject, issuer.subject, key, LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(list(uses)), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(authority_id, critical=False)
    )
    _write(folder, stem, builder.sign(issuer_key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(folder: Path, stem: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with open(os.open(folder / f"{stem}.key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(private)
    (folder / f"{stem}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
