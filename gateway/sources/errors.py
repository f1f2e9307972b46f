"""What servers answer and what HTTP, TLS and name resolution raise, in terms of the service."""

import contextlib
import socket
import ssl
from collections.abc import Iterator

import httpx

from gateway.sources import urls
from servicekit.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, ServiceError, Unavailable

Verdict = tuple[type[ServiceError], str]

# The first class that fits decides.
FAULTS: dict[type[Exception], Verdict] = {
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
STATUSES: dict[int, Verdict] = {
    404: (NotFound, "does not exist"),
    408: (Unavailable, "asks to be tried again"),
    410: (NotFound, "does not exist any more"),
    425: (Unavailable, "asks to be tried again"),
    429: (Unavailable, "gets too many requests at present; try again later"),
}
SERVER_FAILED: Verdict = (Unavailable, "failed at its server; try again later")
REFUSED: Verdict = (FailedPrecondition, "was refused; is the link still valid?")
# Names that are not there, as against servers for names that do not answer. Not every system has all of them.
NO_SUCH_NAME = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAIL") if hasattr(socket, name)}


@contextlib.contextmanager
def http_errors(url: httpx.URL) -> Iterator[None]:
    """Raise ServiceErrors for what is raised within; their texts show the URL without its secrets."""
    try:
        yield
    except (httpx.HTTPError, OSError) as error:
        raise _fault(url, error) from error


def refusal(url: httpx.URL, status: int) -> ServiceError:
    """The error behind an answer that is not the file."""
    kind, text = STATUSES.get(status, SERVER_FAILED if status >= 500 else REFUSED)
    metadata = {"http_status": str(status)}
    return kind(f"{urls.shown(url)} {text} (HTTP status {status}).", reason="FETCH_REFUSED", metadata=metadata)


def unresolved(host: str, error: Exception) -> ServiceError:
    """The error behind a name that did not resolve: gaierror, or UnicodeError for what cannot be a name."""
    if isinstance(error, UnicodeError) or (isinstance(error, socket.gaierror) and error.errno in NO_SUCH_NAME):
        return NotFound(f"There is no host {host!r}; check how the URL is written.", reason="NO_SUCH_HOST")
    return Unavailable(f"The host {host!r} cannot be looked up at present; try again later.", reason="FETCH_FAILED")


def _fault(url: httpx.URL, error: Exception) -> ServiceError:
    if _is_certificate(error):
        text = f"{urls.shown(url)}: the certificate of {url.host} is not valid for it; fix it, or upload the file."
        return FailedPrecondition(text, reason="BAD_CERTIFICATE")
    kind, text = next(fault for cls, fault in FAULTS.items() if isinstance(error, cls))
    return kind(f"{urls.shown(url)} {text}.", reason="FETCH_FAILED")


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
