"""What we say to RunPod's management API, and what our emulator answers, against RunPod's own specification: a file
that is not part of this project, which RUNPOD_OPENAPI names (`make providers RUNPOD_OPENAPI=FILE`)."""

import asyncio
import contextlib
import copy
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import SecretStr
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from api_gpu.deploy.runpod import Account, Deployment, RunPodSettings
from gateway.fleet.providers.runpod.client import RunpodClient
from servicekit.errors import InvalidArgument, NotFound, Unauthenticated
from tests.emulators import runpodemulator, runpodschemas
from tests.emulators.runpodmanagement import card

pytestmark = pytest.mark.providers
URN = "urn:specification"
WANTED = Deployment("enc", "registry/api-gpu:1", environment={"CODEC": "nvenc"})
# Our schema of each message, and what the specification calls it.
NAMES = {
    "CreateEndpointRequest": runpodschemas.CREATE,
    "UpdateEndpointRequest": runpodschemas.UPDATE,
    "Endpoint": runpodschemas.ENDPOINT,
    "ListEndpointsResponse": runpodschemas.ENDPOINTS,
    "GpuType": runpodschemas.CARD,
    "ListGpuTypesResponse": runpodschemas.CARDS,
    "ErrorResponse": runpodschemas.PROBLEM,
}


@pytest.fixture(scope="module")
def specification():
    return json.loads(Path(os.environ["RUNPOD_OPENAPI"]).read_text())


@pytest.fixture(scope="module")
def registry(specification):
    return Registry().with_resource(URN, Resource(contents=specification, specification=DRAFT202012))


def wrong(registry, pointer, value):
    """What is wrong with a value by the schema at a place of the specification."""
    validator = Draft202012Validator({"$ref": f"{URN}#{pointer}"}, registry=registry)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def pointer(*parts):
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


async def story(runpod):
    """Everything that we say: a deploy from nothing, again, changed, refused; what the gateway reads; a destroy."""

    async def account(method, *arguments, key=runpod.key):
        settings = RunPodSettings(runpod_api_key=SecretStr(key), runpod_rest_url=runpod.rest_url)
        with Account.connect(settings).http as http:
            return await asyncio.to_thread(getattr(Account(http), method), *arguments)

    def silent(text):
        pass

    endpoint_id = await account("deploy", WANTED, silent)
    await account("deploy", replace(WANTED, gpu_types=["NVIDIA L4"], is_flashboot=False, registry_auth_id="r"), silent)
    with pytest.raises(InvalidArgument):
        await account("deploy", replace(WANTED, idle_timeout_seconds=9999), silent)
    with pytest.raises(InvalidArgument):
        await account("deploy", replace(WANTED, max_workers=2, min_workers=2, disk_gb=0), silent)
    with pytest.raises(Unauthenticated):
        await account("deploy", WANTED, silent, key="wrong")
    for name, error in ((endpoint_id, None), ("nosuch", NotFound)):
        client = RunpodClient(runpod.api_url, name, runpod.key, rest_url=runpod.rest_url)
        with pytest.raises(error) if error else contextlib.nullcontext():
            await client.endpoint()
        await client.cards()
        await client.close()
    await account("destroy", "enc", silent)


async def test_every_request_and_every_answer_is_one_of_the_specification(specification, registry):
    async with runpodemulator.running() as runpod:
        await story(runpod)
        exchanges = runpod.management.exchanges
    assert {one.method for one in exchanges} == {"GET", "POST", "PATCH", "DELETE"}
    for one in exchanges:
        operation = specification["paths"][one.path][one.method.lower()]
        at = pointer("paths", one.path, one.method.lower())
        known = {resolved(specification, parameter)["name"] for parameter in operation.get("parameters", ())}
        assert set(one.query) <= known, one
        if one.asked is not None and one.status != 422:
            at_body = at + pointer("requestBody", "content", "application/json", "schema")
            assert not wrong(registry, at_body, one.asked), one
        status = str(one.status) if str(one.status) in operation["responses"] else "default"
        answer = resolved(specification, operation["responses"][status])
        if one.answered is None:
            assert "content" not in answer, one
        else:
            name = answer["content"][one.content_type]["schema"]["$ref"].removeprefix("#")
            assert not wrong(registry, name, one.answered), one


def resolved(specification, value):
    for part in value.get("$ref", "").removeprefix("#/").split("/") if "$ref" in value else ():
        specification = specification[part]
    return specification if "$ref" in value else value


def mutations(value):
    """The value with each of its parts left out, of another type, or with a part that nobody knows."""
    if isinstance(value, dict):
        yield {**value, "bogus": 1}
        for name in value:
            yield {other: kept for other, kept in value.items() if other != name}
            for changed in (*mutations(value[name]), None, 0, "", "X", [], {}, -1):
                yield {**value, name: changed}
    elif isinstance(value, list):
        for number, item in enumerate(value):
            for changed in mutations(item):
                yield [*value[:number], changed, *value[number + 1 :]]


async def samples():
    """A valid value for each message."""
    async with runpodemulator.running() as runpod:
        await story(runpod)
        said = {(one.method, one.path): one for one in runpod.management.exchanges if one.status < 300}
    create, update = said["POST", "/v2/serverless"].asked, said["PATCH", "/v2/serverless/{id}"].asked
    endpoint = said["POST", "/v2/serverless"].answered
    counted = {"scaling": {"type": "REQUEST_COUNT", "requestCount": 2}}
    yield "CreateEndpointRequest", create
    yield "CreateEndpointRequest", create | counted | {"type": "LOAD_BALANCER"}
    yield (
        "CreateEndpointRequest",
        {name: value for name, value in create.items() if name != "image"} | {"templateId": "t"},
    )
    yield "UpdateEndpointRequest", update
    yield "UpdateEndpointRequest", {"gpu": {"minCudaVersion": "12.1", "allowedCudaVersions": ["12.8"]}}
    yield "Endpoint", endpoint
    yield "Endpoint", endpoint | counted | {"gpu": None}
    yield "ListEndpointsResponse", {"endpoints": [endpoint]}
    yield "GpuType", card("NVIDIA L4", "AMPERE_24")
    yield "ListGpuTypesResponse", {"gpus": [card("NVIDIA L4", None)]}
    yield "ErrorResponse", {"title": "Not Found", "status": 404, "detail": "no", "errors": ["a"]}


async def test_our_schemas_take_and_refuse_what_the_specification_does(registry):
    counted = 0
    async for name, value in samples():
        at = pointer("components", "schemas", name)
        assert not wrong(registry, at, value), name
        for changed in (value, *mutations(copy.deepcopy(value))):
            ours, theirs = runpodschemas.faults(NAMES[name], changed), wrong(registry, at, changed)
            assert bool(ours) == bool(theirs), (name, changed, ours, theirs)
            counted += 1
    assert counted > 500
