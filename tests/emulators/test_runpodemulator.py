"""The emulator of RunPod, held true by RunPod's own clients and worker loop; and its faults."""

import asyncio
import json

import httpx
import pytest

from tests.emulators import runpodemulator, sdkchild
from tests.emulators.runpodjobs import Queue, Rules
from tests.support.until import until_async


@pytest.fixture
async def runpod():
    async with runpodemulator.running() as emulated:
        yield emulated


@pytest.fixture
async def client(runpod):
    headers = {"Authorization": f"Bearer {runpod.key}"}
    async with httpx.AsyncClient(
        base_url=f"{runpod.api_url}/{runpod.endpoint_id}", headers=headers, timeout=60
    ) as connected:
        yield connected


def worker(runpod, folder, name, *arguments):
    """The SDK's worker loop in a process of its own."""
    environ = sdkchild.environment(folder, **runpod.worker_environment(name))
    command = [str(sdkchild.HERE / "runpodworker.py"), *arguments]
    return sdkchild.child("runpod", command, environ, folder / f"{name}.log")


async def run(client, asked, **more):
    return (await client.post("/run", json={"input": asked, **more})).json()["id"]


async def status(client, job):
    return (await client.get(f"/status/{job}")).json()


async def ended(client, job):
    async def state():
        told = await status(client, job)
        return told if told["status"] not in ("IN_QUEUE", "IN_PROGRESS") else None

    return await until_async(state)


async def echo(asked, report):
    report({"step": 1})
    await asyncio.sleep(asked.get("seconds", 0))
    return {"echo": asked.get("echo")}


async def never(asked, report):
    await asyncio.Event().wait()


async def test_runpods_own_clients_and_worker_loop_meet_here(runpod, client, tmp_path):
    environ = sdkchild.environment(tmp_path, RUNPOD_ENDPOINT_BASE_URL=runpod.api_url, RUNPOD_API_KEY=runpod.key)
    runpod.rules.poll_seconds = 0.5
    with worker(runpod, tmp_path, "w1", "6") as process:
        command = [sdkchild.PYTHON["runpod"], sdkchild.HERE / "runpodclient.py", runpod.endpoint_id]
        pipe = asyncio.subprocess.PIPE
        asking = await asyncio.create_subprocess_exec(*map(str, command), env=environ, stdin=pipe, stdout=pipe)
        await reports_progress_and_stops_what_is_cancelled(client, process.pid, tmp_path / "w1.log")
        seen = json.loads((await asking.communicate(b"begin\n"))[0])
    blocking, concurrent = seen["blocking"], seen["concurrent"]
    assert blocking["first"] in ("IN_QUEUE", "IN_PROGRESS", "COMPLETED")
    assert (blocking["status"], blocking["output"]["echo"]) == ("COMPLETED", "one")
    assert blocking["sync"]["echo"] == "two"
    assert blocking["failed"] == "FAILED"
    assert blocking["cancel"]["status"] == concurrent["cancel"]["status"] == "CANCELLED"
    assert blocking["purge"] == concurrent["purge"] == {"removed": 0, "status": "completed"}
    assert "401" in blocking["unauthorized"]
    assert blocking["unknown"] == 404
    assert (concurrent["status"], concurrent["output"]["echo"]) == ("COMPLETED", "three")
    assert blocking["health"].keys() == concurrent["health"].keys() == {"jobs", "workers"}
    assert concurrent["health"]["jobs"]["completed"] >= 3
    assert runpod.pings["w1"] > 0


async def reports_progress_and_stops_what_is_cancelled(client, pid, log):
    long = await run(client, {"seconds": 60, "steps": 300})

    async def progress():
        return (await status(client, long)).get("output")

    assert "step" in await until_async(progress)
    assert (await status(client, long))["workerId"] == "w1"
    quick = await ended(client, await run(client, {"echo": 1}))
    assert quick["output"]["pid"] == pid
    assert {"delayTime", "executionTime"} <= quick.keys()
    raised = await ended(client, await run(client, {"raise": "odd"}))
    assert json.loads(raised["error"])["error_message"] == "odd"
    assert (await client.post(f"/cancel/{long}")).json() == {"id": long, "status": "CANCELLED"}

    async def stopped():
        return b"Stopping job" in log.read_bytes()

    await until_async(stopped)
    assert (await client.post(f"/retry/{long}")).status_code == 400


