"""What can go wrong, as one tree. Each class carries its gRPC code; the outermost interceptor turns it into a status.

ServiceError
├── InvalidArgument      the request is wrong and stays wrong
├── FailedPrecondition   the request is well formed, the state of things forbids it
├── NotFound             what is named does not exist
├── AlreadyExists        what is to be made exists
├── Unauthenticated      no key, or a wrong one
├── PermissionDenied     known, and not allowed
├── ResourceExhausted    over a limit: size, rate, slots
├── Cancelled            the caller ended it
├── DeadlineExceeded     took longer than allowed
├── Aborted              lost a race; try again
├── Unavailable          cannot serve now; try again
├── DataLoss             bytes are missing or are not those that were announced
├── Unimplemented        not offered here
└── Internal             a fault of the service
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "api-gpu"


class ServiceError(Exception):
    """An error that a caller may see: `message` says what to do, `reason` is for programs (UPPER_SNAKE), `fields`
    maps fields of the request to what is wrong with them, `metadata` is for programs too."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        fields: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.fields = dict(fields or {})
        self.metadata = dict(metadata or {})

    @property
    def number(self) -> int:
        """The canonical code as a number, 3 for INVALID_ARGUMENT."""
        return int(self.code.value[0])

    def details(self) -> list[Message]:
        """The google.rpc messages that go with the status."""
        found: list[Message] = []
        if self.reason:
            found.append(error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata))
        if self.fields:
            violation = error_details_pb2.BadRequest.FieldViolation
            violations = [violation(field=name, description=text) for name, text in self.fields.items()]
            found.append(error_details_pb2.BadRequest(field_violations=violations))
        return found

    def to_status(self) -> status_pb2.Status:
        """The error as google.rpc.Status."""
        status = status_pb2.Status(code=self.number, message=self.message)
        for detail in self.details():
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        return status


class InvalidArgument(ServiceError):
    """The request is wrong and stays wrong."""

    code = grpc.StatusCode.INVALID_ARGUMENT

    @classmethod
    def field(cls, name: str, text: str, *, reason: str = "") -> Self:
        """Return the error of one field of the request, by its dotted path: "style.font: is no family name"."""
        return cls(f"{name}: {text}", reason=reason, fields={name: text})


class FailedPrecondition(ServiceError):
    """The request is well formed, the state of things forbids it."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class NotFound(ServiceError):
    """What is named does not exist."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(ServiceError):
    """What is to be made exists."""

    code = grpc.StatusCode.ALREADY_EXISTS


class Unauthenticated(ServiceError):
    """No key, or a wrong one."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(ServiceError):
    """Known, and not allowed."""

    code = grpc.StatusCode.PERMISSION_DENIED


class ResourceExhausted(ServiceError):
    """Over a limit: size, rate, slots."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Cancelled(ServiceError):
    """The caller ended it."""

    code = grpc.StatusCode.CANCELLED


class DeadlineExceeded(ServiceError):
    """Took longer than allowed."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Aborted(ServiceError):
    """Lost a race; try again."""

    code = grpc.StatusCode.ABORTED


class Unavailable(ServiceError):
    """Cannot serve now; try again."""

    code = grpc.StatusCode.UNAVAILABLE


class DataLoss(ServiceError):
    """Bytes are missing or are not those that were announced."""

    code = grpc.StatusCode.DATA_LOSS


class Unimplemented(ServiceError):
    """Not offered here."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Internal(ServiceError):
    """A fault of the service."""

    code = grpc.StatusCode.INTERNAL


CLASSES: dict[grpc.StatusCode, type[ServiceError]] = {
    cls.code: cls
    for cls in (
        InvalidArgument,
        FailedPrecondition,
        NotFound,
        AlreadyExists,
        Unauthenticated,
        PermissionDenied,
        ResourceExhausted,
        Cancelled,
        DeadlineExceeded,
        Aborted,
        Unavailable,
        DataLoss,
        Unimplemented,
        Internal,
    )
}
CODES: dict[int, grpc.StatusCode] = {int(code.value[0]): code for code in grpc.StatusCode}


def make(code: int, message: str, reason: str = "") -> ServiceError:
    """The error of a canonical code number; Internal for numbers that have no class."""
    return CLASSES.get(CODES.get(code, grpc.StatusCode.UNKNOWN), Internal)(message, reason=reason)


def from_rpc(error: grpc.Call | grpc.aio.AioRpcError) -> ServiceError:
    """The error behind a failed call, with the reason and the fields that the other side gave."""
    return _made(error.code(), error.details() or "", status_details(error))


def from_status(status: status_pb2.Status) -> ServiceError:
    """The error that a google.rpc.Status tells of."""
    return _made(CODES.get(status.code), status.message, status)


def _made(code: grpc.StatusCode | None, text: str, status: status_pb2.Status) -> ServiceError:
    reason, fields, metadata = "", {}, {}
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            fields = {violation.field: violation.description for violation in bad.field_violations}
    return CLASSES.get(code or grpc.StatusCode.UNKNOWN, Internal)(text, reason=reason, fields=fields, metadata=metadata)


def status_details(error: grpc.Call | grpc.aio.AioRpcError) -> status_pb2.Status:
    """The google.rpc.Status that travelled in the trailing metadata; empty when there was none."""
    pairs: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
    for key, value in pairs:
        if key == DETAILS_KEY:
            return status_pb2.Status.FromString(value)
    return status_pb2.Status()
