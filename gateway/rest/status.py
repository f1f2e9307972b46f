"""gRPC codes as HTTP status, and the JSON body of errors."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

import grpc
from google.rpc import error_details_pb2, status_pb2

from gateway.rest.protojson.encode import to_json
from servicekit import errors
from servicekit.errors import CODES, LASTING_LIMITS, ServiceError, rpc_status
from servicekit.interceptors import REQUEST_ID

Code = grpc.StatusCode
HTTP_STATUS: dict[grpc.StatusCode, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.UNAUTHENTICATED: 401,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
}
TITLES: dict[int, str] = {
    **{status.value: status.phrase for status in HTTPStatus if status >= 400},
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    460: "Checksum Mismatch",
    499: "Client Closed Request",
    500: "Processing failed",
}
# Titles of the contract, by the reason in the error's ErrorInfo.
REASON_TITLES: dict[str, str] = {
    "JOB_NOT_FOUND": "Job not found",
    "CANCEL_REFUSED": "Failed to cancel job",
}
# For limits that waiting does not lift 429 would invite the client to try again.
REASON_STATUS: dict[str, int] = {**dict.fromkeys(LASTING_LIMITS, 413), "STORAGE_FULL": 507}
# Source: the protocol tus 1.0.
UPLOAD_STATUS: dict[str, int] = {"UPLOAD_EXPIRED": 410, "CHECKSUM_MISMATCH": 460}
UNREACHABLE = "The service cannot answer just now; try again in a moment."
# Texts and reasons for the codes of gRPC itself. Its own texts are about sockets, metadata and code, not for clients.
_TRANSPORT_ERRORS: dict[grpc.StatusCode, tuple[str, str]] = {
    Code.RESOURCE_EXHAUSTED: ("The service has too many calls just now; try again in a moment.", "TOO_MANY_CALLS"),
    Code.DEADLINE_EXCEEDED: ("The deadline of the request has passed.", "DEADLINE_EXCEEDED"),
    Code.CANCELLED: ("The call was cancelled.", "CANCELLED"),
}


class MethodNotAllowed(errors.Unimplemented):
    """The path exists, with other methods; `allow` is the value of the Allow header."""

    http_status: ClassVar[int] = 405

    def __init__(self, http_method: str, path: str, allowed: Iterable[str]) -> None:
        methods = set(allowed)
        self.allow = ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
        super().__init__(f"{path} does not take {http_method}; it takes {self.allow}.", reason="METHOD_NOT_ALLOWED")
        self.headers = (("allow", self.allow),)


class UnsupportedMedia(errors.InvalidArgument, reason="UNSUPPORTED_MEDIA"):
    """The body has an encoding that is not supported."""

    http_status: ClassVar[int] = 415


class Gone(errors.NotFound, reason="GONE"):
    """The resource of a link is gone for good."""

    http_status: ClassVar[int] = 410


class RequestTimeout(errors.DeadlineExceeded, reason="REQUEST_TIMEOUT"):
    """Head or body of the request did not come in time."""

    http_status: ClassVar[int] = 408


class MalformedHttp(errors.InvalidArgument, reason="MALFORMED_HTTP"):
    """The request does not keep to HTTP."""


class HeadTooLarge(errors.InvalidArgument, reason="HEAD_TOO_LARGE"):
    """Request line and headers are over the limit."""

    http_status: ClassVar[int] = 431


class TargetTooLong(errors.InvalidArgument, reason="HEAD_TOO_LARGE"):
    """Path and query are over the limit."""

    http_status: ClassVar[int] = 414


class RangeNotSatisfiable(ServiceError, code=Code.OUT_OF_RANGE, reason="RANGE_NOT_SATISFIABLE"):
    """The requested range lies outside the file of `size_bytes`."""

    http_status: ClassVar[int] = 416

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The range asked for is outside the file, which has {size_bytes} bytes.")
        self.headers = (("content-range", f"bytes */{size_bytes}"),)


@dataclass(frozen=True)
class HttpError:
    """A failed request: google.rpc.Status, HTTP status and the HTTP headers that go with it."""

    status: status_pb2.Status
    http_status: int
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """Return what failed, in few words."""
        return REASON_TITLES.get(_reason(self.status)) or TITLES.get(self.http_status) or TITLES[500]

    def body(self) -> dict[str, Any]:
        """Return the JSON body: `error` and `message` for people, `code`, `status` and `details` for programs."""
        return {"error": self.title, **self.line()}

    def line(self) -> dict[str, Any]:
        """Return the Status as JSON, for the last line of a failed stream."""
        return {
            "message": self.status.message,
            "code": self.status.code,
            "status": CODES.get(self.status.code, Code.UNKNOWN).name,
            "details": [to_json(detail) for detail in self.status.details],
        }


def from_error(error: ServiceError) -> HttpError:
    status = error.to_status()
    number = getattr(error, "http_status", None) or http_status(status)
    return HttpError(status, number, (*getattr(error, "headers", ()), *_standard_headers(status, number)))


def from_call(error: grpc.aio.AioRpcError, override: int | None = None) -> HttpError:
    """Return the HTTP error of a failed call; `override` is the HTTP status that the servicer set."""
    status = rpc_status(error)
    if not any(key == REQUEST_ID for key, _ in error.trailing_metadata() or ()):
        status.message, reason = _TRANSPORT_ERRORS.get(error.code(), (UNREACHABLE, "UNREACHABLE"))
        errors.complete(status, reason)
    errors.complete(status)
    number = override or http_status(status)
    return HttpError(status, number, _standard_headers(status, number))


def http_status(status: status_pb2.Status) -> int:
    """Return the HTTP status of a google.rpc.Status."""
    reason = _reason(status)
    by_reason = REASON_STATUS.get(reason) if status.code == Code.RESOURCE_EXHAUSTED.value[0] else None
    by_reason = by_reason or UPLOAD_STATUS.get(reason)
    return by_reason or HTTP_STATUS[CODES.get(status.code, Code.UNKNOWN)]


def _standard_headers(status: status_pb2.Status, number: int) -> tuple[tuple[str, str], ...]:
    challenge = (("www-authenticate", 'ApiKey header="X-API-Key"'),) if number == 401 else ()
    retry = errors.detail(status, error_details_pb2.RetryInfo)
    if retry is None:
        return challenge
    # Whole seconds, and one at least: programs that are told 0 call again without a pause.
    seconds = max(1, math.ceil(retry.retry_delay.ToMilliseconds() / 1000))
    return (*challenge, ("retry-after", str(seconds)))


def _reason(status: status_pb2.Status) -> str:
    info = errors.detail(status, error_details_pb2.ErrorInfo)
    return info.reason if info else ""
