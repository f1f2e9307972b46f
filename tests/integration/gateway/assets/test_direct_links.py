"""Files past the gateway: by links of the bucket itself, downloads and uploads."""

import asyncio
import hashlib

import httpx
import pytest

from servicekit.config import ConfigError
from tests.support.object_server import BUCKET, ObjectServer
from tests.support.whole_gateway import opened


@pytest.fixture
def cloud(monkeypatch):
    with ObjectServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name, value in (("ALLOW_HTTP", "true"), ("ACCESS_KEY_ID", "id"), ("SECRET_ACCESS_KEY", "secret")):
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        yield server


def served(tmp_path, **changes):
    return opened(tmp_path, assets_url=f"s3://{BUCKET}/here", bucket_links=True, **changes)


def client(gateway):
    return httpx.AsyncClient(base_url=gateway.http_url, headers={"X-API-Key": "key"}, timeout=60)


async def test_a_link_leads_on_to_the_bucket(cloud, tmp_path):
    async with served(tmp_path) as gateway, client(gateway) as http:
        asset = (await http.put("/assets/talk ü.mp4", content=b"a video")).json()
        page = (await http.put("/assets/page.html", content=b"a page")).json()
        async with httpx.AsyncClient() as anybody:
            moved = await anybody.get(asset["downloadUrl"])
            assert moved.status_code == 307
            assert f"127.0.0.1:{cloud.server_port}/{BUCKET}/here/{asset['name']}?" in moved.headers["location"]
            assert (await anybody.get(moved.headers["location"])).content == b"a video"
            # What a browser must not open in place comes by the gateway, and so do questions about a file.
            for answer in (
                await anybody.get(page["downloadUrl"]),
                await anybody.get(asset["downloadUrl"] + "&download=1"),
                await anybody.head(asset["downloadUrl"]),
                await http.get(f"/{asset['name']}/content"),
            ):
                assert answer.status_code == 200, answer.url
            forged = await anybody.get(asset["downloadUrl"].replace("signature=", "signature=0"))
            assert forged.status_code == 403
        await http.delete(f"/{asset['name']}")
        assert (await http.get(asset["downloadUrl"])).status_code == 404


async def test_a_result_of_another_type_than_was_expected_comes_by_the_gateway(cloud, tmp_path):
    async with served(tmp_path) as gateway, client(gateway) as http:
        parts = gateway.gateway.components.storage
        for name, status in (("film.mp4", 307), ("film.jpg", 200)):
            async with parts.assets.create("film.mp4", is_result=True) as writer:
                await writer.write(b"a film")
                writer.rename(name)
                asset = await writer.commit()
            assert (await http.get(parts.links.sign_file(asset.id, name))).status_code == status


async def test_an_upload_past_the_gateway_is_an_asset_once_it_is_found_to_be_right(cloud, tmp_path):
    data = b"a video " * 1000
    digest = hashlib.sha256(data).hexdigest()
    async with served(tmp_path) as gateway, client(gateway) as http:
        signed = (await http.post("/assets:sign", json={"filename": "a/talk.mp4", "sizeBytes": len(data)})).json()
        early = await http.post("/assets:commit", json={"token": signed["token"]})
        assert early.status_code == 404
        async with httpx.AsyncClient() as anybody:
            put = await anybody.put(signed["url"], content=data, headers=signed["headers"])
            assert put.status_code == 200
        wrong = await http.post("/assets:commit", json={"token": signed["token"], "sha256": "0" * 64})
        assert "DIGEST_MISMATCH" in wrong.text
        bad = {"token": signed["token"], "sha256": "0" * 64}
        # One that is repeated or wrong takes nothing from one that is right, at the same time.
        right, *_ = await asyncio.gather(
            http.post("/assets:commit", json=bad | {"sha256": digest}),
            *(http.post("/assets:commit", json=bad) for _ in range(3)),
        )
        asset = right.json()
        assert (asset["filename"], asset["sha256"], int(asset["sizeBytes"])) == ("talk.mp4", digest, len(data))
        again = await http.post("/assets:commit", json={"token": signed["token"], "sha256": digest})
        assert again.json()["name"] == asset["name"]
        assert (await http.get(f"/{asset['name']}/content")).content == data
        # Whoever still has the link writes elsewhere.
        async with httpx.AsyncClient() as anybody:
            await anybody.put(signed["url"], content=b"another", headers=signed["headers"])
        assert (await http.get(f"/{asset['name']}/content")).content == data
    (kept,) = [key for key in cloud.objects if asset["name"] in key]
    assert kept.startswith(f"here/{asset['name']}.")


async def test_what_is_wrong_with_an_upload_is_told(cloud, tmp_path):
    async with served(tmp_path, max_asset_bytes=1000) as gateway, client(gateway) as http:
        signed = (await http.post("/assets:sign", json={"filename": "a.mp4", "sizeBytes": 10})).json()
        async with httpx.AsyncClient() as anybody:
            await anybody.put(signed["url"], content=b"more than ten bytes", headers=signed["headers"])
        assert "SIZE_MISMATCH" in (await http.post("/assets:commit", json={"token": signed["token"]})).text
        for body in ({"filename": "a.mp4", "sizeBytes": 1001}, {"filename": "a.mp4"}):
            assert (await http.post("/assets:sign", json=body)).status_code in (400, 413, 429), body
        for token in ("", "00.11", signed["token"] + "0", signed["token"].swapcase()):
            refused = await http.post("/assets:commit", json={"token": token})
            assert (refused.status_code, "BAD_UPLOAD_TOKEN" in refused.text) == (400, True), token


async def test_a_folder_has_no_links(tmp_path):
    async with opened(tmp_path) as gateway, client(gateway) as http:
        answer = await http.post("/assets:sign", json={"filename": "a.mp4", "sizeBytes": 10})
        assert (answer.status_code, "NO_BUCKET_LINKS" in answer.text) == (400, True)
    with pytest.raises(ConfigError, match="BUCKET_LINKS"):
        async with opened(tmp_path, bucket_links=True):
            pass
