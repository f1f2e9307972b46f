"""Errors of downloads: answers of servers, and errors of HTTP, TLS and name resolution, as ServiceErrors."""

import contextlib
import socket
import ssl
from collections.abc import Iterator

import httpx

from gateway.sources import urls
from servicekit.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, ServiceError, Unavailable

Translation = tuple[type[ServiceError], str]

# The first class that matches decides.
TRANSLATIONS: dict[type[Exception], Translation] = {
    httpx.ConnectTimeout: (Unavailable, "did not take a connection in time; try again later"),
    httpx.TimeoutException: (DeadlineExceeded, "stopped sending; try again, or upload the file instead"),
    TimeoutError: (DeadlineExceeded, "took longer than a download may; upload the file instead"),
    httpx.LocalProtocolError: (InvalidArgument, "cannot be asked for over HTTP; check how the URL is written"),
    httpx.UnsupportedProtocol: (InvalidArgument, "cannot be asked for over HTTP; check how the URL is written"),
    httpx.ConnectError: (Unavailable, "cannot be connected to; try again later"),
    httpx.ReadError: (Unavailable, "broke the connection off; try again"),
    httpx.RemoteProtocolError: (Unavailable, "broke its answer off, or does not keep to HTTP; try again"),
    httpx.HTTPError: (Unavailable, "could not be downloaded; try again later"),
    OSError: (Unavailable, "could not be downloaded; try again later"),
}
STATUSES: dict[int, Translation] = {
    404: (NotFound, "does not exist"),
    408: (Unavailable, "asks to be tried again"),
    410: (NotFound, "does not exist any more"),
    425: (Unavailable, "asks to be tried again"),
    429: (Unavailable, "gets too many requests at present; try again later"),
}
SERVER_FAILED: Translation = (Unavailable, "failed at its server; try again later")
REFUSED: Translation = (FailedPrecondition, "was refused; is the link still valid?")
# For names that do not exist, as opposed to name servers that do not answer. Not every system has all of them.
NO_SUCH_NAME = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAIL") if hasattr(socket, name)}


@contextlib.contextmanager
def http_errors(url: httpx.URL) -> Iterator[None]:
    """Translate errors of httpx and sockets that the block raises; the texts show the URL without its secrets."""
    try:
        yield
    except (httpx.HTTPError, OSError) as error:
        raise _translate(url, error) from error


def status_error(url: httpx.URL, status: int) -> ServiceError:
    """Return the error of a response whose HTTP status is not 200."""
    kind, text = STATUSES.get(status, SERVER_FAILED if status >= 500 else REFUSED)
    metadata = {"http_status": str(status)}
    return kind(f"{urls.redact(url)} {text} (HTTP status {status}).", reason="FETCH_REFUSED", metadata=metadata)


def resolution_error(host: str, error: Exception) -> ServiceError:
    """Return the error of a name that did not resolve: a gaierror, or a UnicodeError for an impossible name."""
    if isinstance(error, UnicodeError) or (isinstance(error, socket.gaierror) and error.errno in NO_SUCH_NAME):
        return NotFound(f"There is no host {host!r}; check how the URL is written.", reason="NO_SUCH_HOST")
    return Unavailable(f"The host {host!r} cannot be looked up at present; try again later.", reason="FETCH_FAILED")


def _translate(url: httpx.URL, error: Exception) -> ServiceError:
    if _is_certificate_error(error):
        text = f"{urls.redact(url)}: the certificate of {url.host} is not valid for it; fix it, or upload the file."
        return FailedPrecondition(text, reason="BAD_CERTIFICATE")
    kind, text = next(found for cls, found in TRANSLATIONS.items() if isinstance(error, cls))
    return kind(f"{urls.redact(url)} {text}.", reason="FETCH_FAILED")


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
