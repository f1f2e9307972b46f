"""From a JSON request to a link that opens, over emulated RunPod; and gateways that end in the middle of it."""

import asyncio
import functools
import signal

import httpx
import pytest
import pytest_asyncio

from gateway.config import GatewaySettings
from servicekit.config import ConfigError
from tests.emulators import runpodemulator, sdkchild
from tests.emulators.runpodmanagement import CATALOG
from tests.integration.gateway.workers.conftest import failing, work
from tests.support import judge
from tests.support.lone_gateway import KEY, LoneGateway
from tests.support.until import until, until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory):
    async with runpodemulator.running() as emulated:
        settings = {
            "RUNPOD_URL": emulated.api_url,
            "RUNPOD_REST_URL": emulated.rest_url,
            "RUNPOD_API_KEY": emulated.key,
            "RUNPOD_ENDPOINT_ID": emulated.endpoint_id,
            "RUNPOD_USD_PER_SECOND": "0.01",
            "FLEET_IDLE_SECONDS": "1",
            "DRAIN_SECONDS": "0.1",
        }
        made = LoneGateway(tmp_path_factory.mktemp("runpod"), **settings)
        made.runpod = emulated
        await asyncio.to_thread(made.start)
        yield made
        await asyncio.to_thread(made.end, signal.SIGTERM)
        made.http.close()


@pytest_asyncio.fixture(loop_scope="module")
async def runpod(gateway):
    """RunPod as new, whatever the test before did to it."""
    gateway.runpod.management.cards = list(CATALOG)
    gateway.runpod.faults = runpodemulator.Faults()
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


async def story(http, media):
    """Queue a story of two scenes, with captions; its id."""
    asset = (await http.post("/assets", content=media.image.read_bytes(), params={"filename": "a.png"})).json()["name"]
    shape = {"width": 320, "height": 180, "frame_rate": 10}
    scenes = [{"image_url": asset, "duracao": 1}] * 2
    more = {"srt_text": "1\n00:00:00,100 --> 00:00:00,900\nHello\n", "transition": {"seconds": 0.4}}
    job = await http.post("/jobs", json={"story": {"scenes": scenes, **shape, **more}})
    assert job.status_code == 200, job.text
    return job.json()["id"]


async def ended(http, job):
    """The job, once it has ended."""

    async def found():
        told = (await http.get(f"/job/{job}")).json()
        return told["status"] not in ("IN_QUEUE", "IN_PROGRESS") and told

    return await until_async(found)


async def machines(http):
    """All machines that the fleet has had, by id, once none of them is in use."""

    async def found():
        told = {one["id"]: one for one in (await http.get("/fleet")).json()["machines"]}
        return all(one["state"] == "ENDED" for one in told.values()) and [told]

    (told,) = await until_async(found)
    return told


def stored(gateway):
    folder = gateway.folder / "data" / "assets" / "assets"
    return set(folder.iterdir()) if folder.exists() else set()


