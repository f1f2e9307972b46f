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
    ((template_id, template),) = runpod.management.templates.items()
    assert dict(line.split("=") for line in out.splitlines()) == {
        "RUNPOD_ENDPOINT_ID": endpoint_id,
        "RUNPOD_IDLE_TIMEOUT": "300",
        "RUNPOD_MAX_TIMEOUT": "900",
        "RUNPOD_MAX_WORKERS": "10",
        "RUNPOD_SLOTS": "2",
    }
    # A worker for every two tasks, and not for every task that waits while the first worker starts.
    assert (endpoint["scalerType"], endpoint["scalerValue"]) == ("REQUEST_COUNT", 2)
    assert endpoint["templateId"] == template_id
    assert (template["imageName"], template["env"]) == ("registry/api-gpu:1", {"BATCH_SIZE": "2"})
    assert (template["isServerless"], template["volumeInGb"]) == (True, 0)
    assert (endpoint["gpuTypeIds"], endpoint["workersMin"], endpoint["workersMax"]) == (["NVIDIA L4"], 0, 10)
    assert (endpoint["idleTimeout"], endpoint["executionTimeoutMs"], endpoint["flashboot"]) == (300, 900_000, True)

    options = ("--idle-timeout", "60", "--no-flashboot", "--min-workers", "1")
    code, out, err = await api_gpu(runpod, tmp_path, "deploy", "--image", "registry/api-gpu:2", *options)
    assert (code, out.splitlines()[:2]) == (0, [f"RUNPOD_ENDPOINT_ID={endpoint_id}", "RUNPOD_IDLE_TIMEOUT=60"]), err
    assert list(runpod.management.endpoints) == [endpoint_id]
    assert runpod.management.templates[template_id]["imageName"] == "registry/api-gpu:2"
    assert (endpoint["idleTimeout"], endpoint["flashboot"], endpoint["workersMin"]) == (60, False, 1)
    assert endpoint["scalerValue"] == EncoderSettings.model_fields["batch_size"].default

    code, out, err = await api_gpu(runpod, tmp_path, "destroy")
    assert (code, out, runpod.management.endpoints, runpod.management.templates) == (0, "", {}, {}), err
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


async def test_a_template_in_use_is_waited_for(runpod: runpodemulator.RunPod, account: Callable[..., Any]) -> None:
    told: list[str] = []
    runpod.management.template_release_seconds = 0.2
    await account("deploy", WANTED, silent)
    await account("destroy", "enc", told.append, 5.0, 0.05)
    assert not runpod.management.templates
    assert any("still in use" in text for text in told)
    await account("destroy", "enc", told.append)
    assert told[-1] == "there is nothing of the name enc"
    runpod.management.template_release_seconds = 60
    await account("deploy", WANTED, silent)
    with pytest.raises(InvalidArgument, match="in use"):
        await account("destroy", "enc", silent, 0.1, 0.05)


async def test_what_failed_halfway_can_be_done_again(
    runpod: runpodemulator.RunPod, account: Callable[..., Any]
) -> None:
    with pytest.raises(InvalidArgument, match="idleTimeout"):
        await account("deploy", replace(WANTED, idle_timeout_seconds=9999), silent)
    assert (len(runpod.management.templates), len(runpod.management.endpoints)) == (1, 0)
    made = await account("deploy", WANTED, silent)
    assert (len(runpod.management.templates), list(runpod.management.endpoints)) == (1, [made])


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
    (kept,) = runpod.management.endpoints.values()
    runpod.management.endpoints["other"] = {**kept, "id": "other", "name": "enc"}
    assert isinstance(await fault(), FailedPrecondition)
