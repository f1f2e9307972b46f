"""The OpenAPI document: whole, consistent, and true to the routes."""

import re

import pytest

from apigpu.v1 import jobs_pb2
from gateway.assets import record
from gateway.jobs import model
from gateway.jobs.manager import MAX_PAGE
from gateway.rest.openapi.document import document
from gateway.rest.routes import RouteTable, endpoints
from gateway.services.fleet import MAX_DAYS
from tests.integration.gateway.rest.conftest import ADMIN_KEY
from tests.support.transcoding.echo import service

TABLE = RouteTable()
DOCUMENT = document(TABLE, "https://video.example")
OPERATIONS = [(path, method, op) for path, item in DOCUMENT["paths"].items() for method, op in item.items()]


def nodes(value):
    yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(child)


def unnamed(text):
    """A path without the names of its parameters."""
    return re.sub(r"{.+?}", "{}", text)


# Of a protocol with a description of its own.
TUS = unnamed("PATCH /uploads/{upload}")


def test_every_endpoint_is_there():
    listed = {unnamed(f"{method.upper()} {path}") for path, method, _ in OPERATIONS}
    pages = {"GET /openapi.json", "GET /docs", "GET /docs/{}", "GET /llms.txt"}
    assert listed == {unnamed(text) for text in endpoints()} - pages - {TUS}


def test_no_two_paths_are_one():
    assert len({unnamed(path) for path in DOCUMENT["paths"]}) == len(DOCUMENT["paths"])


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
    assert {"200", "4XX", "5XX"} <= set(operation["responses"])
    assert operation["summary"]
    assert operation["description"]
    assert ("requestBody" in operation) == (
        method in ("put", "post", "patch") and not path.endswith(("/cancel", "/retry"))
    )


def test_what_needs_a_key():
    assert DOCUMENT["security"] == [{"ApiKey": []}]
    scheme = DOCUMENT["components"]["securitySchemes"]["ApiKey"]
    assert scheme == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    is_open = {path for path, _, operation in OPERATIONS if operation.get("security") == []}
    assert is_open == {"/", "/health", "/files/{id}/{filename}", "/job/{id}/preview.m3u8"}


def test_schemas_follow_the_protos():
    schemas = DOCUMENT["components"]["schemas"]
    caption = schemas["CaptionRequest"]
    assert caption["required"] == ["url_video"]
    source = {"type": "string", "pattern": "^(https?://|assets/|data:|step:).", "description": "Source of the video."}
    assert caption["properties"]["url_video"] == source
    image = schemas["Img2VidImage"]["properties"]["duracao"]
    assert (image["minimum"], image["maximum"]) == (0.1, 600)
    beside = len(jobs_pb2.JobOptions.DESCRIPTOR.fields)
    assert schemas["Operation"]["maxProperties"] == 1 + beside  # an operation, and what stands beside it
    assert "maxProperties" not in schemas["Output"]
    assert schemas["CaptionStyle"]["properties"]["preset"]["enum"][:2] == ["classic", "bold"]
    assert "top-left" in schemas["CaptionStyle"]["properties"]["position"]["enum"]
    assert schemas["StoryRequest"]["required"] == ["scenes"]
    assert schemas["StoryRequest"]["properties"]["canvas"]["enum"][:2] == ["16:9", "9:16"]
    assert schemas["Scene"]["properties"]["id"]["maxLength"] == 64
    assert "required" not in schemas["Scene"]
    assert schemas["Job"]["properties"]["createTime"]["format"] == "date-time"
    assert schemas["Job"]["properties"]["delayTime"]["type"] == "integer"
    assert "buf:lint" not in str(DOCUMENT)


def test_responses_say_what_is_always_there():
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Job"]["required"] == [
        *("id", "status", "delayTime", "executionTime", "operation", "total", "processed"),
    ]
    assert "files" not in schemas["Output"]["required"]  # left out when empty
    assert schemas["ThumbnailRequest"]["required"] == ["url_video"]
    assert schemas["Job"]["properties"]["status"]["enum"] == [
        *("STATUS_UNSPECIFIED", "IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"),
    ]


def test_numbers_have_limits_and_ids_have_patterns():
    schemas = DOCUMENT["components"]["schemas"]
    integers = [
        node
        for name, schema in schemas.items()
        for node in schema.get("properties", {}).values()
        if node.get("type") == "integer"
    ]
    assert integers
    assert all("minimum" in node and "maximum" in node for node in integers)
    assert (schemas["Job"]["properties"]["total"]["minimum"], schemas["Job"]["properties"]["total"]["maximum"]) == (
        1,
        2**31 - 1,
    )
    for message, name, value in [
        ("Job", "id", model.new_id(0)),
        ("Stats", "jobId", model.new_id(0)),
        ("Asset", "name", "assets/" + record.new_id()),
        ("Asset", "sha256", "0" * 64),
    ]:
        pattern = schemas[message]["properties"][name]["pattern"]
        assert re.search(pattern, value)
        assert not re.search(pattern, value + "x")
    pages = {parameter["name"]: parameter["schema"] for parameter in DOCUMENT["paths"]["/jobs"]["get"]["parameters"]}
    assert (pages["page_size"]["minimum"], pages["page_size"]["maximum"]) == (0, MAX_PAGE)
    days = DOCUMENT["paths"]["/fleet/costs"]["get"]["parameters"][0]["schema"]
    assert (days["minimum"], days["maximum"]) == (0, MAX_DAYS)


