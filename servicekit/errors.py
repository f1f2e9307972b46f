"""The tree of errors. Each class has a gRPC code; the outermost interceptor alone turns an error into a status."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import grpc
from google.rpc import error_details_pb2, status_pb2

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "api-gpu"
# What an error repeats of its caller's input has at most so many letters, and its whole text so many letters and bytes.
# gRPC sends it twice, percent-encoded in a header, and clients refuse headers over 8 KiB.
MAX_ECHO_LETTERS = 200
MAX_TEXT_LETTERS = 1_000
MAX_TEXT_BYTES = 1_200
# Words, and what stands in quotes.
_ECHOES = re.compile(r"""(?<!\S)\S{201,}|"[^"]{201,}"|(?<!\w)'[^']{201,}'""")


def brief(text: str, letters: int = MAX_ECHO_LETTERS) -> str:
    """Return text of a caller as an error may repeat it: cut to so many letters, the last one "…"."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def shorten(text: str) -> str:
    """Return the text of an error with each word and each quotation in it cut, and the whole."""
    if len(text) <= MAX_ECHO_LETTERS:
        return text
    text = _ECHOES.sub(lambda found: brief(found[0]), text[: 2 * MAX_TEXT_LETTERS * MAX_ECHO_LETTERS])
    text = brief(text, MAX_TEXT_LETTERS)
    encoded = text.encode(errors="replace")
    if len(encoded) <= MAX_TEXT_BYTES:
        return text
    return encoded[: MAX_TEXT_BYTES - 3].decode(errors="ignore") + "…"


class ConfigError(Exception):
    """A setting is missing or cannot be used; the text names it and says what to do."""


class ServiceError(Exception):
    """Base of the errors that a caller may see.

    `message` tells people what to do. For programs: `reason` (UPPER_SNAKE), `fields`, which maps fields of the request
    to what is wrong with them, and `metadata`.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init_subclass__(cls, code: grpc.StatusCode | None = None) -> None:
        cls.code = code or cls.code

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        fields: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.message = shorten(message)
        super().__init__(self.message)
        self.reason = reason
        self.fields = {brief(name): shorten(text) for name, text in (fields or {}).items()}
        self.metadata = dict(metadata or {})

    @property
    def number(self) -> int:
        """Return the canonical code as a number: 3 for INVALID_ARGUMENT."""
        return int(self.code.value[0])

    def to_status(self) -> status_pb2.Status:
        """Return the error as google.rpc.Status, with ErrorInfo and BadRequest as its details."""
        status = status_pb2.Status(code=self.number, message=self.message)
        if self.reason:
            info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
            status.details.add().Pack(info)
        if self.fields:
            violation = error_details_pb2.BadRequest.FieldViolation
            violations = [violation(field=name, description=text) for name, text in self.fields.items()]
            status.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))
        return status


class InvalidArgument(ServiceError, code=grpc.StatusCode.INVALID_ARGUMENT):
    """The request is wrong and stays wrong."""

    @classmethod
    def field(cls, name: str, text: str, *, reason: str = "") -> Self:
        """Return the error of one field of the request, by its dotted path: "style.font: is no family name"."""
        return cls(f"{name}: {text}", reason=reason, fields={name: text})


class FailedPrecondition(ServiceError, code=grpc.StatusCode.FAILED_PRECONDITION):
    """The request is well formed, and the state of the system forbids it."""


class NotFound(ServiceError, code=grpc.StatusCode.NOT_FOUND):
    """The resource named does not exist."""


class AlreadyExists(ServiceError, code=grpc.StatusCode.ALREADY_EXISTS):
    """The resource to create exists already."""


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


CLASSES: dict[grpc.StatusCode, type[ServiceError]] = {cls.code: cls for cls in ServiceError.__subclasses__()}
CODES: dict[int, grpc.StatusCode] = {int(code.value[0]): code for code in grpc.StatusCode}


def from_code(code: int, message: str, reason: str = "", **details: Any) -> ServiceError:
    """Return the error of a canonical code number; Internal for numbers that have no class."""
    return CLASSES.get(CODES.get(code, grpc.StatusCode.UNKNOWN), Internal)(message, reason=reason, **details)


def from_rpc(error: grpc.Call | grpc.aio.AioRpcError) -> ServiceError:
    """Return the error behind a failed call, with the reason and the fields that the server gave."""
    return from_status(rpc_status(error))


def from_status(status: status_pb2.Status) -> ServiceError:
    reason, fields, metadata = "", {}, {}
    for detail in status.details:
        info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad_request):
            fields = {violation.field: violation.description for violation in bad_request.field_violations}
    return from_code(status.code, status.message, reason=reason, fields=fields, metadata=metadata)


def rpc_status(error: grpc.Call | grpc.aio.AioRpcError) -> status_pb2.Status:
    """Return the google.rpc.Status of a failed call, with the details that its trailing metadata has, if any."""
    pairs: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
    status = status_pb2.Status.FromString(dict(pairs).get(DETAILS_KEY, b""))
    status.code, status.message = int((error.code() or grpc.StatusCode.UNKNOWN).value[0]), error.details() or ""
    return status
