"""A provider is added by one entry of the registry: its settings come from the environment, and the gateway, wired as
ever, rents its encoders, gives them work and gives them back."""

import asyncio

import httpx
import pytest

from gateway.config import GatewaySettings
from gateway.fleet.providers.registry import PROVIDERS
from servicekit.config import ConfigError
from tests.integration.gateway.jobs.conftest import ScriptedEncoder, certs, serving  # noqa: F401
from tests.support.toy_providers import serverless_toy, toy
from tests.support.until import HANG_SECONDS
from tests.support.whole_gateway import opened


@pytest.fixture
async def rented(certs):  # noqa: F811
    """The encoder that is rented out: its address, and the certificates of the gateway that it knows."""
    async with serving(ScriptedEncoder(slots=1), certs) as port:
        yield {"ENCODER": f"127.0.0.1:{port}", "CERTS": str(certs), "API_KEY": "secret", "USD_PER_HOUR": "36"}


@pytest.fixture
def registered(monkeypatch, rented):
    """Enter a provider in the registry and set it up by its environment; what the gateway opens of it."""

    def register(name, factory):
        providers = []
        monkeypatch.setitem(PROVIDERS, name, factory(providers))
        monkeypatch.setenv("FLEET_PROVIDERS", name)
        for key, value in rented.items():
            monkeypatch.setenv(f"{name}_{key}".upper(), value)
        return providers

    return register


async def caption(http):
    """The answer to a caption request, once it is done."""
    files = [(await http.put(f"/assets/{name}", content=b"x")).raise_for_status().json()["name"] for name in "ab"]
    answer = await http.post("/video/caption", json={"url_video": files[0], "url_srt": files[1]}, timeout=60)
    return answer.raise_for_status().json()


async def machine(http, state):
    """The one machine of the fleet, once it is in the state."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            (found,) = (await http.get("/fleet")).json()["machines"]
            if found["state"] == state:
                return found
            await asyncio.sleep(0.05)


def gateway(tmp_path):
    return opened(tmp_path, encoders=(), fleet_idle_seconds=0.5)


def client(served):
    return httpx.AsyncClient(base_url=served.http_url, headers={"X-API-Key": "key"}, timeout=60)


async def test_instances_of_a_new_provider_are_launched_used_and_terminated(registered, tmp_path):
    providers = registered("toy", toy)
    async with gateway(tmp_path) as served, client(served) as http:
        assert (await caption(http))["video_url"]
        (provider,) = providers
        ended = await machine(http, "ENDED")
        assert (ended["provider"], ended["providerId"], ended["usdPerHour"]) == ("toy", "i-1", 36)
        assert (provider.instances, provider.created) == ({}, 1)
        assert provider.workloads
        assert [outcome.tasks for outcome in provider.outcomes] == [1]


async def test_worker_slots_of_a_new_serverless_provider_are_opened_used_and_closed(registered, tmp_path):
    registered("burst", serverless_toy)
    async with gateway(tmp_path) as served, client(served) as http:
        assert (await caption(http))["video_url"]
        ended = await machine(http, "ENDED")
        assert (ended["provider"], ended["usdPerHour"], ended["usd"] > 0) == ("burst", 36, True)


def test_a_provider_that_is_not_configured_is_opened_by_nobody(registered, monkeypatch):
    registered("toy", toy)
    monkeypatch.delenv("TOY_API_KEY")
    assert not GatewaySettings.load(x_api_key="k").providers["toy"].is_configured


def test_a_bad_value_of_a_provider_stops_the_start_with_its_name(registered, monkeypatch):
    registered("toy", toy)
    monkeypatch.setenv("TOY_USD_PER_HOUR", "dear")
    with pytest.raises(ConfigError, match="TOY_USD_PER_HOUR='dear'"):
        GatewaySettings.load(x_api_key="k")


def test_an_unknown_provider_is_named_with_those_that_are_known(monkeypatch):
    monkeypatch.setenv("FLEET_PROVIDERS", "vast,tyo")
    with pytest.raises(ConfigError, match=r"FLEET_PROVIDERS.1='tyo'.*known are vast, runpod"):
        GatewaySettings.load(x_api_key="k")
