"""HTTP requests as messages of RPCs, and responses of RPCs as JSON.

With `Prefer: respond-async` (RFC 7240) the operation of a POST is queued by SubmitJob and answered with its job.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.message import Message
from starlette.datastructures import Headers

from apigpu.v1 import jobs_pb2, video_pb2
from gateway.rest.protojson import decode
from gateway.rest.protojson.decode import Descriptor, fields_on
from gateway.rest.protojson.encode import field_json, to_json
from gateway.rest.routes import WHOLE, Route, RouteTable
from servicekit.errors import InvalidArgument

MAX_PARAMETERS = 1000
RESPOND_ASYNC = "respond-async"
_JOBS = jobs_pb2.DESCRIPTOR.services_by_name["JobService"]
_OPERATIONS = video_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"]
Query = Mapping[str, list[str]]


def parse_query(text: bytes) -> dict[str, list[str]]:
    """Return the parameters of a query with their values, in order. Raises InvalidArgument."""
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:  # not UTF-8, or too many
        raise InvalidArgument(f"The query is not UTF-8 or has over {MAX_PARAMETERS} parameters.") from error
    parameters: dict[str, list[str]] = {}
    for name, value in pairs:
        parameters.setdefault(name, []).append(value)
    return parameters


def build_request(route: Route, variables: Mapping[str, str], query: Query, body: bytes) -> Message:
    """Return the RPC's request. Path variables override the body and the query. Raises InvalidArgument."""
    message = route.request_class()
    if body.strip():
        value = decode.loads(body)
        if route.body_field is not None:
            decode.set_field(message, route.body_field, value, route.body_field.json_name)
        elif route.body == WHOLE:
            decode.merge(message, value)
    set_parameters(message, route, variables, query)
    return message


def set_parameters(
    message: Message, route: Route, variables: Mapping[str, str], query: Query, shorthand: str = ""
) -> None:
    """Set the fields of query and path, the path last, so that it overrides.

    A parameter that is no field of the request may be a field of its field `shorthand`.
    """
    for name, texts in query.items():
        path = name
        if shorthand and not fields_on(message.DESCRIPTOR, name):
            path = f"{shorthand}.{name}"
        if _is_in_body(route, message, path):
            raise decode.unknown_name("query parameter", name, [])
        decode.set_text(message, path, texts)
    for path, text in variables.items():
        decode.set_text(message, path, [text])


def _is_in_body(route: Route, message: Message, path: str) -> bool:
    if route.body == WHOLE:
        return True
    return any(field.name == route.body for field in fields_on(message.DESCRIPTOR, path)[:1])


def response_json(route: Route, message: Message) -> Any:
    """Return the response, or the field that the route names, as a JSON value."""
    return to_json(message) if route.response_field is None else field_json(message, route.response_field)


def prefers_async(headers: Headers) -> bool:
    """Return True if the client sent `Prefer: respond-async`."""
    preferences = ",".join(headers.getlist("prefer")).lower().split(",")
    return any(preference.split(";")[0].strip() == RESPOND_ASYNC for preference in preferences)


class Submission:
    """Converts the request of an operation into the request of a job."""

    def __init__(self, table: RouteTable) -> None:
        self.route: Route = table.first(_JOBS.methods_by_name["SubmitJob"])
        self._job_route = table.first(_JOBS.methods_by_name["GetJob"])

    def accepts(self, request: Descriptor) -> bool:
        """Return True if requests of this type are operations, which can be queued."""
        return _operation_field(request) is not None

    def wrap(self, message: Message) -> jobs_pb2.SubmitJobRequest:
        """Return the operation as a request for a job."""
        request = jobs_pb2.SubmitJobRequest()
        getattr(request.operation, _operation_field(message.DESCRIPTOR) or "").CopyFrom(message)
        return request

    def headers(self, response: Message) -> list[tuple[str, str]]:
        """Return the headers of SubmitJob's response: Location of the job."""
        job: jobs_pb2.Job = response.job  # type: ignore[attr-defined]
        return [("location", self._job_route.template.expand({"id": job.id})), ("preference-applied", RESPOND_ASYNC)]


def _operation_field(request: Descriptor) -> str | None:
    names = {field.message_type.full_name: str(field.name) for field in _OPERATIONS.fields if field.message_type}
    return names.get(request.full_name)
