"""`api-gpu runpod`: an endpoint is made, updated and removed, at the emulated RunPod."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from api_gpu.deploy.runpod import Account, Deployment, RunPodSettings
from encoder.config import EncoderSettings
from servicekit.errors import FailedPrecondition, InvalidArgument, ServiceError, Unauthenticated, Unavailable
from tests.emulators import runpodemulator, sdkchild
from tests.emulators.runpodmanagement import card

WANTED = Deployment("enc", "registry/api-gpu:1", environment={"CODEC": "nvenc"})


@pytest.fixture
async def runpod() -> AsyncIterator[runpodemulator.RunPod]:
    async with runpodemulator.running() as emulated:
        yield emulated


@pytest.fixture
def account(runpod: runpodemulator.RunPod) -> Callable[..., Any]:
    """Calls a method of an account in a thread."""

    async def call(method: str, *arguments: Any, key: str = runpod.key) -> Any:
        settings = RunPodSettings(runpod_api_key=SecretStr(key), runpod_rest_url=runpod.rest_url)
        with Account.connect(settings).http as http:
            return await asyncio.to_thread(getattr(Account(http), method), *arguments)

    return call


def silent(text: str) -> None:
    pass


async def api_gpu(runpod: runpodemulator.RunPod, home: Path, *words: str) -> tuple[int, str, str]:
    """`api-gpu runpod WORDS`: its code, and what it printed to both."""
    environ = sdkchild.environment(home, RUNPOD_API_KEY=runpod.key, RUNPOD_REST_URL=runpod.rest_url)
    command = (sys.executable, "-m", "api_gpu", "runpod", *words)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environ, cwd=home, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_commands_make_update_and_remove(runpod: runpodemulator.RunPod, tmp_path: Path) -> None:
    options = ("--gpu", "NVIDIA L4", "--max-workers", "10", "--execution-timeout", "900", "--env", "BATCH_SIZE=2")
    code, out, err = await api_gpu(runpod, tmp_path, "deploy", "--image", "registry/api-gpu:1", *options)
    assert code == 0, err
    ((endpoint_id, endpoint),) = runpod.management.endpoints.items()
    assert dict(line.split("=") for line in out.splitlines()) == {
        "RUNPOD_ENDPOINT_ID": endpoint_id,
        "RUNPOD_IDLE_TIMEOUT": "300",
        "RUNPOD_MAX_TIMEOUT": "900",
        "RUNPOD_MAX_WORKERS": "10",
        "RUNPOD_SLOTS": "2",
    }
    assert (endpoint["type"], endpoint["image"], endpoint["env"]) == (
        "QUEUE",
        "registry/api-gpu:1",
        {"BATCH_SIZE": "2"},
    )
    # The one card, of its pool, which has others.
    assert endpoint["gpu"]["pools"] == ["AMPERE_24"]
    assert endpoint["gpu"]["excludedTypes"] == ["NVIDIA GeForce RTX 3090", "NVIDIA RTX A5000"]
    assert endpoint["workers"] == {"min": 0, "max": 10, "idleTimeout": 300}
    assert endpoint["scaling"] == {"type": "QUEUE_DELAY", "queueDelay": 20}
    assert (endpoint["timeout"], endpoint["flashboot"]) == (900_000, "FLASHBOOT")
    assert "NVIDIA L4 (high)" in err

    options = ("--idle-timeout", "60", "--no-flashboot", "--min-workers", "1", "--queue-delay", "4.5")
    code, out, err = await api_gpu(runpod, tmp_path, "deploy", "--image", "registry/api-gpu:2", *options)
    assert (code, out.splitlines()[:2]) == (0, [f"RUNPOD_ENDPOINT_ID={endpoint_id}", "RUNPOD_IDLE_TIMEOUT=60"]), err
    assert list(runpod.management.endpoints) == [endpoint_id]
    assert (endpoint["image"], endpoint["flashboot"]) == ("registry/api-gpu:2", "OFF")
    assert endpoint["workers"] == {"min": 1, "max": 3, "idleTimeout": 60}
    assert endpoint["scaling"]["queueDelay"] == 4.5
    assert set(endpoint["gpu"]["pools"]) == {"AMPERE_16", "AMPERE_24", "ADA_24"}
    assert endpoint["gpu"]["excludedTypes"] == ["NVIDIA GeForce RTX 3090", "NVIDIA RTX 2000 Ada Generation"]

    code, out, err = await api_gpu(runpod, tmp_path, "destroy")
    assert (code, out, runpod.management.endpoints) == (0, "", {}), err
    assert runpod.key not in out + err


async def test_what_is_wrong_is_told_before_anything_is_made(runpod: runpodemulator.RunPod, tmp_path: Path) -> None:
    answers = await asyncio.gather(
        api_gpu(runpod, tmp_path, "deploy", "--image", "i", "--gpu", "NVIDIA H100 PCIe"),
        api_gpu(runpod, tmp_path, "deploy", "--image", "i", "--env", "novalue"),
        api_gpu(runpod, tmp_path, "deploy", "--image", "i", "--env", "BATCH_SIZE=some"),
    )
    assert [code for code, _, _ in answers] == [1, 2, 1]
    assert "BATCH_SIZE" in answers[2][2]
    assert "has no video encoder" in answers[0][2]
    assert not runpod.requests


@pytest.mark.parametrize("name", ["NVIDIA RTX 9090", "NVIDIA GeForce RTX 3070"])
async def test_a_card_that_serverless_does_not_have_is_told_with_those_it_has(
    runpod: runpodemulator.RunPod, account: Callable[..., Any], name: str
) -> None:
    with pytest.raises(InvalidArgument, match=r"it has: .*NVIDIA L4") as caught:
        await account("deploy", replace(WANTED, gpu_types=[name]), silent)
    assert "A100" not in caught.value.message  # it could not encode
    assert not runpod.management.endpoints


async def test_a_card_is_known_by_its_short_name_too(
    runpod: runpodemulator.RunPod, account: Callable[..., Any]
) -> None:
    await account("deploy", replace(WANTED, gpu_types=["RTX 4090"]), silent)
    (made,) = runpod.management.endpoints.values()
    assert made["gpu"]["pools"] == ["ADA_24"]


async def test_a_catalog_without_some_of_our_cards_will_do(
    runpod: runpodemulator.RunPod, account: Callable[..., Any]
) -> None:
    runpod.management.cards = [card("NVIDIA L4", "AMPERE_24", "NONE"), card("NVIDIA A100 80GB PCIe", "AMPERE_80")]
    told: list[str] = []
    await account("deploy", WANTED, told.append)
    (made,) = runpod.management.endpoints.values()
    assert made["gpu"]["pools"] == ["AMPERE_24"]
    assert told[0] == "in stock now: NVIDIA L4 (none); tasks wait until a card is free, more of them with --gpu"


async def test_an_endpoint_that_the_version_before_made_is_taken_over(
    runpod: runpodemulator.RunPod, account: Callable[..., Any]
) -> None:
    counted = {"type": "REQUEST_COUNT", "requestCount": 3}
    runpod.management.add("old", name="enc -fb", workers={"min": 0, "max": 3}, scaling=counted)
    assert await account("deploy", WANTED, silent) == "old"
    kept = runpod.management.endpoints["old"]
    assert (kept["name"], kept["scaling"]["type"], kept["workers"]["idleTimeout"]) == ("enc", "QUEUE_DELAY", 300)


async def test_an_endpoint_of_another_kind_is_not_touched(
    runpod: runpodemulator.RunPod, account: Callable[..., Any]
) -> None:
    runpod.management.add("web", name="enc", type="LOAD_BALANCER", scaling={"type": "REQUEST_COUNT", "requestCount": 3})
    with pytest.raises(FailedPrecondition, match="--name"):
        await account("deploy", WANTED, silent)


async def test_removing_is_told_and_may_be_repeated(runpod: runpodemulator.RunPod, account: Callable[..., Any]) -> None:
    told: list[str] = []
    made = await account("deploy", WANTED, silent)
    await account("destroy", "enc", told.append)
    await account("destroy", "enc", told.append)
    assert told == [f"endpoint {made} is removed", "there is nothing of the name enc"]


async def test_what_the_api_refuses_is_told_in_its_words(
    runpod: runpodemulator.RunPod, account: Callable[..., Any]
) -> None:
    with pytest.raises(InvalidArgument, match=r"validation failed.*idleTimeout.*9999"):
        await account("deploy", replace(WANTED, idle_timeout_seconds=9999), silent)
    assert not runpod.management.endpoints


@pytest.mark.parametrize("status", [404, 410])
async def test_an_api_that_was_retired_is_told_with_what_to_do(
    runpod: runpodemulator.RunPod, account: Callable[..., Any], status: int
) -> None:
    runpod.management.retired_status = status
    for call in (("deploy", WANTED, silent), ("destroy", "enc", silent)):
        with pytest.raises(FailedPrecondition, match=rf"{status}.*retired.*Take RUNPOD_REST_URL") as caught:
            await account(*call)
        assert caught.value.reason == "API_RETIRED"


async def test_faults_of_the_api_are_told(runpod: runpodemulator.RunPod, account: Callable[..., Any]) -> None:
    async def fault(**more: str) -> ServiceError:
        with pytest.raises(ServiceError) as caught:
            await account("deploy", WANTED, silent, **more)
        return caught.value

    assert isinstance(await fault(key="wrong"), Unauthenticated)
    runpod.faults.storm = runpodemulator.EVERY
    assert isinstance(await fault(), Unavailable)
    runpod.faults.storm, runpod.faults.is_down = frozenset(), True
    assert isinstance(await fault(), Unavailable)
    runpod.faults.is_down = False
    async with runpod.refusing():
        assert isinstance(await fault(), Unavailable)
    await account("deploy", WANTED, silent)
    runpod.management.add("other", name="enc")
    assert isinstance(await fault(), FailedPrecondition)


def test_the_default_of_batch_size_is_the_encoders() -> None:
    assert WANTED.slots == EncoderSettings.model_fields["batch_size"].default
