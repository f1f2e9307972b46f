"""Results and assets at a real S3 server: versitygw (Apache 2.0), a gateway of S3 to a folder. It checks signatures and
digests."""

import contextlib
import subprocess
from datetime import timedelta

import httpx
import obstore
import pytest
from obstore.store import S3Store

from servicekit.process import die_with_parent
from tests.interop.toolchain import BUILD, run
from tests.support.missing import need
from tests.support.until import until_async, until_sync
from tests.support.whole_gateway import opened
from tools.pair import free_ports

pytestmark = [pytest.mark.interop, pytest.mark.timeout(1500)]

VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
KEY, SECRET, BUCKET = "interop-key", "interop-secret-of-the-server", "media"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    need("go")
    folder, binaries = tmp_path_factory.mktemp("s3"), BUILD / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    if not (binaries / "versitygw").exists():
        run("go", "install", VERSITYGW, folder=folder, GOBIN=str(binaries))
    for name in ("root", "sidecar", "root/media"):
        (folder / name).mkdir()
    (port,) = free_ports(1)
    command = [binaries / "versitygw", "--port", f"127.0.0.1:{port}", "--access", KEY, "--secret", SECRET, "--quiet"]
    child = die_with_parent([*map(str, command), "posix", "--sidecar", str(folder / "sidecar"), str(folder / "root")])
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(child.command, stdout=log, stderr=log, preexec_fn=child.preexec)
    try:
        until_sync(lambda: answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def answers(port):
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/").status_code
    return None


@pytest.fixture
def store(endpoint):
    return S3Store(
        BUCKET,
        endpoint=endpoint,
        access_key_id=KEY,
        secret_access_key=SECRET,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


@contextlib.asynccontextmanager
async def served(tmp_path, **changes):
    settings = {"fetch_allow_cidrs": "127.0.0.0/8"} | changes
    async with (
        opened(tmp_path, **settings) as gateway,
        httpx.AsyncClient(base_url=gateway.http_url, headers={"X-API-Key": "key"}, timeout=60) as http,
    ):
        picture = (await http.put("/assets/a.png", content=b"a picture")).json()["name"]
        yield gateway, http, {"thumbnail": {"url_video": picture}}


async def ended(http, operation, output, **more):
    answer = await http.post("/jobs", json={**operation, "output": output, **more})
    assert answer.status_code == 200, answer.text

    async def found():
        job = (await http.get(f"/job/{answer.json()['id']}")).json()
        return job if job["status"] not in ("IN_QUEUE", "IN_PROGRESS") else None

    return await until_async(found)


def keys(endpoint, secret=SECRET, **more):
    return {"bucket": BUCKET, "endpoint": endpoint, "access_key_id": KEY, "secret_access_key": secret, **more}


async def test_a_presigned_url_takes_the_result(tmp_path, store):
    url = obstore.sign(store, "PUT", "presigned/ü result.jpg", timedelta(hours=1))
    late = obstore.sign(store, "PUT", "late", timedelta(seconds=1))
    async with served(tmp_path) as (gateway, http, operation):
        gateway.encoder.script = [b"a" * 3_000_000]
        job = await ended(http, operation, {"url": url})
        assert [(one["state"], one["verified"]) for one in job["deliveries"]] == [("DELIVERED", True)]
        changed = await ended(http, operation, {"url": url.replace("presigned", "elsewhere")})
        expired = await ended(http, operation, {"url": late.replace("X-Amz-Date=2", "X-Amz-Date=1")})
    assert bytes(obstore.get(store, "presigned/ü result.jpg").bytes()) == b"a" * 3_000_000
    assert "403 (SignatureDoesNotMatch)" in changed["deliveries"][0]["error"]
    assert expired["deliveries"][0]["state"] == "GIVEN_UP"


async def test_a_bucket_takes_the_result_by_the_credentials_that_are_kept(tmp_path, endpoint, store):
    async with served(tmp_path) as (gateway, http, operation):
        wrong = await http.post("/destinations", json=keys(endpoint, "another-secret", test=True))
        assert wrong.status_code == 400
        assert "DESTINATION_REFUSED" in wrong.text
        assert "SignatureDoesNotMatch" in wrong.json()["message"]
        assert (await http.get("/destinations")).json().get("destinations", []) == []
        added = await http.post("/destinations", json=keys(endpoint, test=True))
        assert added.status_code == 200, added.text
        assert SECRET not in added.text
        assert [found["path"] for found in obstore.list(store).collect()].count("api-gpu-test.txt") == 0
        gateway.encoder.script = [b"b" * 3_000_000]
        url = f"s3://{BUCKET}/{{metadata.project}}/ü {{item}}+$.{{ext}}"
        output = {"url": url, "headers": {"x-amz-meta-a": "b  c"}}
        job = await ended(http, operation, output, metadata={"project": "north"})
    (delivery,) = job["deliveries"]
    assert (delivery["state"], delivery["verified"]) == ("DELIVERED", True), delivery
    found = obstore.get(store, delivery["place"].removeprefix(f"s3://{BUCKET}/"))
    assert bytes(found.bytes()) == b"b" * 3_000_000


async def test_assets_go_past_the_gateway(tmp_path, endpoint, store, monkeypatch):
    given = {"ENDPOINT_URL": endpoint, "ALLOW_HTTP": "true", "ACCESS_KEY_ID": KEY, "SECRET_ACCESS_KEY": SECRET}
    for name, value in {**given, "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    async with (
        served(tmp_path, assets_url=f"s3://{BUCKET}/here", bucket_links=True) as (_, http, _),
        httpx.AsyncClient() as anybody,
    ):
        asset = (await http.put("/assets/talk ü.mp4", content=b"c" * 20_000_000)).json()
        found = await anybody.get(asset["downloadUrl"], follow_redirects=True, headers={"Range": "bytes=5-14"})
        assert (found.status_code, found.content, found.url.port) == (206, b"c" * 10, httpx.URL(endpoint).port)
        assert found.headers["content-type"] == "video/mp4"
        assert "talk%20%C3%BC.mp4" in found.headers["content-disposition"]
        signed = (await http.post("/assets:sign", json={"filename": "b.mp4", "sizeBytes": 1_000_000})).json()
        put = await anybody.put(signed["url"], content=b"d" * 1_000_000, headers=signed["headers"])
        assert put.status_code == 200, put.text
        made = (await http.post("/assets:commit", json={"token": signed["token"]})).json()
        assert (await http.get(f"/{made['name']}/content")).content == b"d" * 1_000_000
