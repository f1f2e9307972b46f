"""URLs from clients: parsed once, checked, and redacted for messages and logs."""

import re
from urllib.parse import unquote

import httpx

from servicekit.errors import FailedPrecondition, InvalidArgument
from servicekit.url_secrets import masked_path

SCHEMES = {"http": 80, "https": 443}
MAX_URL_CHARACTERS = 8192
MAX_REDACTED_CHARACTERS = 200
_NAME = re.compile(rb"[A-Za-z0-9_.-]{1,253}")
_IPV6 = re.compile(rb"[0-9A-Fa-f:.]{2,45}")
_TARGET = re.compile(rb"[\x21-\x7e]+")


def parse(text: str) -> httpx.URL:
    """Parse a URL to fetch from: http or https, with a host, without credentials. Raises InvalidArgument."""
    if len(text) > MAX_URL_CHARACTERS:
        raise InvalidArgument(f"A URL may have {MAX_URL_CHARACTERS} characters at most.", reason="BAD_URL")
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError) as error:
        # The parser's text may quote the URL, credentials and all.
        raise InvalidArgument("This source is no valid URL; check how it is written.", reason="BAD_URL") from error
    _check(url)
    return url


def resolve_redirect(url: httpx.URL, location: str) -> httpx.URL:
    """Return the target of a redirect. Raises InvalidArgument, FailedPrecondition (from https to http)."""
    invalid = InvalidArgument(f"{redact(url)} redirects to what is no valid URL.", reason="BAD_URL")
    if len(location) > MAX_URL_CHARACTERS:
        raise invalid
    try:
        target = url.join(location)
    except (httpx.InvalidURL, ValueError) as error:
        raise invalid from error
    _check(target)
    if (url.scheme, target.scheme) == ("https", "http"):
        text = f"{redact(url)} redirects from https to http, which anyone on the way can change; give the other URL."
        raise FailedPrecondition(text, reason="INSECURE_REDIRECT")
    return target


def redact(url: httpx.URL) -> str:
    """Return scheme, host and path of the URL, without secrets in the path; query and credentials may be secrets."""
    path = masked_path(url.host, url.raw_path.partition(b"?")[0].decode("ascii"))
    text = f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}{path}"
    return text if len(text) <= MAX_REDACTED_CHARACTERS else text[:MAX_REDACTED_CHARACTERS] + "…"


def filename(url: httpx.URL) -> str:
    """Return the last part of the path, decoded; not yet safe as the name of a file."""
    return unquote(url.raw_path.partition(b"?")[0].decode("ascii").rpartition("/")[2])


def _check(url: httpx.URL) -> None:
    if url.scheme not in SCHEMES:
        text = 'A source is an http:// or https:// URL, the name of an uploaded asset ("assets/…") or a data: URI.'
        raise InvalidArgument(text, reason="BAD_URL_SCHEME")
    if url.userinfo:
        text = "A URL with a user name or password in it is not taken; use a signed URL, or upload the file."
        raise InvalidArgument(text, reason="URL_HAS_CREDENTIALS")
    if not (_IPV6 if b":" in url.raw_host else _NAME).fullmatch(url.raw_host):
        raise InvalidArgument("The URL names no valid host; check how it is written.", reason="BAD_URL")
    if not _TARGET.fullmatch(url.raw_path):
        raise InvalidArgument("The URL cannot be asked for over HTTP; check how it is written.", reason="BAD_URL")
    if not 1 <= (SCHEMES[url.scheme] if url.port is None else url.port) <= 65535:
        raise InvalidArgument("The port in the URL must be from 1 to 65535.", reason="BAD_URL")
