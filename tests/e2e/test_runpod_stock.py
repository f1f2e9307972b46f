"""RunPod without a card in stock: whoever waits is told so, by WatchJob, in the fleet and by the command line."""

import asyncio
import json
import signal

import httpx
import pytest

from tests.emulators import runpodemulator
from tests.support.lone_gateway import KEY, LoneGateway

NO_STOCK = "RunPod has no card of the endpoint in stock now (NVIDIA L4, NVIDIA RTX A5000, NVIDIA GeForce RTX 3090)"


@pytest.fixture
async def runpod():
    async with runpodemulator.running() as emulated:
        emulated.management.add(emulated.endpoint_id)
        emulated.management.set_stock("NONE")
        yield emulated


@pytest.fixture
async def gateway(runpod, tmp_path):
    settings = {
        "RUNPOD_URL": runpod.api_url,
        "RUNPOD_REST_URL": runpod.rest_url,
        "RUNPOD_API_KEY": runpod.key,
        "RUNPOD_ENDPOINT_ID": runpod.endpoint_id,
        "DRAIN_SECONDS": "0.1",
    }
    made = LoneGateway(tmp_path, **settings)
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.end, signal.SIGTERM)
    made.http.close()


async def queued(http, job):
    """The first event of a job's watch that says why it waits."""
    async with http.stream("GET", f"/job/{job}/watch") as events:
        async for line in events.aiter_lines():
            event = json.loads(line)["result"].get("queued", {})
            if "reason" in event:
                return event
    return None


async def test_no_card_in_stock_is_told_to_whoever_waits(runpod, gateway, media):
    async with httpx.AsyncClient(base_url=gateway.url, headers={"X-API-Key": KEY}, timeout=60, verify=False) as http:
        asset = (await http.put("/assets/a.png", content=media.image.read_bytes())).json()["name"]
        clip = {"img2vid": {"url_image": asset, "duration": 0.4, "frame_rate": 10}}
        job = (await http.post("/jobs", json=clip)).json()["id"]
        event = await queued(http, job)
        assert event["reason"].startswith(NO_STOCK)
        assert event["phase"] == "WAITING_FOR_WORKER"
        health = await http.get("/runpod/health")
        assert (health.status_code, health.json()["status"]) == (200, "healthy")
        assert health.json()["notice"].startswith(NO_STOCK)
        (provider,) = (await http.get("/fleet")).json()["providers"]
        assert (provider["name"], provider["ready"]) == ("runpod", True)
        assert provider["notice"].startswith(NO_STOCK)
    shown = await asyncio.to_thread(gateway.api_gpu, "fleet")
    assert f"runpod: {NO_STOCK}" in shown.stderr
