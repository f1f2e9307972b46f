"""TLS identities: from PEM files, or from one line of text for instances that get nothing but environment variables.

The line never touches a disk: gRPC takes PEM from memory.
"""

import base64
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc

from servicekit.errors import ConfigError

_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\n?", re.DOTALL)
_UNUSABLE = (
    "TLS_BUNDLE=(hidden): it holds no certificate, key and CA that belong together; give base64 of these three in PEM, "
    "in this order"
)


@dataclass(frozen=True)
class IdentityFiles:
    """The PEM files of an identity."""

    certificate: Path
    key: Path
    ca: Path

    def read(self) -> "Identity":
        """Read them. Raises ConfigError."""
        return Identity.read(self.certificate, self.key, self.ca)

    def version(self) -> tuple[object, ...]:
        """Return what differs as soon as a file is another one, or there is none."""
        return tuple(_version(path) for path in (self.certificate, self.key, self.ca))


@dataclass(frozen=True)
class Identity:
    """PEM of a certificate chain, its private key, and the CA that must have signed the peer's certificate."""

    certificate: bytes
    key: bytes = field(repr=False)
    ca: bytes

    @classmethod
    def read(cls, certificate: Path, key: Path, ca: Path) -> Self:
        """Read the files, which must belong together. Raises ConfigError."""
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            context.load_verify_locations(ca)
            return cls(certificate.read_bytes(), key.read_bytes(), ca.read_bytes())
        except (OSError, ssl.SSLError) as error:
            files = f"{certificate}, {key}, {ca}"
            raise ConfigError(f"cannot use the TLS files {files}: {error}; make a set with `api-gpu certs`") from error

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text of a bundle. Raises ConfigError, whose message never shows the content."""
        # Imported here: clients use this file too, and do without the library.
        from cryptography import x509
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            blocks = list(_BLOCK.finditer(base64.b64decode(text, validate=True)))
            certificate, key, ca = (block.group(0) for block in blocks)
            x509.load_pem_x509_certificate(ca)
            certified = x509.load_pem_x509_certificate(certificate).public_key()
            is_pair = certified == load_pem_private_key(key, None).public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigError(_UNUSABLE) from error
        if not is_pair:
            raise ConfigError(_UNUSABLE)
        return cls(certificate, key, ca)

    @property
    def text(self) -> str:
        """Return the bundle as one line, which `parse` reads."""
        return base64.b64encode(self.certificate + self.key + self.ca).decode()

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return credentials of a client that presents this certificate."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


def _version(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size
