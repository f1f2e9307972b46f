"""The tree of errors. Each class has a gRPC code; the outermost interceptor alone turns an error into a status.

Every status has a reason, in ErrorInfo, and tells by RetryInfo after how long the same call may succeed, where waiting
helps. Source: google/rpc/error_details.proto, AIP-193.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from servicekit.echo import brief, shorten

D = TypeVar("D", bound=Message)

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "api-gpu"
# Limits that waiting does not lift: a program that is told to wait would repeat the call for ever.
LASTING_LIMITS = frozenset({"TOO_LARGE", "INPUT_TOO_LARGE", "ASSET_TOO_LARGE"})
# Seconds to wait where the error itself does not say, by reason and by code.
REASON_RETRY_SECONDS: dict[str, float | None] = {**dict.fromkeys(LASTING_LIMITS), "STORAGE_FULL": 60.0}
CODE_RETRY_SECONDS = {grpc.StatusCode.UNAVAILABLE: 5.0, grpc.StatusCode.RESOURCE_EXHAUSTED: 2.0}
# Key in an ErrorInfo's metadata, for programs that do not read RetryInfo: whole seconds.
RETRY_AFTER = "retry_after_seconds"


# Reasons that say no more than the fields that they come with.
FIELD_REASONS = ("MISSING_FIELD", "BAD_FIELD", "TOO_MANY_ITEMS")


class ConfigError(Exception):
    """A setting is missing or cannot be used; the text names it and says what to do."""


class ServiceError(Exception):
    """Base of the errors that a caller may see.

    `message` tells people what to do. For programs: `reason` (UPPER_SNAKE; the name of the code where the error has no
    word of its own), `fields`, which maps fields of the request to what is wrong with them, `metadata`, and
    `retry_seconds`, after which the same call may succeed; None where waiting does not help. `log` is the end of what a
    program said that failed, for who looks for the cause.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN
    default_reason: ClassVar[str] = "UNKNOWN"

    def __init_subclass__(cls, code: grpc.StatusCode | None = None, reason: str = "") -> None:
        cls.code = code or cls.code
        cls.default_reason = reason or (code.name if code else cls.default_reason)

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        fields: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_seconds: float | None = None,
        log: str = "",
    ) -> None:
        self.log = log
        self.message = shorten(message)
        super().__init__(self.message)
        self.reason = reason or self.default_reason
        self.fields = {brief(name): shorten(text) for name, text in (fields or {}).items()}
        self.metadata = {name: brief(text) for name, text in (metadata or {}).items()}
        self.retry_seconds = _default_retry(self.code, self.reason) if retry_seconds is None else retry_seconds

    @property
    def number(self) -> int:
        """Return the canonical code as a number: 3 for INVALID_ARGUMENT."""
        return int(self.code.value[0])

    def to_status(self) -> status_pb2.Status:
        """Return the error as google.rpc.Status, with ErrorInfo, BadRequest, RetryInfo and DebugInfo as its details."""
        status = status_pb2.Status(code=self.number, message=self.message)
        # Callers read the first detail: it is the one that says more.
        is_first = self.reason in (self.default_reason, *FIELD_REASONS)
        _add_fields(status, self.fields if is_first else {})
        _add_info(status, self.reason, self.metadata, self.retry_seconds)
        _add_fields(status, {} if is_first else self.fields)
        _add_retry(status, self.retry_seconds)
        if self.log:
            status.details.add().Pack(error_details_pb2.DebugInfo(detail=self.log))
        return status


def _default_retry(code: grpc.StatusCode, reason: str) -> float | None:
    return REASON_RETRY_SECONDS[reason] if reason in REASON_RETRY_SECONDS else CODE_RETRY_SECONDS.get(code)


def _add_info(status: status_pb2.Status, reason: str, metadata: Mapping[str, str], seconds: float | None) -> None:
    again = {} if seconds is None else {RETRY_AFTER: str(math.ceil(seconds))}
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata={**metadata, **again})
    status.details.add().Pack(info)


def _add_fields(status: status_pb2.Status, fields: Mapping[str, str]) -> None:
    if fields:
        violation = error_details_pb2.BadRequest.FieldViolation
        violations = [violation(field=name, description=text) for name, text in fields.items()]
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))


def _add_retry(status: status_pb2.Status, seconds: float | None) -> None:
    if seconds is not None:
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromMilliseconds(math.ceil(seconds * 1000))
        status.details.add().Pack(info)


def detail(status: status_pb2.Status, kind: type[D]) -> D | None:
    """Return the status' detail of a kind; None without one."""
    found = kind()
    return next((found for packed in status.details if packed.Unpack(found)), None)


