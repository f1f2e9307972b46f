"""NATS ends the connection for good: the gateway ends, and whoever waits for a job hears that it goes on."""

import asyncio

import httpx
import pytest

from gateway.app import ConnectionLost
from tests.support.until import until, within
from tests.support.whole_gateway import opened


async def test_whoever_waits_hears_that_the_job_goes_on(tmp_path):
    async with opened(tmp_path) as served, httpx.AsyncClient(base_url=served.http_url, timeout=60) as http:
        http.headers["X-API-Key"] = "key"
        served.encoder.script = ["hang"]
        source = (await http.put("/assets/a.png", content=b"picture")).raise_for_status().json()["name"]
        images = [{"id": "a", "image_url": source, "duracao": 1}]
        waiting = asyncio.create_task(http.post("/video/img2vid", json={"images": images}))
        await until(lambda: served.encoder.running)
        # The server ends the connection of a client that breaks its protocol.
        async with served.gateway.components.storage.jetstream.subscribe("a" * 5000, lambda topic, data: None):
            await asyncio.wait_for(served.gateway.components.storage.jetstream.lost.wait(), 10)
        with pytest.raises(ConnectionLost):
            await within(served.gateway.until_stopped())
        answer = await waiting
        detail, retry = answer.json()["details"]
        assert (retry["@type"].endswith("RetryInfo"), "retry-after" in answer.headers) == (True, True)
        assert (answer.status_code, detail["reason"]) == (503, "SHUTTING_DOWN")
        assert len(detail["metadata"]["job_id"]) == 32