async def test_from_a_request_to_a_link_that_opens(runpod, gateway, http, media, tmp_path):
    machines_before, stored_before = await machines(http), stored(gateway)
    health = await http.get("/runpod/health")
    assert health.status_code == 200, health.text
    assert health.json()["endpoint"] == "RunPod Serverless", health.text
    assert "notice" not in health.json()
    answer = (await http.get("/runpod/config")).json()
    assert answer == {"endpointId": runpod.endpoint_id, "idleTimeout": 300, "maxTimeout": 600}  # of the settings
    workers = {"min": 0, "max": 3, "idleTimeout": 77}
    runpod.management.add(runpod.endpoint_id, workers=workers, timeout=123_000)
    answer = (await http.get("/runpod/config")).json()
    assert answer == {"endpointId": runpod.endpoint_id, "idleTimeout": 77, "maxTimeout": 123}
    counted = {"type": "REQUEST_COUNT", "requestCount": 3}
    runpod.management.add(runpod.endpoint_id, workers={"min": 0, "max": 3}, scaling=counted)
    answer = (await http.get("/runpod/config")).json()
    assert answer["idleTimeout"] == 300  # such an endpoint has none; costs are reckoned by the setting
    job = await submitted(http, media)
    phases = []
    environ = sdkchild.environment(
        tmp_path, **runpod.worker_environment("w1"), CODEC="x264", WORK_DIR=str(tmp_path / "work")
    )
    with sdkchild.child("runpod", ["-m", "encoder.runpod.worker"], environ, tmp_path / "worker.log"):
        async with http.stream("GET", f"/job/{job}/watch") as events:
            async for line in events.aiter_lines():
                phases += [word for word in ("COLD_START", "ENCODING", "finished") if word in line]
        film = await ended(http, await story(http, media))
    done = await ended(http, job)
    assert done["status"] == "COMPLETED", (done, (tmp_path / "worker.log").read_text())
    assert list(dict.fromkeys(phases)) == ["COLD_START", "ENCODING", "finished"]
    (tmp_path / "a.mp4").write_bytes((await http.get(done["output"]["videos"][0]["video_url"])).content)
    assert judge.facts(tmp_path / "a.mp4").frames == 4
    assert done["cost"]["usd"] > 0
    (permit,) = [one for name, one in (await machines(http)).items() if name not in machines_before]
    assert (permit["provider"], permit["reason"]) == ("runpod", "idle for 1 s")
    costs = [(await http.get(f"/job/{one}")).json()["cost"] for one in (job, film["id"])]
    assert all(cost["final"] for cost in costs)
    assert sum(cost["usd"] for cost in costs) == pytest.approx(permit["usd"])
    # Of a story, each task went through the queue: one that plans, two scenes, and what joins them.
    assert (film["status"], film["total"], film["cost"]["usd"] > 0) == ("COMPLETED", 4, True), film
    (tmp_path / "film.mp4").write_bytes((await http.get(film["output"]["video_url"])).content)
    assert judge.facts(tmp_path / "film.mp4").frames == 16
    assert len(runpod.queue.jobs) == 5
    # Only the stills, the captions, the video and the film are kept, and nothing waits to be taken up.
    await until(lambda: len(stored(gateway) - stored_before) == 5)


async def is_running(http, job):
    """Whether the gateway knows of the run at RunPod: it has seen it begin."""
    return (await http.get(f"/job/{job}")).json()["status"] == "IN_PROGRESS"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_gateway_that_ends_in_mid_run_costs_no_second_one(runpod, gateway, http, media, number):
    goes_on = asyncio.Event()

    async def held(asked, report):
        await goes_on.wait()
        return await work(asked, report)

    async with runpod.worker(held):
        job = await submitted(http, media)
        await until_async(functools.partial(is_running, http, job))
        await asyncio.to_thread(gateway.end, number)
        await asyncio.to_thread(gateway.start)
        goes_on.set()
        done = await ended(http, job)
    assert (done["status"], runpod.requests["run"]) == ("COMPLETED", 1)
    assert (await http.get(done["output"]["videos"][0]["video_url"])).status_code == 200


@pytest.mark.long  # two workers, one after the other, that encode
async def test_a_story_whose_worker_is_lost_goes_on_with_another(runpod, gateway, http, media, tmp_path):
    stored_before = stored(gateway)

    def worker(name):
        environ = sdkchild.environment(
            tmp_path, **runpod.worker_environment(name), CODEC="x264", WORK_DIR=str(tmp_path / name)
        )
        return sdkchild.child("runpod", ["-m", "encoder.runpod.worker"], environ, tmp_path / f"{name}.log")

    def is_at_a_scene():
        states = [one.state for one in runpod.queue.jobs.values()]
        return states[:1] == ["COMPLETED"] and "IN_PROGRESS" in states

    with worker("first") as lost:
        job = await story(http, media)
        await until(is_at_a_scene)
        sdkchild.vanish(lost)
        runpod.queue.lose("first")
    with worker("second"):
        film = await ended(http, job)
    assert (film["status"], film["total"], film["processed"]) == ("COMPLETED", 4, 4), film
    (tmp_path / "film.mp4").write_bytes((await http.get(film["output"]["video_url"])).content)
    assert judge.facts(tmp_path / "film.mp4").frames == 16
    await until(lambda: len(stored(gateway) - stored_before) == 3)


async def test_a_task_that_fails_on_one_worker_is_tried_on_another(runpod, gateway, http, media):
    fault = {"code": 14, "message": "nvenc: the session failed", "reason": "CODEC_FAILED"}
    async with runpod.worker(failing(**fault), "broken"):
        job = await submitted(http, media)
        await until(lambda: [one.state for one in runpod.queue.jobs.values()] == ["FAILED"])
    async with runpod.worker(work, "sound"):
        done = await ended(http, job)
    assert (done["status"], runpod.requests["run"]) == ("COMPLETED", 2)
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
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "ep1")
    with pytest.raises(ConfigError, match=r"PUBLIC_URL=''.*workers of runpod"):
        GatewaySettings.load(x_api_key="k")
