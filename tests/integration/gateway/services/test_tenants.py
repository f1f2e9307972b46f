"""What is one tenant's does not exist for another: every method, and every route, as the wrong tenant.

The methods come from the descriptors: a new one that names a job or a file is walked by itself, and one that does not
fails here until it is written down what another tenant gets of it.
"""

import contextlib
import re
from dataclasses import dataclass

import grpc
import httpx
import pytest
from google.protobuf import message_factory

from gateway.callers import ALL_SCOPES, COMMON_SCOPES, Scope, scopes_of
from gateway.rest.routes import PUBLIC, RouteTable
from gateway.rest.server import RestSettings, build_app
from tests.support.tenants import call, channel_to, key_of
from tests.support.until import until_async
from tests.support.whole_gateway import opened

METHODS = {method.name: method for service in PUBLIC for method in service.methods}
MISSING = {"id": "0" * 32, "name": f"assets/{'a' * 26}"}
# Fields by which a request names something of a tenant's, and methods that name nothing, each with what is looked at.
OWNED = {"JobService": "id", "AssetService": "name"}
NAMELESS = {
    "operations": {"Caption", "Img2Vid", "AddAudio", "Concat", "Thumbnail", "Story", "Probe", "SubmitJob"},
    "the caller's own": {"UploadAsset", "ListJobs"},
    "open to anybody": {"GetInfo", "GetHealth"},
    "of the operator": {"GetFleet", "GetCosts", "GetRunpodConfig", "GetRunpodHealth"},
}
FLEETLESS = COMMON_SCOPES - {Scope.FLEET, Scope.READ}


@dataclass
class World:
    """A gateway with a job that runs and files of the tenant "one", and keys of two tenants."""

    served: object
    channel: grpc.aio.Channel
    http: httpx.AsyncClient
    one: str
    two: str
    owned: dict[str, str]

    async def get(self, path, key, **more):
        return await self.http.request(more.pop("method", "GET"), path, headers={"x-api-key": key}, **more)


@contextlib.asynccontextmanager
async def world(tmp_path):
    async with (
        opened(tmp_path, fetch_allow_cidrs="127.0.0.0/8") as served,
        httpx.AsyncClient(base_url=served.http_url, timeout=60) as http,
        channel_to(served.gateway, tmp_path / "certs") as channel,
    ):
        one, two = [await key_of(served.gateway, tenant) for tenant in ("one", "two")]
        served.encoder.script = ["hang"]
        as_one = {"headers": {"x-api-key": one}}
        name = (await http.put("/assets/a.png", content=b"picture", **as_one)).json()["name"]
        said = {"webhook_url": "http://127.0.0.1:1/hook", "metadata": {"whose": "one"}}
        job = (await http.post("/jobs", json={"img2vid": clips(name), **said}, **as_one)).json()
        assert job["tenant"] == "one"
        yield World(served, channel, http, one, two, {"id": job["id"], "name": name})


def named_field(method):
    """The field by which a method's request names something of a tenant's; None for a method that names nothing."""
    field = OWNED.get(method.containing_service.name)
    return field if field in method.input_type.fields_by_name else None


def test_of_every_method_it_is_known_what_another_tenant_gets():
    nameless = {name for name, method in METHODS.items() if named_field(method) is None}
    assert nameless == set().union(*NAMELESS.values())


def test_every_method_has_scopes_or_is_open():
    silent = {name for name, method in METHODS.items() if scopes_of(path_of(method)) == {Scope.ADMIN}}
    assert silent == NAMELESS["open to anybody"]


def test_every_route_of_http_that_is_no_method_is_known():
    app = build_app(None, None, None, None, RestSettings(), None)
    assert [route.path for route in app.routes] == [
        "/files/{id}/{filename:path}",
        "/openapi.json",
        "/openapi.json/",
        "",
    ]


def path_of(method):
    return f"/{method.containing_service.full_name}/{method.name}"