async def test_the_sdks_worker_streams_and_a_job_whose_workers_die_twice_fails(runpod, client, tmp_path):
    deadly = await run(client, {"die": True})
    async with runpodemulator.running() as other, httpx.AsyncClient(headers=client.headers, timeout=60) as asking:
        runpod.rules.worker_lost_seconds = 0.2
        with worker(runpod, tmp_path, "w1", "1"), worker(other, tmp_path, "w3", "1", "stream"):
            asking.base_url = f"{other.api_url}/{other.endpoint_id}"
            streamed = await run(asking, {"stream": ["a", "b"]})
            assert (await ended(asking, streamed))["status"] == "COMPLETED"
            told = (await asking.get(f"/stream/{streamed}")).json()
            assert told == {"status": "COMPLETED", "stream": [{"output": "a"}, {"output": "b"}]}

            async def requeued():
                told = await status(client, deadly)
                return told if "retries" in told else None

            assert (await until_async(requeued))["status"] == "IN_QUEUE"
    async with runpod.worker(never, "w2"):

        async def taken():
            return (await status(client, deadly))["status"] == "IN_PROGRESS"

        await until_async(taken)
    told = await ended(client, deadly)
    assert (told["status"], told["error"], told["retries"]) == ("FAILED", "job timed out after 1 retries", 1)
    counted = {"completed": 0, "failed": 1, "inProgress": 0, "inQueue": 0, "retried": 1}
    assert (await client.get("/health")).json()["jobs"] == counted


async def test_policies_end_jobs_and_results_expire(runpod, client):
    runpod.rules.least_execution_timeout_ms = runpod.rules.least_ttl_ms = 10
    async with runpod.worker(echo):
        slow = await run(client, {"seconds": 30}, policy={"executionTimeout": 100})
        assert (await ended(client, slow))["status"] == "TIMED_OUT"
        done = await run(client, {"echo": 1})
        assert (await ended(client, done))["output"] == {"echo": 1}
        assert (await client.post(f"/retry/{slow}")).json()["status"] == "IN_QUEUE"
    expired = await run(client, {}, policy={"ttl": 50})
    assert (await ended(client, expired))["status"] == "TIMED_OUT"
    runpod.queue.jobs[done].result_seconds = 0
    assert (await client.get(f"/status/{done}")).status_code == 404


async def test_faults_are_told_as_runpod_tells_them(runpod, client):
    assert (await client.post("/run", json={"input": {"x": "y" * 11_000_000}})).status_code == 400
    assert (await client.post("/run", json={"no": "input"})).status_code == 400
    assert (await client.post("/run", json={"input": {}, "policy": {"executionTimeout": 100}})).status_code == 400
    assert (await client.get("/health", headers={"Authorization": "Bearer no"})).status_code == 401
    assert (await client.get("/status/unknown")).status_code == 404
    runpod.faults.storm = frozenset({"run"})
    assert (await client.post("/run", json={"input": {}})).status_code == 429
    assert (await client.get("/health")).status_code == 200
    runpod.faults.storm = frozenset()
    runpod.faults.is_down = True
    assert (await client.get("/health")).status_code == 503
    runpod.faults.is_down = False
    runpod.limits.rates["cancel"] = 1
    codes = [(await client.post("/cancel/unknown")).status_code for _ in range(2)]
    assert codes == [404, 429]


async def test_an_answer_can_be_lost_after_the_job_was_made(runpod, client):
    runpod.faults.lost_runs = 1
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post("/run", json={"input": {"echo": 1}})
    assert [job.state for job in runpod.queue.jobs.values()] == ["IN_QUEUE"]


async def test_connections_can_be_refused_for_a_time(runpod, client):
    assert (await client.get("/health")).status_code == 200
    async with runpod.refusing():
        with pytest.raises(httpx.ConnectError):
            await client.get("/health")
    assert (await client.get("/health")).status_code == 200


