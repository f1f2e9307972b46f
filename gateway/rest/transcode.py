"""HTTP requests as messages of RPCs, and responses of RPCs as JSON."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from google.protobuf.message import Message

from apigpu.v1 import jobs_pb2, video_pb2
from gateway.rest.protojson import decode
from gateway.rest.protojson.decode import fields_on
from gateway.rest.protojson.encode import field_json, to_json
from gateway.rest.routes import WHOLE, Route
from servicekit.errors import InvalidArgument

MAX_PARAMETERS = 1000
# With `Prefer: respond-async` (RFC 7240) the operation of a POST is queued by SubmitJob and answered with its job.
RESPOND_ASYNC = "respond-async"
_JOBS = jobs_pb2.DESCRIPTOR.services_by_name["JobService"].methods_by_name
SUBMIT_JOB, GET_JOB = _JOBS["SubmitJob"], _JOBS["GetJob"]
_KINDS = video_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"].fields
OPERATIONS = [field.message_type.full_name for field in _KINDS if field.message_type]
Query = Mapping[str, list[str]]


def parse_query(text: bytes) -> dict[str, list[str]]:
    """Return the parameters of a query with their values, in order. Raises InvalidArgument."""
    try:
        return parse_qs(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:  # not UTF-8, or too many
        raise InvalidArgument(f"The query is not UTF-8 or has over {MAX_PARAMETERS} parameters.") from error


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