async def test_no_method_and_no_route_tells_another_tenant_of_a_job_or_a_file(tmp_path):
    async with world(tmp_path) as found:
        for method in filter(named_field, METHODS.values()):
            field = named_field(method)
            request = message_factory.GetMessageClass(method.input_type)
            of_one, of_none = [
                await call(found.channel, method, found.two, request(**{field: value}))
                for value in (found.owned[field], MISSING[field])
            ]
            assert of_one.code is grpc.StatusCode.NOT_FOUND, method.full_name
            assert told(of_one, found.owned[field]) == told(of_none, MISSING[field]), method.full_name
        for route in RouteTable().routes:
            if (field := named_field(route.method)) is None:
                continue
            of_one, of_none = [
                await found.get(path_for(route, value), found.two, method=route.http_method)
                for value in (found.owned[field], MISSING[field])
            ]
            assert of_one.status_code == of_none.status_code == 404, str(route)
            assert of_one.text.replace(found.owned[field], "") == of_none.text.replace(MISSING[field], "")
        # All of it was in vain: for its owner it is there still, unharmed.
        assert (await found.get(f"/job/{found.owned['id']}", found.one)).json()["status"] in ("IN_QUEUE", "IN_PROGRESS")
        assert (await found.get(f"/{found.owned['name']}/content", found.one)).content == b"picture"


def path_for(route, value):
    return re.sub(r"{[^}]*}", value.rpartition("/")[2], str(route.template))


def told(answer, value):
    return answer.text.replace(value, ""), answer.details.replace(value.encode(), b"")


async def test_a_list_has_the_tenants_own_jobs_and_all_of_them_for_an_admin(tmp_path):
    async with world(tmp_path) as found:
        everybody = await key_of(found.served.gateway, "three", ALL_SCOPES)
        for key, ids in (
            (found.one, [found.owned["id"]]),
            (found.two, []),
            ("key", []),
            (everybody, [found.owned["id"]]),
        ):
            page = (await found.get("/jobs", key)).json()
            assert [job["id"] for job in page["jobs"]] == ids
        seen = await found.get(f"/job/{found.owned['id']}", everybody)
        assert seen.json()["tenant"] == "one"


@pytest.mark.parametrize("wrong", ["two", "default"])
async def test_a_file_of_another_tenant_is_no_input(tmp_path, wrong):
    async with world(tmp_path) as found:
        await found.get(f"/job/{found.owned['id']}/cancel", found.one, method="POST")
        key, told_of = found.two if wrong == "two" else "key", []
        for name in (found.owned["name"], MISSING["name"]):
            job = (await found.get("/jobs", key, method="POST", json={"img2vid": clips(name)})).json()
            ended = await until_async(lambda job=job: failed_job(found, job["id"], key))
            told_of.append((ended["error"]["reason"], ended["error"]["message"].replace(name, "")))
        assert told_of[0] == told_of[1]
        assert told_of[0][0] == "ASSET_NOT_FOUND"


def clips(name):
    return {"images": [{"id": "i", "image_url": name, "duracao": 1}]}


async def failed_job(found, job_id, key):
    job = (await found.get(f"/job/{job_id}", key)).json()
    return job if job["status"] == "FAILED" else None


async def test_tenants_have_idempotency_keys_of_their_own(tmp_path):
    async with world(tmp_path) as found:
        made = []
        for key in (found.one, found.two, found.two):
            headers = {"x-api-key": key, "idempotency-key": "same"}
            body = {"img2vid": clips(MISSING["name"])}
            made.append((await found.http.post("/jobs", json=body, headers=headers)).json()["id"])
        assert made[0] != made[1] == made[2]


async def test_results_belong_to_the_tenant_of_the_job(tmp_path):
    async with world(tmp_path) as found:
        await found.get(f"/job/{found.owned['id']}/cancel", found.one, method="POST")
        answer = await found.get("/video/img2vid", found.one, method="POST", json=clips(found.owned["name"]))
        job = (await found.get(f"/job/{answer.json()['stats']['jobId']}", found.one)).json()
        name = job["output"]["videos"][0]["asset"]
        assert (await found.get(f"/{name}", found.one)).status_code == 200
        assert (await found.get(f"/{name}", found.two)).status_code == 404
        # A link is the permission itself, and may be given to others.
        assert (await found.http.get(job["output"]["videos"][0]["video_url"])).status_code == 200


async def test_what_is_the_operators_needs_a_key_with_its_scope(tmp_path):
    async with world(tmp_path) as found:
        few = await key_of(found.served.gateway, "two", FLEETLESS)
        for name in NAMELESS["of the operator"]:
            request = message_factory.GetMessageClass(METHODS[name].input_type)()
            refused = await call(found.channel, METHODS[name], few, request)
            allowed = await call(found.channel, METHODS[name], found.two, request)
            assert (refused.code, allowed.code) == (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.OK), name
        answer = await found.get("/jobs", few)
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (403, "SCOPE_MISSING")
        assert answer.json()["message"].startswith("ListJobs needs a key with the scope read; this one has ")
