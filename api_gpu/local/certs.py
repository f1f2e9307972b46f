"""A set of certificates for a pair on one machine, or to start from elsewhere.

    ca.crt ca.key                  signs the gateway and the encoder; clients trust it
    client-ca.crt client-ca.key    signs clients; the gateway accepts the clients that it signed
    gateway.crt gateway.key        the gateway: server to clients, client of encoders
    encoder.crt encoder.key        the encoder: accepts clients signed by ca.crt, that is gateways alone
    client.crt client.key          a client

Two authorities, so that a client's certificate opens no encoder.
"""

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from servicekit.certificates import CLIENT, SERVER, IssuedCertificate, create_authority, issue_certificate

AUTHORITY_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=825)


def make_set(folder: Path, hosts: Sequence[str] = ()) -> bool:
    """Create the set in `folder` for this machine's names and `hosts`; return False, and touch nothing, if it is
    there."""
    if (folder / "client.crt").exists():
        return False
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = list(dict.fromkeys(["localhost", "127.0.0.1", "::1", socket.gethostname(), *hosts]))
    ca = create_authority("api-gpu CA", AUTHORITY_LIFETIME)
    client_ca = create_authority("api-gpu client CA", AUTHORITY_LIFETIME)
    issued = {"ca": ca, "client-ca": client_ca}
    for stem, signer, uses, subjects in (
        ("gateway", ca, [SERVER, CLIENT], names),
        ("encoder", ca, [SERVER], names),
        ("client", client_ca, [CLIENT], ["client"]),
    ):
        issued[stem] = issue_certificate(signer, f"api-gpu {stem}", uses, subjects, CERTIFICATE_LIFETIME)
    for stem, certificate in issued.items():
        write_pair(folder, stem, certificate)
    return True


def write_pair(folder: Path, stem: str, issued: IssuedCertificate) -> None:
    """Write `stem`.crt, and `stem`.key readable by its owner alone."""
    with open(os.open(folder / f"{stem}.key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(issued.key_pem)
    (folder / f"{stem}.crt").write_bytes(issued.certificate_pem)