async def test_workers_start_cold_are_counted_and_end_when_idle(runpod, client):
    runpod.rules.cold_start_seconds, runpod.rules.workers_max = 0.6, 2
    runpod.autoscale(lambda name: runpod.worker(echo, name), idle_seconds=0.2)
    jobs = [await run(client, {"echo": number, "seconds": 0.4}) for number in range(4)]

    async def initializing():
        return (await client.get("/health")).json()["workers"]["initializing"] == 2

    await until_async(initializing)
    told = [await ended(client, job) for job in jobs]
    assert [one["output"]["echo"] for one in told] == [0, 1, 2, 3]
    assert {one["workerId"] for one in told} == {"worker-1", "worker-2"}
    assert min(one["delayTime"] for one in told) >= 200

    async def none():
        return not any((await client.get("/health")).json()["workers"].values())

    await until_async(none)


async def test_endpoints_are_managed_and_errors_are_problems(runpod):
    headers = {"Authorization": f"Bearer {runpod.key}"}
    wanted = {
        "name": "e",
        "type": "QUEUE",
        "image": "i",
        "gpu": {"pools": ["AMPERE_24"], "excludedTypes": ["NVIDIA GeForce RTX 3090"]},
        "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
    }
    counted = {"scaling": {"type": "REQUEST_COUNT", "requestCount": 3}}
    refused = {
        "422 type": {name: value for name, value in wanted.items() if name != "type"},
        "422 bogus": wanted | {"bogus": 1},
        "400 gpu and cpu": wanted | {"cpu": [{}]},
        "400 idleTimeout": wanted | counted | {"workers": {"idleTimeout": 5}},
        "400 pool": wanted | {"gpu": {"pools": ["NOSUCH"]}},
        "400 pools": wanted | {"gpu": {"pools": ["ADA_24"], "excludedTypes": ["NVIDIA L4"]}},
        "400 left": wanted | {"gpu": {"pools": ["ADA_24"], "excludedTypes": ["NVIDIA GeForce RTX 4090"]}},
    }
    async with httpx.AsyncClient(base_url=runpod.rest_url, headers=headers, timeout=60) as client:
        assert (await client.get("/serverless", headers={"Authorization": "Bearer no"})).status_code == 401
        for text, body in refused.items():
            answer = await client.post("/serverless", json=body)
            assert str(answer.status_code) == text[:3], text
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json().keys() >= {"title", "status", "detail"}
        made = (await client.post("/serverless", json=wanted)).json()
        assert (made["workers"], made["timeout"], made["flashboot"]) == (
            {"min": 0, "max": 3, "idleTimeout": 10},
            300_000,
            "OFF",
        )
        patched = (await client.patch(f"/serverless/{made['id']}", json={"gpu": {"pools": ["ADA_24"]}})).json()
        assert (patched["gpu"]["pools"], patched["gpu"]["excludedTypes"]) == (["ADA_24"], [])
        assert [one["id"] for one in (await client.get("/serverless")).json()["endpoints"]] == [made["id"]]
        assert (await client.get("/catalog/gpus", params={"include": "AVAILABILITY"})).status_code == 422
        assert "availability" not in (await client.get("/catalog/gpus")).json()["gpus"][0]
        assert (await client.delete(f"/serverless/{made['id']}")).status_code == 204
        assert (await client.get(f"/serverless/{made['id']}")).status_code == 404
        runpod.management.retired_status = 410
        assert (await client.get("/serverless")).status_code == 410


async def test_a_worker_that_is_lost_gets_no_job_on_a_question_it_had_put():
    async def never() -> bool:
        return False

    queue = Queue(Rules())
    asking = asyncio.create_task(queue.take("w1", 1, never))
    await until_async(lambda: asyncio.sleep(0, "w1" in queue.workers))
    queue.lose("w1")
    job = queue.submit({"input": {}})
    assert await asking == []
    assert await queue.take("w2", 1, never) == [job]
    assert queue.workers.keys() == {"w2"}
