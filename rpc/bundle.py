"""A TLS identity as one line of text, for machines that are given nothing but environment variables.

It never touches a disk: gRPC takes PEM from memory.
"""

import base64
import re
from dataclasses import dataclass, field

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rpc.config import ConfigError

_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----\n?", re.DOTALL)
_UNUSABLE = (
    "TLS_BUNDLE=(hidden): it holds no certificate, key and CA that belong together; give base64 of these three in PEM, "
    "in this order"
)


@dataclass(frozen=True)
class Bundle:
    """PEM: a certificate, its private key, and the CA that the other side's certificate must come from."""

    certificate: bytes
    key: bytes = field(repr=False)
    ca: bytes

    @classmethod
    def parse(cls, text: str) -> "Bundle":
        """The bundle of `text`. Raises ConfigError, which never shows what is in it."""
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
