"""The OpenAPI document: whole, consistent, and true to the routes."""

import re

import pytest

from gateway.rest.openapi.document import document
from gateway.rest.routes import RouteTable, endpoints

TABLE = RouteTable()
DOCUMENT = document(TABLE, "https://video.example")
OPERATIONS = [(path, method, op) for path, item in DOCUMENT["paths"].items() for method, op in item.items()]


def nodes(value):
    yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(child)


def test_every_endpoint_is_there():
    listed = {f"{method.upper()} {path}" for path, method, _ in OPERATIONS}
    assert listed == set(endpoints()) - {"GET /openapi.json"}


def test_every_reference_leads_somewhere():
    references = {node["$ref"] for node in nodes(DOCUMENT) if isinstance(node, dict) and "$ref" in node}
    assert len(references) > 20
    for reference in references:
        found = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found


def test_operation_ids_are_unique():
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_parameters(path, method, operation):
    parameters = operation["parameters"]
    in_path = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
    assert in_path == set(re.findall(r"{(.+?)}", path))
    assert all(parameter["required"] for parameter in parameters if parameter["in"] == "path")
    names = [(parameter["in"], parameter["name"]) for parameter in parameters]
    assert len(set(names)) == len(names)
    assert "default" in operation["responses"]
    assert operation["summary"]
    assert operation["description"]
    assert ("requestBody" in operation) == (method in ("put", "post") and not path.endswith("/cancel"))


def test_what_needs_a_key():
    assert DOCUMENT["security"] == [{"ApiKey": []}]
    scheme = DOCUMENT["components"]["securitySchemes"]["ApiKey"]
    assert scheme == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    is_open = {path for path, _, operation in OPERATIONS if operation.get("security") == []}
    assert is_open == {"/", "/health", "/files/{id}/{filename}"}


def test_schemas_follow_the_protos():
    schemas = DOCUMENT["components"]["schemas"]
    caption = schemas["CaptionRequest"]
    assert caption["required"] == ["url_video", "url_srt"]
    assert caption["properties"]["url_video"] == {"type": "string", "description": "Source of the video."}
    image = schemas["Img2VidImage"]["properties"]["duracao"]
    assert (image["minimum"], image["maximum"]) == (0.1, 600)
    assert schemas["Operation"]["maxProperties"] == 1
    assert "maxProperties" not in schemas["Output"]
    assert schemas["Job"]["properties"]["status"]["enum"][1] == "IN_QUEUE"
    assert schemas["CaptionStyle"]["properties"]["preset"]["enum"][:2] == ["classic", "bold"]
    assert "top-left" in schemas["CaptionStyle"]["properties"]["position"]["enum"]
    assert schemas["Job"]["properties"]["createTime"]["format"] == "date-time"
    assert schemas["Job"]["properties"]["delayTime"]["type"] == "integer"
    assert "buf:lint" not in str(DOCUMENT)


def test_bodies():
    paths = DOCUMENT["paths"]
    upload = paths["/assets/{filename}"]["put"]
    assert list(upload["requestBody"]["content"]) == ["application/octet-stream"]
    assert {"name", "size_bytes"}.isdisjoint(parameter["name"] for parameter in upload["parameters"])
    watch = paths["/job/{id}/watch"]["get"]["responses"]["200"]["content"]
    assert set(watch) == {"application/x-ndjson", "text/event-stream"}
    caption = paths["/video/caption"]["post"]
    assert "Location" in caption["responses"]["202"]["headers"]
    assert "202" not in paths["/jobs"]["post"]["responses"]
    query = {parameter["name"] for parameter in paths["/jobs"]["get"]["parameters"]}
    assert query == {"status", "page_size", "page_token"}


async def test_it_is_served_without_a_key(http):
    answer = await http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["openapi"] == "3.1.0"
    assert answer.json()["servers"] == [{"url": "/"}]
