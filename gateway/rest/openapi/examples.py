"""Examples in the OpenAPI document: what is asked and what is answered, of each method. Source: protos/examples."""

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import message_factory

from gateway.rest import tables
from gateway.rest.openapi.schemas import Schema, is_required
from gateway.rest.protojson import decode
from gateway.rest.protojson.decode import Field
from gateway.rest.responses import JSON
from gateway.rest.routes import KIND_NAMES, SUBMIT_JOB, Route, Template
from gateway.rest.rules import HEADER

# Of the body of a webhook, which no method has.
WEBHOOK = "Webhook.Call"
NDJSON, EVENTS = "application/x-ndjson", "text/event-stream"
REQUEST, RESPONSE = "request", "response"


@cache
def examples() -> dict[str, dict[str, Any]]:
    """Map "JobService.GetJob" to its `request` and `response` as JSON values; {} without examples.json.

    A request is as a caller says it, a response as the gateway writes it.
    """
    file = resources.files("apigpu").joinpath("examples.json")
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}


def example_of(route: Route) -> dict[str, Any]:
    """Return the example of the route's method; {} where there is none."""
    return examples().get(f"{route.method.containing_service.name}.{route.method.name}", {})


def illustrate(operation: Schema, route: Route, template: Template) -> None:
    """Put the example of the route's method into its parameters, its body and its answers, in place."""
    example = example_of(route)
    if not example:
        return
    for parameter in operation["parameters"]:
        value = parameter_value(route, template, parameter["in"], parameter["name"])
        if value is not None:
            parameter["example"] = value
    body = operation.get("requestBody", {}).get("content", {})
    if JSON in body:
        body[JSON] |= shown(request_body(route))
    _illustrate_answers(operation["responses"], route, example[RESPONSE])


def shown(value: Any) -> Schema:
    """Return the one example of a media type."""
    return {"examples": {"example": {"value": value}}}


def request_body(route: Route) -> Any:
    """Return the JSON body of the method's example by this route, without what the path alone may say."""
    request = example_of(route)[REQUEST]
    if route.body_field is not None:
        return _value_at(request, [route.body_field])
    fields = route.method.input_type.fields_by_name
    in_path = {variable.field for variable in route.template.variables if not is_required(fields[variable.field])}
    return {name: value for name, value in request.items() if name not in in_path}


def parameter_value(route: Route, template: Template, place: str, name: str) -> Any:
    """Return what the example of the route's method has for a parameter; None where it says nothing of it."""
    request = example_of(route)[REQUEST]
    if place == "path":
        return _path_value(route, template, name, request)
    if place != "query":
        return None
    base = f"{HEADER}." if route.method.client_streaming else ""
    return _value_at(request, decode.fields_on(route.method.input_type, base + name))


def _path_value(route: Route, template: Template, name: str, request: Any) -> str | None:
    index = next(index for index, known in template.wildcards.items() if known == name)
    variable = route.template.variable_at(index)
    if variable is None:
        return None
    whole = str(_value_at(request, decode.fields_on(route.method.input_type, variable.field)))
    return whole if variable.end - variable.start == 1 else whole.split("/")[index - variable.start]


def _value_at(value: Any, chain: Sequence[Field]) -> Any:
    for field in chain:
        value = value.get(field.json_name, value.get(field.name)) if isinstance(value, dict) else None
    return value if chain else None


def _illustrate_answers(answers: Schema, route: Route, response: Any) -> None:
    field = route.response_field
    answer = response if field is None else response.get(field.json_name)
    content = answers["200"].get("content", {})
    if JSON in content:
        content[JSON] |= shown(answer)
    if NDJSON in content:
        content[NDJSON] |= shown({"result": answer})
        content[EVENTS] |= shown(f"id: 1\ndata: {json.dumps({'result': answer})}\n\n")
    if tables.CSV in content:
        content[tables.CSV] |= shown(_table(route, response))
    if "202" in answers:
        job = examples()[f"{SUBMIT_JOB.containing_service.name}.{SUBMIT_JOB.name}"][RESPONSE]["job"]
        queued = {**job, "operation": KIND_NAMES[route.method.input_type.full_name]}
        answers["202"]["content"][JSON] |= shown(queued)


def _table(route: Route, response: Any) -> str:
    message = message_factory.GetMessageClass(route.method.output_type)()
    decode.merge(message, response)
    return tables.to_csv(message, tables.table_field(route)).decode()
