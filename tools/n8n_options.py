"""Write what the node for n8n knows of operations: their fields, as the JSON surface has them, from the protos.

n8n_options.py write      write clients/n8n/nodes/ApiGpu/operations.json
n8n_options.py check      fail when that file is not what the protos give
"""

import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from api_gpu.requests import client_name
from apigpu.v1 import jobs_pb2, options_pb2, video_pb2
from gateway.jobs.hooks import EVENTS
from gateway.rest.openapi.document import document
from gateway.rest.routes import RouteTable

OUTPUT = Path(__file__).resolve().parent.parent / "clients" / "n8n" / "nodes" / "ApiGpu" / "operations.json"
KINDS = {"string": "text", "boolean": "flag", "integer": "whole", "number": "number", "array": "json", "object": "json"}
Schema = dict[str, Any]


def operations() -> dict[str, Any]:
    """Return the operations with their fields, the fields that stand beside those of any, and what jobs tell of."""
    found = document(RouteTable())
    schemas = found["components"]["schemas"]
    message = video_pb2.Operation.DESCRIPTOR
    names = set(message.fields_by_name)
    paths = {path.rpartition("/")[2]: item["post"] for path, item in found["paths"].items() if "post" in item}
    told = schemas["Operation"]["properties"]
    beside = {name: schema for name, schema in told.items() if name not in names}
    return {
        "operations": [
            {
                "name": name,
                "summary": paths[name]["summary"] if name in paths else plain(told[name]["description"]).rstrip("."),
                "fields": fields(schemas, refer(schemas, told[name])["properties"], operation.message_type),
            }
            for name, operation in message.fields_by_name.items()
        ],
        "job": fields(schemas, beside, jobs_pb2.JobOptions.DESCRIPTOR),
        "events": list(EVENTS),
    }


def fields(
    schemas: dict[str, Schema], properties: dict[str, Schema], message: Descriptor | None
) -> list[dict[str, Any]]:
    """Return the fields of a message, but those of older forms."""
    return [
        field_of(schemas, properties[field.json_name], field)
        for field in (message.fields if message else ())
        if field.json_name in properties and not is_older(field)
    ]


def field_of(schemas: dict[str, Schema], told: Schema, described: FieldDescriptor) -> dict[str, Any]:
    """Return one field: its name, label, kind, description, limits, choices or own fields. It is `main` where the
    operation makes no sense without it, or what stands in its place, and `required` where nothing does."""
    schema = refer(schemas, told)
    field: dict[str, Any] = {
        "name": described.json_name,
        "label": client_name(described),
        "kind": kind(schemas, schema),
    }
    field["description"] = plain(told.get("description", ""))
    field |= {limit: schema[limit] for limit in ("minimum", "maximum") if limit in schema}
    if rules(described).required:
        field |= {"main": True, "required": not rules(described).unless}
    if "enum" in schema:  # the long names of the protos are read too
        field["choices"] = [value for value in schema["enum"] if value != value.upper() or ":" in value]
    if field["kind"] == "group":
        field["fields"] = fields(schemas, schema["properties"], described.message_type)
    if field["kind"] == "json" and (items := refer(schemas, schema.get("items", {}))):
        field["example"] = [{name: example(items["properties"][name]) for name in needed(items)}]
    return field


def needed(items: Schema) -> list[str]:
    """Return what every element of a list must have, or the first of what it may have in its place."""
    either = items.get("not", {}).get("not", {}).get("anyOf", [{}])[0]
    return list(items.get("required") or either.get("required", []))


def kind(schemas: dict[str, Schema], schema: Schema) -> str:
    """Return how a field is filled in: "source", "sources", "texts", "choice", "group" or one of KINDS. What has a
    group in it is filled in as JSON."""
    items = schema.get("items", {})
    if "enum" in schema:
        return "choice"
    if items.get("type") == "string":
        return "sources" if is_source(items) else "texts"
    own = [refer(schemas, field) for field in schema.get("properties", {}).values()]
    if own and not any("properties" in field for field in own):
        return "group"
    return "source" if is_source(schema) else KINDS[schema["type"]]


def is_source(schema: Schema) -> bool:
    """Return True for what names an input."""
    return "assets/" in schema.get("pattern", "") and "https?" in schema["pattern"]


def example(schema: Schema) -> Any:
    """Return a value for a field that every element of a list must have."""
    return "https://example.com/a.jpg" if is_source(schema) else {"string": "a"}.get(schema.get("type", ""), 5)


def plain(text: str) -> str:
    """Return a comment in one line."""
    return " ".join(text.split())


def rules(field: FieldDescriptor) -> options_pb2.FieldRules:
    """Return the rules of a field."""
    found: options_pb2.FieldRules = field.GetOptions().Extensions[options_pb2.field]
    return found


def is_older(field: FieldDescriptor) -> bool:
    """Return True for a field of an older form: clients do not offer it, and fill in nothing else there."""
    is_hidden = bool(field.GetOptions().Extensions[options_pb2.client].hidden)
    return is_hidden and not rules(field).filename and field.message_type is None


def refer(schemas: dict[str, Schema], schema: Schema) -> Schema:
    """Return a schema, or that which it refers to."""
    return schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def text() -> str:
    """Return the content of the file."""
    return json.dumps(operations(), indent=1, ensure_ascii=False) + "\n"


def main(command: str) -> None:
    """Write the file, or hold it against the protos."""
    if command == "write":
        OUTPUT.parent.mkdir(parents=True, exist_ok=True)
        OUTPUT.write_text(text())
    elif OUTPUT.read_text() != text():
        sys.exit(f"{OUTPUT} is not what the protos give; run `make gen`")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("write", "check"):
        sys.exit(__doc__)
    main(sys.argv[1])
