"""A request's path, query and body as the RPC's message, and the RPC's response as a body."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.message import Message

from gateway.rest.protojson import decode
from gateway.rest.protojson.encode import field_json, to_json
from gateway.rest.protojson.fields import fields_on
from gateway.rest.routes import WHOLE, Route
from servicekit.errors import InvalidArgument

MAX_PARAMETERS = 1000
Query = Mapping[str, list[str]]


def parse_query(text: bytes) -> dict[str, list[str]]:
    """The parameters of a query and their values, in order. Raises InvalidArgument."""
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError as error:  # not UTF-8, or too many
        raise InvalidArgument(f"The query is not UTF-8 or has over {MAX_PARAMETERS} parameters.") from error
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def request_message(route: Route, variables: Mapping[str, str], query: Query, body: bytes) -> Message:
    """The RPC's request. What the path gives wins over the body and the query. Raises InvalidArgument."""
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
    """Set what query and path give, the path last, so that it wins.

    A parameter that is no field of the request may be one of its field `shorthand`.
    """
    for name, texts in query.items():
        path = name
        if shorthand and not fields_on(message.DESCRIPTOR, name):
            path = f"{shorthand}.{name}"
        if _is_in_body(route, message, path):
            raise decode.unknown("query parameter", name, [])
        decode.set_text(message, path, texts)
    for path, text in variables.items():
        decode.set_text(message, path, [text])


def _is_in_body(route: Route, message: Message, path: str) -> bool:
    if route.body == WHOLE:
        return True
    return any(field.name == route.body for field in fields_on(message.DESCRIPTOR, path)[:1])


def response_json(route: Route, message: Message) -> Any:
    """The response, or the field of it that the rule names, as a JSON value."""
    return to_json(message) if route.response_field is None else field_json(message, route.response_field)
