"""GET /openapi.json: the JSON surface as an OpenAPI 3.1 document, built from the descriptors and their comments."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from apigpu.v1 import jobs_pb2, options_pb2
from gateway.auth import OPEN_METHODS
from gateway.rest import tables
from gateway.rest.forms import FORM
from gateway.rest.openapi import fixed
from gateway.rest.openapi.examples import WEBHOOK, examples, illustrate, shown
from gateway.rest.openapi.schemas import Schema, Schemas, comments, pattern_of, reachable
from gateway.rest.prefer import WAIT_FIELD
from gateway.rest.protojson.decode import Descriptor, Field, fields_on, is_bytes
from gateway.rest.protojson.encode import OWN_FORM, dumps
from gateway.rest.responses import JSON, JsonBody, send_json
from gateway.rest.routes import OPERATIONS, SUBMIT_JOB, WHOLE, Route, RouteTable, Template, Variable
from gateway.rest.rules import HEADER
from gateway.rest.status import MethodNotAllowed
from gateway.version import VERSION

# The methods that a path of OpenAPI 3.1 can have; rules of other kinds are served, but cannot be told.
METHODS = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE")


class OpenApi:
    """ASGI application that responds with the document."""

    def __init__(self, table: RouteTable, public_url: str | None) -> None:
        self.document = document(table, public_url)
        self._body = JsonBody(dumps(self.document))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(scope["method"], scope["path"], ["GET"])
        headers = [("cache-control", "no-cache")]
        await send_json(self._body, Headers(scope=scope), send, headers=headers, is_tagged=True)


def document(table: RouteTable, public_url: str | None = None) -> dict[str, Any]:
    writer = OperationWriter(table)
    paths: dict[str, Any] = {}
    for template, routes in _by_path(table):
        item: Schema = {}
        for route in routes:
            if route.http_method in METHODS:
                item.setdefault(route.http_method.lower(), writer.operation(route, template))
        if item:
            paths[str(template)] = item
    paths[fixed.FILES_PATH] = {"get": fixed.FILES}
    paths[fixed.PREVIEW_PATH] = {"get": fixed.PREVIEW}
    webhooks = {"job": {"post": writer.webhook()}}
    services = dict.fromkeys(route.method.containing_service for route in table.routes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "api-gpu",
            "version": VERSION,
            "description": "Video editing as a service: captions, Ken Burns clips and soundtracks.",
            "contact": {"name": "Whoever runs this gateway"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_url or "/"}],
        "security": [{"ApiKey": []}],
        "tags": [*({"name": service.name, "description": _comment(service)} for service in services), fixed.FILES_TAG],
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
            "headers": fixed.HEADERS,
            "responses": {"Error": fixed.ERROR_RESPONSE},
            "schemas": {**writer.components, "Error": fixed.ERROR, "Status": fixed.STATUS},
        },
    }


def _by_path(table: RouteTable) -> Iterator[tuple[Template, list[Route]]]:
    """Yield the paths, with their routes. Templates that differ in the names of their wildcards are one path.

    A primary binding names them, if there is one; additional bindings are other ways to the same.
    """
    found: dict[str, list[Route]] = {}
    for route in table.routes:
        found.setdefault(route.template.shape, []).append(route)
    for routes in found.values():
        primary = next((route for route in routes if table.first(route.method) is route), routes[0])
        yield primary.template, routes


class OperationWriter:
    """Writes the operations of a document, and collects the schemas that they refer to."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table
        taken = reachable(route.method.output_type for route in table.routes)
        self._requests = Schemas(is_request=True, taken=taken)
        self._responses = Schemas(is_request=False, as_given=self._requests)
        self._ids = _operation_ids(table.routes)

    @property
    def components(self) -> dict[str, Schema]:
        """Return the schemas by name."""
        return {**self._requests.components, **self._responses.components}

    def operation(self, route: Route, template: Template) -> Schema:
        """Return the operation of a route, whose wildcards are named as in `template`."""
        method, text = route.method, _comment(route.method)
        operation: Schema = {
            "operationId": self._ids[route],
            "tags": [method.containing_service.name],
            "summary": text.replace("\n", " ").split(". ")[0].rstrip("."),
            "description": text,
            "parameters": [*self._path_parameters(route, template), *self._other_parameters(route)],
            "responses": dict(self._answers(route)),
        }
        if route.rpc_path.startswith(OPEN_METHODS):
            operation["security"] = []
        if route.body:
            operation["requestBody"] = self._request_body(route)
        illustrate(operation, route, template)
        return operation

    def webhook(self) -> Schema:
        """Return what the `webhook_url` of a job is called with."""
        payload = jobs_pb2.WebhookPayload.DESCRIPTOR
        content = {"schema": self._responses.reference(payload)}
        if call := examples().get(WEBHOOK):
            content |= shown(call["request"])
        return {
            "operationId": "Webhook_Call",
            "tags": ["JobService"],
            "summary": "Tells what happened to a job",
            "description": _comment(payload),
            "security": [],
            "parameters": fixed.WEBHOOK_HEADERS,
            "requestBody": {"required": True, "content": {JSON: content}},
            "responses": {"2XX": {"description": "It has arrived."}, "410": {"description": "Do not call again."}},
        }

    def _answers(self, route: Route) -> Iterator[tuple[str, Schema]]:
        success, is_stream = self._success(route), route.method.server_streaming
        job = self._success(self._table.first(SUBMIT_JOB)) if _can_be_queued(route) else success
        yield "200", _or_quote(success, job) if _can_be_queued(route) else success
        if is_stream and is_bytes(route.response_field):
            yield "206", {**success, "description": "The part that Range asked for."}
        elif is_stream:
            yield "204", fixed.OVER
        if route.http_method == "GET" and (not is_stream or is_bytes(route.response_field)):
            yield "304", fixed.NOT_MODIFIED
        if _can_be_queued(route):
            where = {"Location": {"description": "Path of the job.", "schema": {"type": "string"}}, **fixed.APPLIED}
            yield "202", {**job, "description": "The job was queued.", "headers": {**fixed.REQUEST_ID, **where}}
        for status in route.method.GetOptions().Extensions[options_pb2.method].statuses:
            answer = success["content"][JSON]["schema"]
            schema = {"anyOf": [fixed.ERROR_REFERENCE, answer]}
            yield str(status), _response("The answer, or an error.", JSON, schema)
        yield from fixed.ERROR_RESPONSES.items()

    def _request_body(self, route: Route) -> Schema:
        part = route.body_field
        if route.method.client_streaming:
            content = {**fixed.OCTETS, FORM: {"schema": fixed.FORM}}
            return {"required": True, "description": "The file itself, or a form with it.", "content": content}
        whole = route.method.input_type
        schema = self._requests.reference(whole) if part is None else self._requests.field(part)
        return {"required": True, "content": {JSON: {"schema": schema}}}

    def _success(self, route: Route) -> Schema:
        part, is_stream = route.response_field, route.method.server_streaming
        if is_stream and is_bytes(part):
            return {"description": "The file itself.", "headers": fixed.REQUEST_ID, "content": dict(fixed.FILE)}
        whole = route.method.output_type
        schema = self._responses.reference(whole) if part is None else self._responses.field(part)
        if is_stream:
            return _lines(schema)
        response = _response("It is done.", JSON, schema)
        if tables.table_field(route):
            response["content"][tables.CSV] = {"schema": {"type": "string"}}
        if links := self._links(whole if part is None else part.message_type):
            response["links"] = links
        return response

    def _links(self, answer: Descriptor | None) -> dict[str, Schema]:
        """Return what can be asked next: by each field of the answer whose pattern is that of a path's variable."""
        links = {}
        for known in answer.fields if answer is not None else ():
            for route in self._table.routes:
                names = [
                    name for name, variable in _whole_variables(route) if _has_pattern(known, _target(route, variable))
                ]
                if len(names) == 1:
                    parameters = {names[0]: f"$response.body#/{known.json_name}"}
                    links[self._ids[route]] = {"operationId": self._ids[route], "parameters": parameters}
        return links

    def _path_parameters(self, route: Route, template: Template) -> Iterator[Schema]:
        for index, name in template.wildcards.items():
            variable = route.template.variable_at(index)
            if variable is None:
                parameter = {"name": name, "in": "path", "description": "Any text.", "schema": {"type": "string"}}
            else:
                parameter = self._parameter(name, "path", _target(route, variable))
                _narrow(parameter, route.template, variable, index)
            yield parameter | {"required": True}

    def _other_parameters(self, route: Route) -> Iterator[Schema]:
        from_path = {variable.field for variable in route.template.variables}
        if route.method.client_streaming:
            header = route.method.input_type.fields_by_name[HEADER]
            for path, known in _leaves(header.message_type):
                if f"{HEADER}.{path}" not in from_path and known.name != "size_bytes":
                    yield self._parameter(path, "query", known)
            yield fixed.DIGEST
        elif route.body != WHOLE:
            for path, known in _leaves(route.method.input_type):
                if path not in from_path and path.split(".")[0] != route.body:
                    yield self._parameter(path, "query", known)
        if _can_be_queued(route) or route.method == SUBMIT_JOB:
            yield fixed.IDEMPOTENCY_KEY
        if _can_be_queued(route):
            yield fixed.PREFER
        elif WAIT_FIELD in route.method.input_type.fields_by_name:
            yield fixed.WAIT

    def _parameter(self, name: str, place: str, known: Field) -> Schema:
        schema = self._requests.field(known)
        return {"name": name, "in": place, "description": schema.pop("description", ""), "schema": schema}


