"""HTTP headers to call metadata and deadline, and metadata to HTTP headers, as grpc-gateway maps them.

In: Authorization, X-API-Key, Idempotency-Key, X-Request-Id and Grpc-Metadata-*; other headers are dropped.
Out: x-request-id as X-Request-Id, the rest as Grpc-Metadata-* (initial) and Grpc-Trailer-* (trailing).
"""

import base64
import binascii
import re
from collections.abc import Iterable

from starlette.datastructures import Headers

from gateway.rest.status import HeadTooLarge
from servicekit.chunks import ACCEPTED
from servicekit.errors import DETAILS_KEY, InvalidArgument
from servicekit.interceptors import REQUEST_ID, valid_request_id

Pair = tuple[str, str | bytes]

API_KEY = "x-api-key"
# The proxy tells the services what it knows of its client, which they believe on the private socket alone.
BASE_URL = "x-apigpu-base-url"
KEEP_JOB = "x-apigpu-keep-job"
HTTP_CODE = "x-http-code"
FORWARDED = ("authorization", API_KEY, "idempotency-key")
# Id of the job that a call has made, before its answer.
JOB_ID = "x-apigpu-job"
NOT_FORWARDED = (REQUEST_ID, HTTP_CODE, DETAILS_KEY, ACCEPTED, "content-type", "user-agent")
# What begins so is between gRPC, the services and this proxy.
_PRIVATE = ("grpc-", "x-apigpu-")
PREFIX = "grpc-metadata-"
# Keys that only this proxy may set, and those of gRPC and HTTP/2 themselves.
_RESERVED = re.compile(r"x-apigpu-.*|grpc-.*|:.*|x-request-id|te|host|connection|content-type|user-agent|transfer-.*")
_KEY = re.compile(r"[0-9a-z_.\-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
MAX_TIMEOUT_SECONDS = 365 * 86_400.0
_UNIT_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
# What gRPC's limit on metadata, 8 KiB, leaves beside the entries of its own and ours; and what it adds for each entry.
MAX_FORWARDED_BYTES = 6 * 1024
_ENTRY_BYTES = 32
_HOST = re.compile(r"[A-Za-z0-9.\-_]{1,255}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


def request_metadata(headers: Headers, request_id: str, base_url: str) -> tuple[Pair, ...]:
    """Return the metadata of the call. Raises InvalidArgument for a header that cannot be forwarded."""
    pairs: list[Pair] = [(REQUEST_ID, request_id), (BASE_URL, base_url), (KEEP_JOB, "1")]
    size_bytes = 0
    for name, value in headers.items():
        if name in FORWARDED:
            pairs.append((name, _check_value(name, value)))
        elif name.startswith(PREFIX) and not _RESERVED.fullmatch(key := name.removeprefix(PREFIX)):
            convert = _decode_binary if key.endswith("-bin") else _check_value
            pairs.append((_check_key(name, key), convert(name, value)))
        else:
            continue
        size_bytes += len(name) + len(value) + _ENTRY_BYTES
        if size_bytes > MAX_FORWARDED_BYTES:
            text = f"Authorization, X-API-Key and Grpc-Metadata-… together are over {MAX_FORWARDED_BYTES} bytes."
            raise HeadTooLarge(text)
    return tuple(pairs)


def _check_key(name: str, key: str) -> str:
    if not _KEY.fullmatch(key):
        raise InvalidArgument(
            f"The header {name} names no metadata key: only letters, digits, '-', '_' and '.'.", reason="BAD_HEADER"
        )
    return key


def _check_value(name: str, value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise InvalidArgument(f"The header {name} has characters other than printable ASCII.", reason="BAD_HEADER")
    return value


def _decode_binary(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(
            f"The header {name} must be base64, since its name ends in -bin.", reason="BAD_HEADER"
        ) from error


def timeout_seconds(headers: Headers) -> float | None:
    """Return the deadline in Grpc-Timeout; None without the header. Raises InvalidArgument."""
    value = headers.get("grpc-timeout")
    if value is None:
        return None
    found = _TIMEOUT.fullmatch(value)
    if not found:
        raise InvalidArgument(
            f'Grpc-Timeout is "{value}"; it must be up to 8 digits and a unit of H M S m u n, like 30S.',
            reason="BAD_HEADER",
            fields={"Grpc-Timeout": "digits and a unit"},
        )
    return min(int(found[1]) * _UNIT_SECONDS[found[2]], MAX_TIMEOUT_SECONDS)


def request_id(headers: Headers) -> str:
    """Return the client's X-Request-Id if it is valid, else a new id."""
    return valid_request_id(headers.get("x-request-id", ""))


def base_url(headers: Headers, scheme: str, server: tuple[str, int | None] | None) -> str:
    """Return scheme and host by which the client reached this server. Raises InvalidArgument for a malformed Host."""
    host, port = server or ("localhost", None)
    authority = headers.get("host") or (f"{host}:{port}" if port else host)
    if not _HOST.fullmatch(authority):
        raise InvalidArgument("The Host header is no host name.", reason="BAD_HEADER", fields={"Host": "no host name"})
    return f"{scheme}://{authority}"


def response_headers(initial: Iterable[Pair], trailing: Iterable[Pair]) -> list[tuple[str, str]]:
    """Return the HTTP headers of a call's metadata."""
    return [*_forward(initial, "grpc-metadata-"), *_forward(trailing, "grpc-trailer-")]


def _forward(pairs: Iterable[Pair], prefix: str) -> list[tuple[str, str]]:
    return [
        (prefix + key, base64.b64encode(value).decode() if isinstance(value, bytes) else value)
        for key, value in pairs
        if key not in NOT_FORWARDED and not key.startswith(_PRIVATE)
    ]


def http_override(*metadata: Iterable[Pair]) -> int | None:
    """Return the HTTP status that a servicer set with x-http-code, if any."""
    for key, value in (pair for pairs in metadata for pair in pairs):
        if key == HTTP_CODE and isinstance(value, str) and value.isdecimal() and 200 <= int(value) <= 599:
            return int(value)
    return None
