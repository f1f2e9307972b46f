"""From a JSON request to a link that opens, over emulated RunPod; and gateways that end in the middle of it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from client.certs import make_set
from client.pair import free_ports
from gateway.config import GatewaySettings
from rpc.config import ConfigError
from tests import judge
from tests.gateway.encoders.conftest import work
from tests.providers import runpodemulator, sdkchild

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "test-key"


@dataclass
class Gateway:
    """A gateway without encoders of its own, as a process that can be ended and started again on the same ports."""

    runpod: runpodemulator.RunPod
    folder: object
    ports: list
    process: object = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports[0]}"

    async def start(self):
        own = {
            "DATA_DIR": self.folder / "data",
            "LOGS_DIR": self.folder / "logs",
            "X_API_KEY": KEY,
            "PORT": self.ports[0],
            "GRPC_PORT": self.ports[1],
            "HEALTH_PORT": self.ports[2],
            "ENCODERS": ",",
            "PUBLIC_URL": self.url,
            "RUNPOD_URL": self.runpod.api_url,
            "RUNPOD_API_KEY": self.runpod.key,
            "RUNPOD_ENDPOINT_ID": self.runpod.endpoint_id,
            "ACK_WAIT_SECONDS": 1,
            "DRAIN_SECONDS": 0.1,
            "TLS_CERT": self.folder / "certs" / "gateway.crt",
            "TLS_KEY": self.folder / "certs" / "gateway.key",
            "TLS_CLIENT_CA": self.folder / "certs" / "client-ca.crt",
            "ENCODER_CA": self.folder / "certs" / "ca.crt",
        }
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environ = inherited | {name: str(value) for name, value in own.items()}
        with (self.folder / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "gateway"], env=environ, stdout=log, stderr=log)
        end = time.monotonic() + 20
        async with httpx.AsyncClient(verify=False) as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(f"{self.url}/health")).json()["encoders"]["ready"]:
                        return
                assert time.monotonic() < end, (self.folder / "gateway.log").read_text()
                await asyncio.sleep(0.05)

    async def end(self, number):
        self.process.send_signal(number)
        await asyncio.to_thread(self.process.wait, 10)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runpod")
    make_set(folder / "certs")
    async with runpodemulator.running() as emulated:
        made = Gateway(emulated, folder, free_ports(3))
        await made.start()
        yield made
        await made.end(signal.SIGTERM)


@pytest_asyncio.fixture(loop_scope="module")
async def runpod(gateway):
    """RunPod as new."""
    gateway.runpod.queue.jobs.clear()
    gateway.runpod.requests.clear()
    return gateway.runpod


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(gateway):
    headers = {"X-API-Key": KEY}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=30, verify=False) as client:
        yield client


async def submitted(http, media):
    asset = (await http.post("/assets", content=media.image.read_bytes(), params={"filename": "a.png"})).json()["name"]
    job = await http.post("/jobs", json={"img2vid": {"url_image": asset, "duration": 0.4, "frame_rate": 10}})
    assert job.status_code == 200, job.text
    return job.json()["id"]


async def ended(http, job, seconds=20):
    end = time.monotonic() + seconds
    while (found := (await http.get(f"/job/{job}")).json())["status"] in ("IN_QUEUE", "IN_PROGRESS"):
        assert time.monotonic() < end, found
        await asyncio.sleep(0.05)
    return found


async def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.02)


async def test_from_a_request_to_a_link_that_opens(runpod, gateway, http, media, tmp_path):
    health = await http.get("/runpod/health")
    assert (health.status_code, health.json()["endpoint"]) == (200, "RunPod Serverless")
    job = await submitted(http, media)
    phases = []
    environ = sdkchild.environment(
        tmp_path, **runpod.worker_environment("w1"), CODEC="x264", WORK_DIR=str(tmp_path / "work")
    )
    with sdkchild.child("runpod", ["-m", "encoder.runpod_handler"], environ, tmp_path / "worker.log"):
        async with http.stream("GET", f"/job/{job}/watch") as events:
            async for line in events.aiter_lines():
                phases += [word for word in ("COLD_START", "ENCODING", "finished") if word in line]
    done = await ended(http, job)
    assert done["status"] == "COMPLETED", (done, (tmp_path / "worker.log").read_text())
    assert list(dict.fromkeys(phases)) == ["COLD_START", "ENCODING", "finished"]
    (tmp_path / "a.mp4").write_bytes((await http.get(done["output"]["videos"][0]["video_url"])).content)
    assert judge.facts(tmp_path / "a.mp4").frames == 4
    # Only the still and the video are kept, and nothing waits to be taken up.
    assert len(list((gateway.folder / "data" / "assets" / "assets").iterdir())) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_gateway_that_ends_in_mid_run_costs_no_second_one(runpod, gateway, http, media, number):
    goes_on = asyncio.Event()

    async def held(asked, report):
        await goes_on.wait()
        return await work(asked, report)

    async with runpod.worker(held):
        job = await submitted(http, media)
        await until(lambda: [one.state for one in runpod.queue.jobs.values()] == ["IN_PROGRESS"])
        await asyncio.sleep(0.2)
        await gateway.end(number)
        await gateway.start()
        goes_on.set()
        done = await ended(http, job)
    assert (done["status"], runpod.requests["run"]) == ("COMPLETED", 1)
    assert (await http.get(done["output"]["videos"][0]["video_url"])).status_code == 200


async def test_cancelling_a_job_cancels_the_run(runpod, gateway, http, media):
    async def hang(asked, report):
        await asyncio.sleep(60)

    async with runpod.worker(hang):
        job = await submitted(http, media)
        await until(lambda: [one.state for one in runpod.queue.jobs.values()] == ["IN_PROGRESS"])
        await http.post(f"/job/{job}/cancel")
        await until(lambda: [one.state for one in runpod.queue.jobs.values()] == ["CANCELLED"])
    runpod.faults.is_down = True
    health = await http.get("/runpod/health")
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert "HTTP status 503" in health.json()["error"]


async def test_without_a_public_url_the_start_says_what_is_missing(monkeypatch):
    monkeypatch.delenv("PUBLIC_URL", raising=False)
    with pytest.raises(ConfigError, match=r"RUNPOD_ENDPOINT_ID='ep1'.*set PUBLIC_URL"):
        GatewaySettings.load(x_api_key="k", runpod_endpoint_id="ep1")
