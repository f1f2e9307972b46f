"""What is one tenant's does not exist for another: every method, and every route, as the wrong tenant.

The methods come from the descriptors: a new one that names a job or a file is walked by itself, and one that does not
fails here until it is written down what another tenant gets of it.
"""

import contextlib
import re
from collections import Counter
from dataclasses import dataclass

import grpc
import httpx
import pytest
from google.bytestream import bytestream_pb2
from google.protobuf import message_factory

from apigpu.v1 import options_pb2, video_pb2
from gateway.callers import ALL_SCOPES, COMMON_SCOPES, Scope, caller, scopes_of
from gateway.rest.routes import PUBLIC, RouteTable
from gateway.rest.server import RestSettings, build_app
from tests.support.tenants import call, channel_to, key_of
from tests.support.until import until, until_async
from tests.support.whole_gateway import opened

METHODS = {method.name: method for service in PUBLIC for method in service.methods}
MISSING = {
    "JobService": "0" * 32,
    "AssetService": f"assets/{'a' * 26}",
    "UploadService": f"uploads/{'a' * 26}",
}
# Fields by which a request names something of a tenant's, and methods that name nothing, each with what is looked at.
OWNED = {"JobService": "id", "AssetService": "name", "UploadService": "name"}
READ = bytestream_pb2.DESCRIPTOR.services_by_name["ByteStream"].methods_by_name["Read"]
OPERATIONS = video_pb2.DESCRIPTOR.services_by_name["VideoService"]
NAMELESS = {
    "operations": {"SubmitJob", *(method.name for method in OPERATIONS.methods)},
    "the caller's own": {
        "UploadAsset",
        "CreateUpload",
        "SignUpload",
        "CommitUpload",
        "ListJobs",
        "ListAssets",
        "AddDestination",
        "ListDestinations",
        "DeleteDestination",
        "GetUsage",
    },
    "open to anybody": {"GetInfo", "GetHealth"},
    "of admins": {
        *("CreateKey", "ListKeys", "UpdateKey", "RevokeKey", "RotateKey"),
        *("UpdateTenant", "GetTenant", "ListTenants"),
    },
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
        upload = (await http.post("/uploads", json={"sizeBytes": 1}, **as_one)).json()["name"]
        owned = {"JobService": job["id"], "AssetService": name, "UploadService": upload}
        yield World(served, channel, http, one, two, owned)


def named_field(method):
    """The field by which a method's request names something of a tenant's; None for a method that names nothing."""
    field = OWNED.get(method.containing_service.name)
    return field if field in method.input_type.fields_by_name else None


def test_of_every_method_it_is_known_what_another_tenant_gets():
    nameless = {name for name, method in METHODS.items() if named_field(method) is None}
    assert nameless == set().union(*NAMELESS.values())


def test_every_method_has_scopes_or_is_open():
    said = {name: method.GetOptions().Extensions[options_pb2.method].scopes for name, method in METHODS.items()}
    assert {name for name, scopes in said.items() if not scopes} == NAMELESS["open to anybody"]
    admins = {name for name, method in METHODS.items() if scopes_of(path_of(method)) == {Scope.ADMIN}}
    assert admins == NAMELESS["open to anybody"] | NAMELESS["of admins"]


def test_every_route_of_http_that_is_no_method_is_known():
    app = build_app(None, None, None, None, RestSettings(), None)
    assert [route.path for route in app.routes] == [
        "/files/{id}/{filename:path}",
        "/openapi.json",
        "/openapi.json/",
        *("/docs", "/docs/reasons", "/docs/{path:path}", "/llms.txt"),
        *("/uploads", "/uploads/", "/uploads/{id:path}"),
        *("/console/{path:path}", "/"),
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
                for value in (found.owned[service_of(method)], MISSING[service_of(method)])
            ]
            assert of_one.code is grpc.StatusCode.NOT_FOUND, method.full_name
            own, missing = found.owned[service_of(method)], MISSING[service_of(method)]
            assert told(of_one, own) == told(of_none, missing), method.full_name
        for route in RouteTable().routes:
            if (field := named_field(route.method)) is None:
                continue
            own, missing = found.owned[service_of(route.method)], MISSING[service_of(route.method)]
            of_one, of_none = [
                await found.get(path_for(route, value), found.two, method=route.http_method) for value in (own, missing)
            ]
            assert of_one.status_code == of_none.status_code == 404, str(route)
            assert without_name(of_one.text, own) == without_name(of_none.text, missing)
        tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        for method in ("HEAD", "PATCH", "DELETE"):
            path = f"/{found.owned['UploadService']}"
            answer = await found.http.request(method, path, headers={"x-api-key": found.two, **tus}, content=b"x")
            assert answer.status_code == 404, method
        # All of it was in vain: for its owner it is there still, unharmed.
        assert (await found.get(f"/job/{found.owned['JobService']}", found.one)).json()["status"] in (
            "IN_QUEUE",
            "IN_PROGRESS",
        )
        assert (await found.get(f"/{found.owned['AssetService']}/content", found.one)).content == b"picture"


class CountedReads:
    """A store in front of the real one, which counts the reads within calls of each tenant."""

    def __init__(self, store, counts):
        self._store, self._counts = store, counts

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def get(self, *args):
        self._counts[caller.get().tenant] += 1
        return await self._store.get(*args)


async def test_what_is_another_tenants_takes_the_reads_of_what_there_is_not(tmp_path):
    async with world(tmp_path) as found:
        components, reads = found.served.gateway.components, Counter()
        keeping = (components.jobs.store, components.storage.uploads.records, components.webhooks.records)
        for kept in (*keeping, components.storage.assets):
            kept.bucket = CountedReads(kept.bucket, reads)
        for method in filter(named_field, METHODS.values()):
            field, counts = named_field(method), []
            request = message_factory.GetMessageClass(method.input_type)
            for value in (found.owned[service_of(method)], MISSING[service_of(method)]):
                reads.pop("two", None)
                answer = await call(found.channel, method, found.two, request(**{field: value}))
                assert answer.code is grpc.StatusCode.NOT_FOUND, method.full_name
                counts.append(reads["two"])
            assert counts[0] == counts[1] > 0, (method.full_name, counts)
        counts = []
        for name in (found.owned["AssetService"], MISSING["AssetService"]):
            reads.pop("two", None)
            answer = await call(found.channel, READ, found.two, bytestream_pb2.ReadRequest(resource_name=name))
            assert answer.code is grpc.StatusCode.NOT_FOUND
            counts.append(reads["two"])
        assert counts[0] == counts[1] > 0, counts


def service_of(method):
    return method.containing_service.name


def without_name(text, value):
    return text.replace(value, "").replace(value.rpartition("/")[2], "")


def path_for(route, value):
    return re.sub(r"{[^}]*}", value.rpartition("/")[2], str(route.template))


def told(answer, value):
    details = answer.details.replace(value.encode(), b"").replace(value.rpartition("/")[2].encode(), b"")
    return without_name(answer.text, value), details


async def test_a_list_has_the_tenants_own_jobs_and_all_of_them_for_an_admin(tmp_path):
    async with world(tmp_path) as found:
        everybody, of_one = await key_of(found.served.gateway, "three", ALL_SCOPES), [found.owned["JobService"]]
        for key, ids in (
            (found.one, of_one),
            (found.two, []),
            ("key", []),
            (everybody, of_one),
        ):
            page = (await found.get("/jobs", key)).json()
            assert [job["id"] for job in page["jobs"]] == ids
        for query, ids in (
            ("metadata=whose=one&operation=img2vid&createdAfter=2020-01-01T00:00:00Z", of_one),
            ("metadata=whose=two", []),
            ("createdBefore=2020-01-01T00:00:00Z", []),
            ("tenant=one", of_one),
            ("tenant=two", []),
        ):
            page = (await found.get(f"/jobs?{query}", everybody)).json()
            assert [job["id"] for job in page["jobs"]] == ids, query
            assert sum(page["counts"].values()) == (0 if query == "tenant=two" else 1)
        foreign = (await found.get("/jobs?tenant=one", found.two)).json()
        assert (foreign["jobs"], foreign["counts"]) == ([], {})
        wrong = await found.get("/jobs?metadata=whose", found.two)
        assert (wrong.status_code, wrong.json()["message"]) == (400, "metadata: 'whose' is no entry; give name=value.")
        seen = await found.get(f"/job/{found.owned['JobService']}", everybody)
        assert seen.json()["tenant"] == "one"


@pytest.mark.parametrize("wrong", ["two", "default"])
async def test_a_file_of_another_tenant_is_no_input(tmp_path, wrong):
    async with world(tmp_path) as found:
        await found.get(f"/job/{found.owned['JobService']}/cancel", found.one, method="POST")
        key, told_of = found.two if wrong == "two" else "key", []
        for name in (found.owned["AssetService"], MISSING["AssetService"]):
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
            body = {"img2vid": clips(MISSING["AssetService"])}
            made.append((await found.http.post("/jobs", json=body, headers=headers)).json()["id"])
        assert made[0] != made[1] == made[2]


async def test_results_belong_to_the_tenant_of_the_job(tmp_path):
    async with world(tmp_path) as found:
        await until(lambda: found.served.encoder.tasks)  # the script's first line is that job's
        await found.get(f"/job/{found.owned['JobService']}/cancel", found.one, method="POST")
        answer = await found.get("/video/img2vid", found.one, method="POST", json=clips(found.owned["AssetService"]))
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
        for name in NAMELESS["of admins"]:
            request = message_factory.GetMessageClass(METHODS[name].input_type)()
            refused = await call(found.channel, METHODS[name], found.two, request)
            assert refused.code is grpc.StatusCode.PERMISSION_DENIED, name
        answer = await found.get("/jobs", few)
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (403, "SCOPE_MISSING")
        assert answer.json()["message"].startswith("ListJobs needs a key with the scope read; this one has ")
