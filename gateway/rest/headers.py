"""HTTP headers as call metadata and deadline, and metadata as HTTP headers, in the manner of grpc-gateway.

In: Authorization, X-API-Key, X-Request-Id and Grpc-Metadata-*; every other header stays outside.
Out: x-request-id as X-Request-Id, the rest as Grpc-Metadata-* (initial) and Grpc-Trailer-* (trailing).
"""

import base64
import binascii
import re
import secrets
from collections.abc import Iterable

from starlette.datastructures import Headers

from servicekit.errors import DETAILS_KEY, InvalidArgument
from servicekit.interceptors import REQUEST_ID

Pair = tuple[str, str | bytes]

API_KEY = "x-api-key"
BASE_URL = "x-apigpu-base-url"
KEEP_JOB = "x-apigpu-keep-job"
HTTP_CODE = "x-http-code"
FORWARDED = ("authorization", API_KEY)
PREFIX = "grpc-metadata-"
# What only this proxy may say, and what belongs to gRPC and HTTP/2 themselves.
_RESERVED = re.compile(r"x-apigpu-.*|grpc-.*|:.*|x-request-id|te|host|connection|content-type|user-agent|transfer-.*")
_KEY = re.compile(r"[0-9a-z_.\-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
LONGEST_TIMEOUT_SECONDS = 365 * 86_400.0
_UNIT_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_HOST = re.compile(r"[A-Za-z0-9.\-_]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def request_metadata(headers: Headers, request_id: str, base_url: str) -> tuple[Pair, ...]:
    """The metadata of the call. Raises InvalidArgument for a header that cannot be passed on."""
    pairs: list[Pair] = [(REQUEST_ID, request_id), (BASE_URL, base_url), (KEEP_JOB, "1")]
    for name, value in headers.items():
        if name in FORWARDED:
            pairs.append((name, _checked(name, value)))
        elif name.startswith(PREFIX) and not _RESERVED.fullmatch(key := name.removeprefix(PREFIX)):
            pairs.append(
                (_checked_key(name, key), _binary(name, value) if key.endswith("-bin") else _checked(name, value))
            )
    return tuple(pairs)


def _checked_key(name: str, key: str) -> str:
    if not _KEY.fullmatch(key):
        raise InvalidArgument(f"The header {name} names no metadata key: only letters, digits, '-', '_' and '.'.")
    return key


def _checked(name: str, value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise InvalidArgument(f"The header {name} has characters other than printable ASCII.")
    return value


def _binary(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(f"The header {name} must be base64, since its name ends in -bin.") from error


def timeout_seconds(headers: Headers) -> float | None:
    """The deadline that Grpc-Timeout asks for; None when it is not there. Raises InvalidArgument."""
    value = headers.get("grpc-timeout")
    if value is None:
        return None
    found = _TIMEOUT.fullmatch(value)
    if not found:
        raise InvalidArgument(
            f'Grpc-Timeout is "{value}"; it must be up to 8 digits and a unit of H M S m u n, like 30S.',
            fields={"Grpc-Timeout": "digits and a unit"},
        )
    return min(int(found[1]) * _UNIT_SECONDS[found[2]], LONGEST_TIMEOUT_SECONDS)


def request_id(headers: Headers) -> str:
    """The request's id: what the client gave as X-Request-Id when it can be used, else a new one."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def base_url(headers: Headers, scheme: str, server: tuple[str, int | None] | None) -> str:
    """Scheme and host by which the client reached this server. Raises InvalidArgument for a Host that is none."""
    host, port = server or ("localhost", None)
    given = headers.get("host") or (f"{host}:{port}" if port else host)
    if not _HOST.fullmatch(given):
        raise InvalidArgument("The Host header is no host name.", fields={"Host": "no host name"})
    return f"{scheme}://{given}"


def response_headers(initial: Iterable[Pair], trailing: Iterable[Pair]) -> list[tuple[str, str]]:
    """The HTTP headers that a call's metadata become."""
    return [*_outgoing(initial, "grpc-metadata-"), *_outgoing(trailing, "grpc-trailer-")]


def _outgoing(pairs: Iterable[Pair], prefix: str) -> list[tuple[str, str]]:
    made = []
    for key, value in pairs:
        if key not in (REQUEST_ID, HTTP_CODE, DETAILS_KEY, "content-type", "user-agent") and not key.startswith(
            "grpc-"
        ):
            made.append((prefix + key, base64.b64encode(value).decode() if isinstance(value, bytes) else value))
    return made


def http_override(*metadata: Iterable[Pair]) -> int | None:
    """The HTTP status that a servicer asked for with x-http-code; None when it asked for none."""
    for key, value in (pair for pairs in metadata for pair in pairs):
        if key == HTTP_CODE and isinstance(value, str) and value.isdecimal() and 200 <= int(value) <= 599:
            return int(value)
    return None
