"""GET /openapi.json: the JSON surface as an OpenAPI 3.1 document, built from the descriptors and their comments."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.auth import OPEN_METHODS
from gateway.rest.openapi.schemas import Schema, Schemas, comments
from gateway.rest.protojson.decode import Descriptor, Field, fields_on, is_bytes
from gateway.rest.protojson.encode import OWN_FORM, dumps
from gateway.rest.proxy import JSON, RESPOND_ASYNC
from gateway.rest.routes import OPERATIONS, SUBMIT_JOB, WHOLE, Route, RouteTable
from gateway.rest.status import MethodNotAllowed
from gateway.rest.streams import HEADER
from gateway.version import VERSION

OCTETS: dict[str, Any] = {"application/octet-stream": {"schema": {}}}
ERROR: Schema = {
    "type": "object",
    "description": "What went wrong: `error` and `message` for people, the rest is google.rpc.Status for programs.",
    "required": ["error", "message", "code", "status", "details"],
    "properties": {
        "error": {"type": "string", "description": "What failed, in few words.", "examples": ["Bad Request"]},
        "message": {"type": "string", "description": "What went wrong and what to do."},
        "code": {"type": "integer", "description": "Canonical gRPC code.", "examples": [3]},
        "status": {"type": "string", "description": "Its name.", "examples": ["INVALID_ARGUMENT"]},
        "details": {
            "type": "array",
            "description": "Messages of google.rpc: ErrorInfo with a reason, BadRequest with the fields at fault.",
            "items": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
        },
    },
}
STATUS: Schema = {
    "type": "object",
    "description": "google.rpc.Status.",
    "required": ["message", "code", "status", "details"],
    "properties": {name: schema for name, schema in ERROR["properties"].items() if name != "error"},
}
PREFER: Schema = {
    "name": "Prefer",
    "in": "header",
    "description": f'"{RESPOND_ASYNC}" queues the operation and answers at once with its job.',
    "schema": {"type": "string", "examples": [RESPOND_ASYNC]},
}
DIGEST: Schema = {
    "name": "Content-Digest",
    "in": "header",
    "description": 'SHA-256 of the file, "sha-256=:BASE64:"; what comes is held against it.',
    "schema": {"type": "string"},
}


class OpenApi:
    """ASGI application that responds with the document."""

    def __init__(self, table: RouteTable, public_url: str | None) -> None:
        self._body = dumps(document(table, public_url))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed(scope["method"], scope["path"], ["GET"])
        await Response(self._body, media_type=JSON)(scope, receive, send)


def document(table: RouteTable, public_url: str | None = None) -> dict[str, Any]:
    schemas, paths = Schemas(), dict[str, Any]()
    job, seen = _success(table.first(SUBMIT_JOB), schemas), Counter[str]()
    for route in table.routes:
        seen[route.rpc_path] += 1
        operation = _operation(route, seen[route.rpc_path], schemas, job)
        paths.setdefault(str(route.template), {})[route.http_method.lower()] = operation
    paths["/files/{id}/{filename}"] = {"get": FILES}
    services = dict.fromkeys(route.method.containing_service for route in table.routes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "api-gpu",
            "version": VERSION,
            "description": "Video editing as a service: captions, Ken Burns clips and soundtracks.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_url or "/"}],
        "security": [{"ApiKey": []}],
        "tags": [{"name": service.name, "description": _comment(service)} for service in services],
        "paths": paths,
        "components": {
            "securitySchemes": {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
            "responses": {"Error": _response("The request failed.", JSON, {"$ref": "#/components/schemas/Error"})},
            "schemas": {**schemas.components, "Error": ERROR, "Status": STATUS},
        },
    }


def _operation(route: Route, number: int, schemas: Schemas, job: Schema) -> Schema:
    method, text = route.method, _comment(route.method)
    name = f"{method.containing_service.name}_{method.name}"
    operation: Schema = {
        "operationId": name if number == 1 else f"{name}_{number}",
        "tags": [method.containing_service.name],
        "summary": text.replace("\n", " ").split(". ")[0].rstrip("."),
        "description": text,
        "parameters": list(_parameters(route, schemas)),
        "responses": {"200": _success(route, schemas), "default": {"$ref": "#/components/responses/Error"}},
    }
    if route.rpc_path.startswith(OPEN_METHODS):
        operation["security"] = []
    if route.body:
        operation["requestBody"] = _request_body(route, schemas)
    if route.http_method == "POST" and method.input_type.full_name in OPERATIONS:
        operation["parameters"].append(PREFER)
        where = {"Location": {"description": "Path of the job.", "schema": {"type": "string"}}}
        operation["responses"]["202"] = {**job, "description": "The job was queued.", "headers": where}
    return operation


def _request_body(route: Route, schemas: Schemas) -> Schema:
    field = route.body_field
    if is_bytes(field):
        return {"required": True, "description": "The file itself.", "content": dict(OCTETS)}
    schema = schemas.reference(route.method.input_type) if field is None else schemas.field(field)
    return {"required": True, "content": {JSON: {"schema": schema}}}


def _success(route: Route, schemas: Schemas) -> Schema:
    field = route.response_field
    if is_bytes(field):
        return {"description": "The file itself.", "content": dict(OCTETS)}
    schema = schemas.reference(route.method.output_type) if field is None else schemas.field(field)
    if not route.method.server_streaming:
        return _response("It is done.", JSON, schema)
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
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _parameters(route: Route, schemas: Schemas) -> Iterator[Schema]:
    from_path = set()
    for variable in route.template.variables:
        field = fields_on(route.method.input_type, variable.field)[-1]
        from_path.add(variable.field)
        parameter = _parameter(variable.field.rpartition(".")[2], "path", field, schemas) | {"required": True}
        if variable.end - variable.start > 1:  # the path has the rest of the value
            pattern = "/".join(route.template.segments[variable.start : variable.end])
            parameter["description"] = f'What stands for the wildcard in "{pattern}". {parameter["description"]}'
        yield parameter
    if is_bytes(route.body_field):
        header = route.method.input_type.fields_by_name[HEADER]
        for path, field in _leaves(header.message_type, ""):
            if f"{HEADER}.{path}" not in from_path and field.name != "size_bytes":
                yield _parameter(path, "query", field, schemas)
        yield DIGEST
    elif route.body != WHOLE:
        for path, field in _leaves(route.method.input_type, ""):
            if path not in from_path and path.split(".")[0] != route.body:
                yield _parameter(path, "query", field, schemas)


def _leaves(descriptor: Descriptor, prefix: str) -> Iterator[tuple[str, Field]]:
    """Yield the fields that a query can set, with their dotted paths."""
    for field in descriptor.fields:
        message = field.message_type
        if message is None or (message.full_name in OWN_FORM and not field.is_repeated):
            yield prefix + field.name, field
        elif not field.is_repeated:
            yield from _leaves(message, f"{prefix}{field.name}.")


def _parameter(name: str, place: str, field: Field, schemas: Schemas) -> Schema:
    schema = schemas.field(field)
    return {"name": name, "in": place, "description": schema.pop("description", ""), "schema": schema}


def _comment(descriptor: Descriptor) -> str:
    return comments().get(descriptor.full_name) or str(descriptor.name)


def _text_parameter(name: str, place: str, description: str) -> Schema:
    return {"name": name, "in": place, "required": True, "description": description, "schema": {"type": "string"}}


FILES: Schema = {
    "operationId": "Files_Get",
    "tags": ["AssetService"],
    "summary": "Opens a signed link",
    "description": "What `video_url` and `download_url` point at. Needs no key; takes Range and conditional requests.",
    "security": [],
    "parameters": [
        _text_parameter("id", "path", "Id of the asset."),
        _text_parameter("filename", "path", "Name of the file; for people."),
        _text_parameter("expires", "query", "Until when the link opens, Unix time."),
        _text_parameter("signature", "query", "Proves that the gateway made the link."),
        {
            "name": "download",
            "in": "query",
            "description": "1 makes browsers save the file instead of showing it.",
            "schema": {"type": "string", "enum": ["1"]},
        },
    ],
    "responses": {
        "200": {"description": "The file itself.", "content": dict(OCTETS)},
        "206": {"description": "The part that Range asked for.", "content": dict(OCTETS)},
        "304": {"description": "The client has this file already."},
        "default": {"$ref": "#/components/responses/Error"},
    },
}
