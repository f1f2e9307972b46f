"""What the tools are called and take, from the OpenAPI document that is generated from the protos."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pool

from apigpu.v1 import options_pb2, video_pb2

COMPONENTS, DEFINITIONS = "#/components/schemas/", "#/$defs/"
PACKAGE = "apigpu.v1"
LOCAL_FILE = "Or a file in the folder of this server, by its path there."
OPERATIONS = [field.name for field in video_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"].fields]
WAIT = "wait_seconds"
Schema = dict[str, Any]


@dataclass(frozen=True)
class ToolDescription:
    """One tool: what it is called, what it does, the JSON Schema of its arguments, whether it changes nothing."""

    name: str
    text: str
    arguments: Schema
    is_reading: bool = False


# Tools beside the operations: the operation of the API that each is, and what of its parameters it takes.
JOB_TOOLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "get_job": ("JobService_GetJob", ("id", WAIT)),
    "list_jobs": ("JobService_ListJobs", ("status", "operation", "metadata", "page_size")),
    "retry_job": ("JobService_RetryJob", ("id", WAIT)),
    "cancel_job": ("JobService_CancelJob", ("id",)),
    "list_assets": ("AssetService_ListAssets", ("content_type", "page_size")),
}
CHANGES = ("retry_job", "cancel_job")
# The results of a job that was not waited for.
FETCH = "fetch_results"


@cache
def document() -> Schema:
    """Return the OpenAPI document of this version."""
    return dict(json.loads(resources.files("apigpu").joinpath("openapi.json").read_text("utf-8")))


def tools(*, is_fetching: bool) -> list[ToolDescription]:
    """Return all tools; with one that fetches results where results come to a folder."""
    found = [*map(_operation, OPERATIONS), *map(_job_tool, JOB_TOOLS)]
    if is_fetching:
        told = "Write the results of a completed job to the folder of this server, and tell where they are."
        found.append(ToolDescription(FETCH, told, _job_tool("cancel_job").arguments))
    return found


def _operation(name: str) -> ToolDescription:
    """Return the tool of an operation: its request, what is said of any job, and how long to wait for it."""
    kinds = _component("Operation")["properties"]
    request = kinds[name]["$ref"].removeprefix(COMPONENTS)
    schema = _closed(request)
    schema["properties"][WAIT] = _wait()
    return ToolDescription(name, schema.pop("description"), schema)


def _job_tool(name: str) -> ToolDescription:
    operation, taken = JOB_TOOLS[name]
    properties = {each: _parameter(operation, each) for each in taken if each != WAIT}
    if WAIT in taken:
        properties[WAIT] = _parameter(operation, WAIT) if name not in CHANGES else _wait()
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if "id" in taken:
        schema["required"] = ["id"]
    return ToolDescription(name, _api(operation)["description"], schema, is_reading=name not in CHANGES)


def _wait() -> Schema:
    return {
        **_parameter("JobService_SubmitJob", WAIT),
        "description": "Seconds to wait for the end of the job, 300 at most; 0 to answer at once. When not given, the "
        "answer comes when the job has ended. Once the time is over the answer is the job as it is; get_job tells how "
        "it goes on.",
    }


def _api(operation_id: str) -> Schema:
    items = document()["paths"].values()
    return next(told for item in items for told in item.values() if told["operationId"] == operation_id)


def _parameter(operation_id: str, name: str) -> Schema:
    known = next(each for each in _api(operation_id)["parameters"] if each["name"] == name)
    return {**known["schema"], "description": known["description"]}


def _component(name: str) -> Schema:
    return dict(document()["components"]["schemas"][name])


def _closed(name: str) -> Schema:
    """Return the schema of a message with all that it refers to within itself, and local files among its sources."""
    waiting, found = [name], dict[str, Schema]()
    while waiting:
        each = waiting.pop()
        if each not in found:
            found[each] = _with_local_files(each)
            waiting += references(found[each])
    whole = _renamed(found.pop(name))
    return {**whole, "$defs": {each: _renamed(schema) for each, schema in found.items()}} if found else whole


def references(schema: Any) -> Iterator[str]:
    """Yield the names of the components that a schema refers to."""
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix(COMPONENTS)
        for child in schema.values():
            yield from references(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from references(child)


def _renamed(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        renamed = {name: _renamed(child) for name, child in schema.items()}
        if "$ref" in renamed:
            renamed["$ref"] = DEFINITIONS + renamed["$ref"].removeprefix(COMPONENTS)
        return renamed
    return [_renamed(child) for child in schema] if isinstance(schema, list) else schema


def _with_local_files(name: str) -> Schema:
    """Return the schema of a message whose fields for sources take paths too."""
    schema = _component(name)
    properties = dict(schema.get("properties", {}))
    for field in _fields(name):
        if field.GetOptions().Extensions[options_pb2.field].input:
            properties[field.json_name] = _source(properties[field.json_name])
    return {**schema, "properties": properties} if properties else schema


def _source(schema: Schema) -> Schema:
    plain = {name: value for name, value in schema.items() if name != "pattern"}
    if "items" in plain:
        plain["items"] = {name: value for name, value in plain["items"].items() if name != "pattern"}
    return {**plain, "description": f"{plain['description']} {LOCAL_FILE}"}


def _fields(name: str) -> list[Any]:
    try:
        found = descriptor_pool.Default().FindMessageTypeByName(f"{PACKAGE}.{name.removesuffix('.Input')}")
    except KeyError:  # an error, or what stands in no proto
        return []
    return list(found.fields)
