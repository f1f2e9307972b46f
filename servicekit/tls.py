"""A TLS identity as one line of text, for machines that are given nothing but environment variables.

It never touches a disk: gRPC takes PEM from memory.
"""

import base64
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from servicekit.errors import ConfigError

_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\n?", re.DOTALL)
_UNUSABLE = (
    "TLS_BUNDLE=(hidden): it holds no certificate, key and CA that belong together; give base64 of these three in PEM, "
    "in this order"
)


@dataclass(frozen=True)
class TrustBundle:
    """PEM: a certificate, its private key, and the CA that the other side's certificate must come from."""

    certificate: bytes
    key: bytes = field(repr=False)
    ca: bytes

    @classmethod
    def parse(cls, text: str) -> "TrustBundle":
        """The bundle of `text`. Raises ConfigError, which never shows what is in it."""
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
        """The bundle in one line, as `parse` reads it."""
        return base64.b64encode(self.certificate + self.key + self.ca).decode()

    def server_credentials(self, *, require_client: bool) -> grpc.ServerCredentials:
        """Credentials of a server; without `require_client` a client certificate is not asked for."""
        ca = self.ca if require_client else None
        return grpc.ssl_server_credentials([(self.key, self.certificate)], ca, require_client)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Credentials of a client that presents this certificate."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


@dataclass(frozen=True)
class Identity:
    """PEM files: a certificate chain, its private key, and the CA that the other side's certificate must come from."""

    certificate: Path
    key: Path
    ca: Path

    def server_credentials(self, *, require_client: bool) -> grpc.ServerCredentials:
        """Credentials of a server; without `require_client` a client certificate is not asked for."""
        certificate, key, ca = self._checked()
        return grpc.ssl_server_credentials([(key, certificate)], ca if require_client else None, require_client)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Credentials of a client that presents this certificate."""
        certificate, key, ca = self._checked()
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def _checked(self) -> tuple[bytes, bytes, bytes]:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.ca)
            return self.certificate.read_bytes(), self.key.read_bytes(), self.ca.read_bytes()
        except (OSError, ssl.SSLError) as error:
            files = f"{self.certificate}, {self.key}, {self.ca}"
            raise ConfigError(f"cannot use the TLS files {files}: {error}; make a set with `api-gpu certs`") from error