def complete(status: status_pb2.Status, reason: str = "") -> None:
    """Add the ErrorInfo and RetryInfo that a status which gRPC itself made lacks."""
    if detail(status, error_details_pb2.ErrorInfo) is not None:
        return
    code = CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    reason = reason or code.name
    seconds = _default_retry(code, reason)
    _add_info(status, reason, {}, seconds)
    _add_retry(status, seconds)


class InvalidArgument(ServiceError, code=grpc.StatusCode.INVALID_ARGUMENT):
    """The request is wrong and stays wrong."""

    @classmethod
    def field(cls, name: str, text: str, *, reason: str = "") -> Self:
        """Return the error of one field of the request, by its dotted path: "style.font: is no family name"."""
        return cls(f"{name}: {text}", reason=reason or "BAD_FIELD", fields={name: text})


class FailedPrecondition(ServiceError, code=grpc.StatusCode.FAILED_PRECONDITION):
    """The request is well formed, and the state of the system forbids it."""


class NotFound(ServiceError, code=grpc.StatusCode.NOT_FOUND):
    """The resource named does not exist."""


class AlreadyExists(ServiceError, code=grpc.StatusCode.ALREADY_EXISTS):
    """The resource to create exists already."""


class OutOfRange(ServiceError, code=grpc.StatusCode.OUT_OF_RANGE):
    """A position is outside of what it is a position in."""


class Unauthenticated(ServiceError, code=grpc.StatusCode.UNAUTHENTICATED):
    """The API key is missing or wrong."""


class PermissionDenied(ServiceError, code=grpc.StatusCode.PERMISSION_DENIED):
    """The caller is known, and not allowed."""


class ResourceExhausted(ServiceError, code=grpc.StatusCode.RESOURCE_EXHAUSTED):
    """A limit is exceeded: size, rate, slots."""


class Cancelled(ServiceError, code=grpc.StatusCode.CANCELLED):
    """The caller cancelled the work."""


class DeadlineExceeded(ServiceError, code=grpc.StatusCode.DEADLINE_EXCEEDED):
    """The work took longer than allowed."""


class Aborted(ServiceError, code=grpc.StatusCode.ABORTED):
    """The call lost a race; try again."""


class Unavailable(ServiceError, code=grpc.StatusCode.UNAVAILABLE):
    """The service cannot answer now; try again."""


class DataLoss(ServiceError, code=grpc.StatusCode.DATA_LOSS):
    """Bytes are missing, or differ from what was announced."""


class Unimplemented(ServiceError, code=grpc.StatusCode.UNIMPLEMENTED):
    """The method does not exist here."""


class Internal(ServiceError, code=grpc.StatusCode.INTERNAL):
    """The service itself failed."""


# After which nobody knows whether the call was carried out.
UNANSWERED = (Unavailable, DeadlineExceeded, Internal)

CLASSES: dict[grpc.StatusCode, type[ServiceError]] = {cls.code: cls for cls in ServiceError.__subclasses__()}
CODES: dict[int, grpc.StatusCode] = {int(code.value[0]): code for code in grpc.StatusCode}


def from_code(code: int, message: str, reason: str = "", **details: Any) -> ServiceError:
    """Return the error of a canonical code number; Internal for numbers that have no class."""
    return CLASSES.get(CODES.get(code, grpc.StatusCode.UNKNOWN), Internal)(message, reason=reason, **details)


def from_rpc(error: grpc.Call | grpc.aio.AioRpcError) -> ServiceError:
    """Return the error behind a failed call, with the reason and the fields that the server gave."""
    return from_status(rpc_status(error))


def from_status(status: status_pb2.Status) -> ServiceError:
    """Return the error of a status, with what its details say."""
    info = detail(status, error_details_pb2.ErrorInfo) or error_details_pb2.ErrorInfo()
    bad_request = detail(status, error_details_pb2.BadRequest) or error_details_pb2.BadRequest()
    retry = detail(status, error_details_pb2.RetryInfo)
    debug = detail(status, error_details_pb2.DebugInfo) or error_details_pb2.DebugInfo()
    return from_code(
        status.code,
        status.message,
        reason=info.reason,
        fields={violation.field: violation.description for violation in bad_request.field_violations},
        metadata=dict(info.metadata),
        retry_seconds=retry.retry_delay.ToMilliseconds() / 1000 if retry else None,
        log=debug.detail,
    )


def rpc_status(error: grpc.Call | grpc.aio.AioRpcError) -> status_pb2.Status:
    """Return the google.rpc.Status of a failed call, with the details that its trailing metadata has, if any."""
    pairs: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
    status = status_pb2.Status.FromString(dict(pairs).get(DETAILS_KEY, b""))
    status.code, status.message = int((error.code() or grpc.StatusCode.UNKNOWN).value[0]), error.details() or ""
    return status
