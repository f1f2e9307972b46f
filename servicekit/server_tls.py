"""TLS of a server that lives longer than its certificates: the files are read again when they change, and what a client
presented in its handshake is judged at each of its calls.

A connection outlives the CA that it was made under: TLS asks for the certificate once. So a client whose authority was
removed is refused at its next call, and its open calls end, as soon as the files were read again.
"""

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from servicekit.config import ConfigError
from servicekit.errors import Unauthenticated
from servicekit.interceptors import AroundCall, Context
from servicekit.tls import Identity, IdentityFiles

log = structlog.get_logger("servicekit.tls")

RELOAD_SECONDS = 10.0
# Longer chains end the search for their root.
MAX_CHAIN = 8
# Certificates whose verdict is kept.
MAX_JUDGED = 1024

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

Chain = tuple[bytes, ...]


class ReloadingIdentity:
    """An identity that follows its files; one without files stays as it is. `current` is what is in force."""

    def __init__(self, current: Identity, files: IdentityFiles | None = None) -> None:
        self.current = current
        self._files = files
        self._version = files.version() if files else ()
        self._subscribers: list[Callable[[], None]] = []

    @classmethod
    def of(cls, files: IdentityFiles) -> "ReloadingIdentity":
        """Read the files. Raises ConfigError."""
        return cls(files.read(), files)

    def subscribe(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` whenever another identity is in force."""
        self._subscribers.append(on_change)

    async def follow(self, seconds: float = RELOAD_SECONDS) -> None:
        """Look every so many seconds whether the files have changed, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            self.reload()

    def reload(self) -> None:
        """Read the files if they have changed. What cannot be used, as half of a new set, changes nothing."""
        if self._files is None or (version := self._files.version()) == self._version:
            return
        self._version = version
        try:
            self.current = self._files.read()
        except ConfigError as error:
            log.warning("changed TLS files cannot be used; the ones before stay in force", error=str(error))
            return
        log.info("TLS files read again", certificate=str(self._files.certificate))
        for on_change in self._subscribers:
            on_change()


class ServerTls:
    """The credentials of a server, and its judgement of clients' certificates."""

    def __init__(self, identity: ReloadingIdentity, *, require_client: bool) -> None:
        self._identity = identity
        self._require_client = require_client
        self._renewed: grpc.ServerCertificateConfiguration | None = None
        self._authorities = certificates_of(identity.current.ca)
        # Authorities that were trusted once, and are no longer.
        self._removed: list[x509.Certificate] = []
        self._is_removed = functools.lru_cache(maxsize=MAX_JUDGED)(self._leads_to_removed)
        self._open_calls: dict[asyncio.Task[object], Chain] = {}
        self._revoked: set[asyncio.Task[object]] = set()
        identity.subscribe(self._renew)

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials that give each new connection the identity in force."""
        fetch: Any = self._take_renewed  # typed as if it might not return None
        return grpc.dynamic_ssl_server_credentials(self._configuration(), fetch, self._require_client)

    def interceptor(self) -> AroundCall:
        """Return an interceptor, to stand inside the error boundary, that raises Unauthenticated for a call whose
        client presented the certificate of an authority, or one of an authority that was removed."""

        @contextlib.asynccontextmanager
        async def around(method: str, context: Context) -> AsyncIterator[None]:
            chain = presented(context)
            if not chain:  # on a unix socket, or where no certificate is asked for
                yield
                return
            self._judge(chain)
            async with self._revocable(chain):
                yield

        return AroundCall(around)

    def _judge(self, chain: Chain) -> None:
        if is_authority(chain[0]):
            text = "The client certificate is that of an authority, which may only sign others; present one it signed."
            raise Unauthenticated(text, reason="CLIENT_CERTIFICATE")
        if self._is_removed(chain):
            raise _no_longer_trusted()

    @contextlib.asynccontextmanager
    async def _revocable(self, chain: Chain) -> AsyncIterator[None]:
        """Hold the call among those that end when their authority is removed. Raises Unauthenticated then."""
        task = asyncio.current_task()
        assert task is not None
        self._open_calls[task] = chain
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._revoked:
                raise
            task.uncancel()
            raise _no_longer_trusted() from None
        finally:
            self._open_calls.pop(task, None)
            self._revoked.discard(task)

    def _leads_to_removed(self, chain: Chain) -> bool:
        """Return True if the chain leads to an authority that was removed, and to none that is trusted.

        TLS has judged the chain by the authorities of its time, and by more than is looked at here.
        """
        return bool(self._removed) and leads_to(chain, self._removed) and not leads_to(chain, self._authorities)

    def _renew(self) -> None:
        before, self._authorities = self._authorities, certificates_of(self._identity.current.ca)
        self._removed = [each for each in (*self._removed, *before) if each not in self._authorities]
        self._is_removed.cache_clear()
        self._renewed = self._configuration()
        for task, chain in self._open_calls.items():
            if self._is_removed(chain):
                self._revoked.add(task)
                task.cancel()

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        identity = self._identity.current
        ca = identity.ca if self._require_client else None
        return grpc.ssl_server_certificate_configuration([(identity.key, identity.certificate)], ca)

    def _take_renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what has changed since the last connection; None for nothing. Called in threads of gRPC."""
        renewed, self._renewed = self._renewed, None
        return renewed


def _no_longer_trusted() -> Unauthenticated:
    text = "The authority of the client certificate is no longer trusted here; present another certificate."
    return Unauthenticated(text, reason="CLIENT_CERTIFICATE")


def presented(context: Context) -> Chain:
    """Return the PEM of the client's certificate, and of those that it sent along; () where it has none."""
    found = context.auth_context()
    return (*found.get("x509_pem_cert", ()), *found.get("x509_pem_cert_chain", ()))


@functools.lru_cache(maxsize=MAX_JUDGED)
def is_authority(pem: bytes) -> bool:
    """Return True for a certificate that may sign others (RFC 5280, 4.2.1.9)."""
    # A certificate that TLS took and that cannot be read here is none that anybody would sign others with.
    with contextlib.suppress(x509.ExtensionNotFound, ValueError):
        extensions = x509.load_pem_x509_certificate(pem).extensions
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    return False


def certificates_of(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates in PEM, but for those that only TLS can read."""
    found = []
    for block in _CERTIFICATE.findall(pem):
        with contextlib.suppress(ValueError):
            found.append(x509.load_pem_x509_certificate(block))
    return found


def leads_to(chain: Chain, authorities: Sequence[x509.Certificate]) -> bool:
    """Return True if the first certificate of a chain was signed by one of the authorities, directly or by way of the
    others."""
    found = certificates_of(b"\n".join(chain))
    if not found:
        return False
    leaf, *others = found
    for _ in range(MAX_CHAIN):
        if leaf in authorities or _issuer(leaf, authorities) is not None:
            return True
        signer = _issuer(leaf, others)
        if signer is None:
            return False
        leaf = signer
    return False


def _issuer(certificate: x509.Certificate, candidates: Iterable[x509.Certificate]) -> x509.Certificate | None:
    for candidate in candidates:
        with contextlib.suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            certificate.verify_directly_issued_by(candidate)
            return candidate
    return None
