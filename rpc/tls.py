"""TLS credentials from PEM files, checked before use: gRPC itself would only fail at the first handshake."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from rpc.config import ConfigError


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