def test_a_parameter_of_a_path_is_what_stands_in_the_path():
    item = DOCUMENT["paths"]["/assets/{asset}"]
    assert set(item) == {"put", "get", "delete"}
    assert {operation["parameters"][0]["name"] for operation in item.values()} == {"asset"}
    pattern = item["get"]["parameters"][0]["schema"]["pattern"]
    assert re.search(pattern, record.new_id())
    assert not re.search(pattern, "assets/" + record.new_id())
    assert "pattern" not in item["put"]["parameters"][0]["schema"]  # the name of a file


def test_an_answer_that_is_no_error_under_another_status_is_told():
    responses = DOCUMENT["paths"]["/runpod/health"]["get"]["responses"]
    unhealthy = responses["503"]["content"]["application/json"]["schema"]["anyOf"]
    answer = responses["200"]["content"]["application/json"]["schema"]
    # Error first: a client that tries one after the other takes no error for an answer.
    assert unhealthy == [{"$ref": "#/components/schemas/Error"}, answer]


def test_a_job_leads_to_what_can_be_done_with_it():
    links = DOCUMENT["paths"]["/jobs"]["post"]["responses"]["200"]["links"]
    assert {"JobService_GetJob", "JobService_CancelJob", "JobService_WatchJob"} <= set(links)
    assert links["JobService_GetJob"]["parameters"] == {"id": "$response.body#/id"}
    assert "AssetService_GetAsset" not in links


def test_bodies():
    paths = DOCUMENT["paths"]
    upload = paths["/assets/{asset}"]["put"]
    assert list(upload["requestBody"]["content"]) == ["application/octet-stream", "multipart/form-data"]
    assert {"name", "size_bytes"}.isdisjoint(parameter["name"] for parameter in upload["parameters"])
    watch = paths["/job/{id}/watch"]["get"]["responses"]["200"]["content"]
    assert set(watch) == {"application/x-ndjson", "text/event-stream"}
    caption = paths["/video/caption"]["post"]
    assert "Location" in caption["responses"]["202"]["headers"]
    assert "202" not in paths["/jobs"]["post"]["responses"]
    query = {parameter["name"] for parameter in paths["/jobs"]["get"]["parameters"]}
    asked = {field.name for field in jobs_pb2.ListJobsRequest.DESCRIPTOR.fields}
    assert {"status", "page_size", "page_token"} <= query == asked


def sent(path, operation):
    """What the examples of an operation ask for: path, query, body."""
    values = {each["name"]: each.get("example") for each in operation["parameters"]}
    query = {each["name"]: values[each["name"]] for each in operation["parameters"] if each["in"] == "query"}
    content = operation.get("requestBody", {}).get("content", {})
    body = content["application/json"]["examples"]["example"]["value"] if "application/json" in content else None
    where = re.sub(r"{(.+?)}", lambda found: values[found[1]], path)
    return where, {name: value for name, value in query.items() if value is not None}, body


async def test_the_examples_are_requests_that_are_read(gateway, http):
    async def nothing(_request, _context):
        return
        yield

    gateway.watch = nothing
    for path, method, operation in OPERATIONS:
        where, query, body = sent(path, operation)
        answer = await http.request(method, where, params=query, json=body, headers={"x-api-key": ADMIN_KEY})
        if path.startswith("/files/") or path.endswith(".m3u8"):
            assert answer.status_code in (403, 404, 410)  # its signature is of no gateway
        else:  # behind some methods there is nothing here
            assert answer.status_code in (200, 500, 501), answer.text


async def test_it_is_served_without_a_key(http):
    answer = await http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["openapi"] == "3.1.0"
    assert answer.json()["servers"] == [{"url": "/"}]


def test_any_service_has_a_document():
    made = document(RouteTable([service()]))
    parameters = {parameter["name"]: parameter for parameter in made["paths"]["/v1/query"]["get"]["parameters"]}
    assert {"text", "nested.text", "pick_nested.count", "times", "int64_value"} <= set(parameters)
    assert "nested.inner.text" not in parameters  # a message within itself
    schemas = made["components"]["schemas"]
    assert schemas["Nested"]["required"] == ["text", "count", "texts"]
    assert "required" not in schemas["Nested.Input"]
    assert schemas["Everything"]["properties"]["int64Value"]["type"] == ["integer", "null"]
    assert schemas["Everything"]["properties"]["choice"]["enum"] == ["CHOICE_UNSPECIFIED", "CHOICE_ONE", "CHOICE_TWO"]
    assert schemas["Everything.Input"]["properties"]["choice"]["enum"][:2] == ["one", "two"]
    books = made["paths"]["/v1/shelves/{shelve}/books/{book}"]["get"]["parameters"]
    assert [parameter["name"] for parameter in books if parameter["in"] == "path"] == ["shelve", "book"]
    # Methods that no path of OpenAPI can have.
    assert "/v1/custom/{text}" not in made["paths"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("CaptionRequest", ["url_srt", "srt_text", "words"]),
        ("Scene", ["image_url", "url_video"]),
        ("Img2VidRequest", ["images", "url_image"]),
    ],
)
def test_of_fields_of_which_one_is_needed_all_are_named(name, fields):
    schema = DOCUMENT["components"]["schemas"][name]
    one_of = [{"required": [field], "properties": {field: {}}} for field in fields]
    assert schema["not"] == {"not": {"anyOf": one_of}}
    assert not {*fields} & {*schema.get("required", ())}
