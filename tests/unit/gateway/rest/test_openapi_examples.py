"""Examples of the OpenAPI document: one of each method, true to the schemas, and requests that the gateway takes."""

import json

import pytest
from google.protobuf import message_factory
from jsonschema import Draft202012Validator

from apigpu.v1 import jobs_pb2
from gateway.jobs import checks, operation
from gateway.rest import job_options
from gateway.rest.openapi.document import document
from gateway.rest.openapi.examples import examples, request_body
from gateway.rest.protojson import decode
from gateway.rest.routes import OPERATIONS, SUBMIT_JOB, RouteTable
from tools import examples as sources

TABLE = RouteTable()
DOCUMENT = document(TABLE)
ROUTES = {str(route): route for route in TABLE.routes}
NAMES = {f"{route.method.containing_service.name}.{route.method.name}" for route in TABLE.routes}


def illustrated(node, path=()):
    """Of everything that has an example: its place, its schema and the example."""
    if not isinstance(node, dict):
        return
    if "schema" in node:
        values = [each["value"] for each in node.get("examples", {}).values()]
        yield from (
            (path, node["schema"], value) for value in [*values, *([node["example"]] if "example" in node else [])]
        )
    for name, child in node.items():
        children = child if isinstance(child, list) else [child]
        for each in children:
            yield from illustrated(each, (*path, name))


def test_every_method_has_an_example():
    """A new method needs one in protos/examples/SERVICE.json."""
    assert {*sources.read()} - {"Webhook.Call"} == NAMES


def test_what_is_generated_follows_from_the_sources():
    assert examples() == sources.completed()


def test_every_example_is_true_to_its_schema():
    found = list(illustrated({"paths": DOCUMENT["paths"], "webhooks": DOCUMENT["webhooks"]}))
    found += list(illustrated({"responses": DOCUMENT["components"]["responses"]}))
    assert len(found) > 100
    for path, schema, value in found:
        validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
        faults = [f"{'/'.join(map(str, fault.path))}: {fault.message}" for fault in validator.iter_errors(value)]
        assert not faults, path


@pytest.mark.parametrize(
    ("path", "method"), [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]
)
def test_every_operation_shows_what_is_asked_and_what_is_answered(path, method):
    told = DOCUMENT["paths"][path][method]
    assert all("example" in parameter for parameter in told["parameters"] if parameter["in"] == "path")
    bodies = [
        told.get("requestBody", {}),
        *(answer for status, answer in told["responses"].items() if status in ("200", "202")),
    ]
    for kind, content in [pair for body in bodies for pair in body.get("content", {}).items()]:
        is_file = kind in ("application/octet-stream", "*/*", "multipart/form-data")
        assert is_file or "examples" in content or "example" in content, kind


@pytest.mark.parametrize(
    "name", [name for name, route in ROUTES.items() if route.body and not route.method.client_streaming]
)
def test_every_request_is_one_that_the_gateway_takes(name):
    route = ROUTES[name]
    body, options = json.loads(json.dumps(request_body(route))), jobs_pb2.JobOptions()
    part = route.body_field
    kind = route.method.input_type if part is None else part.message_type
    message = message_factory.GetMessageClass(kind)()
    decode.merge(message, job_options.take(kind, body, options))
    if kind.full_name in OPERATIONS:
        checks.check(operation.wrap(message), 1000)
    elif route.method == SUBMIT_JOB:
        checks.check(message, 1000)