def _operation_ids(routes: Iterable[Route]) -> dict[Route, str]:
    seen, ids = Counter[str](), {}
    for route in routes:
        name = f"{route.method.containing_service.name}_{route.method.name}"
        seen[name] += 1
        ids[route] = name if seen[name] == 1 else f"{name}_{seen[name]}"
    return ids


def _or_quote(success: Schema, job: Schema) -> Schema:
    """Return the answer of an operation, or of a dry run of it."""
    either = {"anyOf": [answer["content"][JSON]["schema"] for answer in (success, job)]}
    return {**success, "content": {JSON: {"schema": either}}}


def _can_be_queued(route: Route) -> bool:
    return route.http_method == "POST" and route.method.input_type.full_name in OPERATIONS


def _lines(schema: Schema) -> Schema:
    line = {
        "oneOf": [
            {"type": "object", "required": ["result"], "properties": {"result": schema}},
            {"type": "object", "required": ["error"], "properties": {"error": {"$ref": "#/components/schemas/Status"}}},
        ]
    }
    text = "A JSON object a line; an `error` can only be the last. With `Accept: text/event-stream` events instead."
    response = _response(text, "application/x-ndjson", line)
    response["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    return response


def _response(description: str, media_type: str, schema: Schema) -> Schema:
    content = {media_type: {"schema": schema}}
    return {"description": description, "headers": fixed.REQUEST_ID, "content": content}


def _target(route: Route, variable: Variable) -> Field:
    return fields_on(route.method.input_type, variable.field)[-1]


def _whole_variables(route: Route) -> Iterator[tuple[str, Variable]]:
    """Yield the variables whose value is one segment of the path, with their names there."""
    for index, name in route.template.wildcards.items():
        variable = route.template.variable_at(index)
        if variable is not None and variable.end - variable.start == 1:
            yield name, variable


def _has_pattern(known: Field, target: Field) -> bool:
    return bool(pattern_of(known)) and pattern_of(known) == pattern_of(target)


def _narrow(parameter: Schema, template: Template, variable: Variable, index: int) -> None:
    """Make a parameter of a whole field that of one wildcard within the field's value, in place."""
    if variable.end - variable.start == 1:
        return
    whole = "/".join(template.segments[variable.start : variable.end])
    parameter["description"] = f'What stands for the wildcard in "{whole}". {parameter["description"]}'
    prefix = "/".join([*template.segments[variable.start : index], ""])
    pattern = parameter["schema"].pop("pattern", "")
    if pattern.startswith(f"^{prefix}") and index == variable.end - 1:
        parameter["schema"]["pattern"] = "^" + pattern.removeprefix(f"^{prefix}")


def _leaves(descriptor: Descriptor, prefix: str = "", around: tuple[str, ...] = ()) -> Iterator[tuple[str, Field]]:
    """Yield the fields that a query can set, with their dotted paths; of a message within itself only the outer."""
    for known in descriptor.fields:
        message = known.message_type
        if message is None or message.full_name in OWN_FORM:
            yield prefix + known.name, known
        elif not known.is_repeated and message.full_name not in (*around, descriptor.full_name):
            yield from _leaves(message, f"{prefix}{known.name}.", (*around, descriptor.full_name))


def _comment(descriptor: Descriptor) -> str:
    return comments().get(descriptor.full_name) or str(descriptor.name)
