import grpc
import pytest
from google.rpc import code_pb2

from gateway.rest import status
from servicekit import errors

ROWS = [
    ("OK", 200),
    ("CANCELLED", 499),
    ("UNKNOWN", 500),
    ("INVALID_ARGUMENT", 400),
    ("DEADLINE_EXCEEDED", 504),
    ("NOT_FOUND", 404),
    ("ALREADY_EXISTS", 409),
    ("PERMISSION_DENIED", 403),
    ("UNAUTHENTICATED", 401),
    ("RESOURCE_EXHAUSTED", 429),
    ("FAILED_PRECONDITION", 400),
    ("ABORTED", 409),
    ("OUT_OF_RANGE", 400),
    ("UNIMPLEMENTED", 501),
    ("INTERNAL", 500),
    ("UNAVAILABLE", 503),
    ("DATA_LOSS", 500),
]


@pytest.mark.parametrize(("name", "number"), ROWS)
def test_http_status(name, number):
    assert status.HTTP_STATUS[grpc.StatusCode[name]] == number


def test_every_code_has_a_row():
    assert {name for name, _ in ROWS} == set(code_pb2.Code.keys()) == {code.name for code in status.HTTP_STATUS}


@pytest.mark.parametrize(
    ("error", "number", "title"),
    [
        (errors.InvalidArgument("x"), 400, "Bad Request"),
        (errors.Unauthenticated("x"), 401, "Unauthorized"),
        (errors.PermissionDenied("x"), 403, "Forbidden"),
        (errors.NotFound("x"), 404, "Not Found"),
        (errors.NotFound("x", reason="JOB_NOT_FOUND"), 404, "Job not found"),
        (errors.FailedPrecondition("x", reason="CANCEL_REFUSED"), 400, "Failed to cancel job"),
        (errors.AlreadyExists("x"), 409, "Conflict"),
        (errors.ResourceExhausted("x", reason="RATE_LIMIT"), 429, "Too Many Requests"),
        (errors.ResourceExhausted("x", reason="ASSET_TOO_LARGE"), 413, "Content Too Large"),
        (errors.ResourceExhausted("x", reason="STORAGE_FULL"), 507, "Insufficient Storage"),
        (errors.Cancelled("x"), 499, "Client Closed Request"),
        (errors.Internal("x"), 500, "Processing failed"),
        (errors.DataLoss("x"), 500, "Processing failed"),
        (errors.Unimplemented("x"), 501, "Not Implemented"),
        (errors.Unavailable("x"), 503, "Service Unavailable"),
        (errors.DeadlineExceeded("x"), 504, "Gateway Timeout"),
        (errors.ResourceExhausted("x", reason="TOO_LARGE"), 413, "Content Too Large"),
        (status.UnsupportedMedia("x"), 415, "Unsupported Media Type"),
        (status.RequestTimeout("x"), 408, "Request Timeout"),
        (status.RangeNotSatisfiable(5), 416, "Range Not Satisfiable"),
        (status.MethodNotAllowed("PUT", "/x", ["GET"]), 405, "Method Not Allowed"),
    ],
)
def test_titles(error, number, title):
    failure = status.from_error(error)
    assert (failure.http_status, failure.body()["error"]) == (number, title)
    assert failure.body()["code"] == error.number
    assert failure.body()["status"] == error.code.name


def test_every_http_status_has_a_title():
    numbers = {*status.HTTP_STATUS.values(), *status.REASON_STATUS.values()} - {200}
    assert numbers <= set(status.TITLES)


def test_details_and_headers():
    error = errors.ResourceExhausted("x", reason="RATE_LIMIT", fields={"a.b": "wrong"}, retry_seconds=6.5)
    failure = status.from_error(error)
    info, bad, retry = failure.body()["details"]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (info["reason"], info["metadata"]) == ("RATE_LIMIT", {"retry_after_seconds": "7"})
    assert bad["fieldViolations"][0]["field"] == "a.b"
    assert retry["retryDelay"] == "6.500s"
    assert failure.headers == (("retry-after", "7"),)
