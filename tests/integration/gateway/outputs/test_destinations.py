"""Buckets of callers: their credentials go in and do not come out, and results go where a template says."""

import asyncio

import pytest

from api_gpu import Client
from gateway.callers import ALL_SCOPES
from gateway.jetstream.records import Records
from gateway.outputs.destinations import Destination, Destinations
from gateway.outputs.sealing import Sealer
from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound
from tests.integration.gateway.outputs.test_outputs import ended, served, source, submitted
from tests.support.object_server import BUCKET, ObjectServer
from tests.support.tenants import key_of

SECRET = "a-secret-that-nobody-is-to-see"
SEALER = Sealer([b"a secret of the gateways"])


def keys(server, **more):
    endpoint = f"http://127.0.0.1:{server.server_port}"
    return {"bucket": BUCKET, "endpoint": endpoint, "access_key_id": "AK", "secret_access_key": SECRET, **more}


async def test_credentials_go_in_and_do_not_come_out(tmp_path):
    with ObjectServer() as server:
        async with served(tmp_path) as (gateway, http):
            added = await http.post("/destinations", json=keys(server, test=True))
            assert added.status_code == 200, added.text
            listed = await http.get("/destinations")
            records = gateway.gateway.components.outputs.destinations.records
            (stored,) = [await records.bucket.get(key) for key in await records.bucket.keys() if "media" in key]
            assert (await http.delete("/destinations/media")).status_code == 200
            assert (await http.delete("/destinations/media")).status_code == 404
            assert (await http.get("/destinations")).json()["destinations"] == []
    (found,) = listed.json()["destinations"]
    assert (found["bucket"], found["pathStyle"], found["accessKeyId"]) == (BUCKET, True, "AK")
    for text in (added.text, listed.text, stored.value.decode()):
        assert SECRET not in text
    assert server.keys() in ([], ["api-gpu-test.txt"])


async def test_a_batch_goes_to_the_keys_of_a_template(tmp_path):
    with ObjectServer() as server:
        async with served(tmp_path) as (_, http):
            await http.post("/destinations", json=keys(server))
            picture = await source(http)
            stills = [{"id": name, "image_url": picture, "duracao": 1} for name in "ab"]
            output = {"url": "s3://media/{metadata.project}/{item}.mp4"}
            batch = {"img2vid": {"images": stills}}
            job = await ended(http, await submitted(http, batch, output, metadata={"project": "north"}))
            assert [one["place"] for one in job["deliveries"]] == [f"s3://media/north/{name}.mp4" for name in "ab"]
            assert all(one["verified"] for one in job["deliveries"])
            assert server.keys() == ["north/a.mp4", "north/b.mp4"]
            for url in ("s3://media/{metadata.project}/x", "s3://media/{item}/../x", "s3://other/{item}"):
                answer = await http.post("/jobs", json={**batch, "output": {"url": url}})
                assert answer.status_code == 400, url
                assert answer.json()["message"].startswith("output.url: ")


REFUSED = [
    ({"bucket": "a/b"}, "bucket"),
    ({"bucket": ""}, "bucket"),
    ({"endpoint": "http://10.0.0.1/"}, "endpoint"),
    ({"endpoint": "http://127.0.0.1/path"}, "endpoint"),
    ({"endpoint": "ftp://example.com"}, "endpoint"),
    ({"region": "no such"}, "region"),
    ({"access_key_id": ""}, "access_key_id"),
    ({"secret_access_key": "a\nb"}, "secret_access_key"),
    ({"session_token": "x" * 5000}, "session_token"),
]


async def test_what_can_be_no_destination_is_refused_by_its_field(tmp_path):
    with ObjectServer() as server:
        async with served(tmp_path) as (_, http):
            for change, field in REFUSED:
                answer = await http.post("/destinations", json=keys(server, **change))
                assert answer.status_code == 400, (change, answer.text)
                assert field in answer.json()["message"], answer.text
                assert SECRET not in answer.text
            assert (await http.post("/destinations", json=keys(server, bucket="nothing", test=True))).status_code == 400


async def test_the_client_keeps_and_forgets_them(tmp_path):
    with ObjectServer() as server:
        async with served(tmp_path) as (gateway, _):
            port = gateway.gateway.components.settings.grpc_port
            await asyncio.to_thread(keeping, tmp_path / "certs", port, keys(server))


def keeping(certs, port, known):
    files = [certs / name for name in ("ca.crt", "client.crt", "client.key")]
    with Client.connect(f"localhost:{port}", "key", *files) as client:
        kept = client.destinations.add(**known, test=True)
        assert client.destinations.list() == [kept]
        with pytest.raises(FailedPrecondition):
            client.destinations.add(**known | {"bucket": "nothing"}, test=True)
        with pytest.raises(InvalidArgument):
            client.destinations.add(**known | {"bucket": "A"})
        client.destinations.remove("media")
        with pytest.raises(NotFound):
            client.destinations.remove("media")


async def test_what_one_gateway_forgets_no_other_lists(jetstream):
    bucket = await jetstream.key_value("outputs")
    one, other = [Destinations(Records(bucket, Destination, "destination", "bucket."), SEALER) for _ in range(2)]
    await one.keep(Destination("acme", "media", "auto", "", False, "id", 1.0))
    await one.keep(Destination("acmes", "media", "auto", "", False, "id", 1.0))
    assert [found.tenant for found in await other.of("acme")] == ["acme"]
    await one.remove("acme", "media")
    assert await other.of("acme") == []


async def test_they_are_their_tenants_alone(tmp_path):
    with ObjectServer() as server:
        async with served(tmp_path) as (gateway, http):
            one, two = [{"x-api-key": await key_of(gateway.gateway, tenant)} for tenant in ("one", "two")]
            everybody = {"x-api-key": await key_of(gateway.gateway, "three", ALL_SCOPES)}
            added = await http.post("/destinations", json=keys(server), headers=one)
            assert added.json()["tenant"] == "one"
            assert (await http.get("/destinations", headers=two)).json()["destinations"] == []
            assert (await http.get("/destinations?tenant=one", headers=two)).status_code == 403
            assert (await http.delete("/destinations/media", headers=two)).status_code == 404
            assert (await http.delete("/destinations/media?tenant=one", headers=two)).status_code == 403
            assert (await http.post("/destinations", json=keys(server, tenant="one"), headers=two)).status_code == 403
            no_tenant = await http.post("/destinations", json=keys(server, tenant="no/such"), headers=everybody)
            assert (no_tenant.status_code, "tenant: give" in no_tenant.text) == (400, True)
            name = (await http.put("/assets/a.png", content=b"a picture", headers=two)).json()["name"]
            body = {"thumbnail": {"url_video": name}, "output": {"url": "s3://media/{item}"}}
            refused = await http.post("/jobs", json=body, headers=two)
            assert (refused.status_code, "DESTINATION_NOT_FOUND" in refused.text) == (400, True)
            listed = await http.get("/destinations?tenant=one", headers=everybody)
            assert listed.json()["destinations"] == [added.json()]
            assert (await http.delete("/destinations/media?tenant=one", headers=everybody)).status_code == 200
