"""The client of RunPod's API: rates, patience, and what is never asked twice."""

import asyncio
import gzip
import time
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import pytest_asyncio

from gateway.fleet.providers.runpod.client import AnswerLost, NotTaken, RunState, RunStatus
from gateway.ratelimit import CallRateLimit, retry_after_seconds
from servicekit.errors import FailedPrecondition, NotFound, Unauthenticated
from tests.emulators import runpodemulator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_client(parts):
    made = parts.client()
    yield made
    await made.close()


@pytest.fixture
def client(stage, one_client):
    """The client, on a stage as new."""
    return one_client


async def test_a_run_whose_answer_is_lost_is_not_asked_for_again(stage, client):
    stage.runpod.faults.lost_runs = 1
    with pytest.raises(AnswerLost):
        await client.run({"a": 1}, 30, 60)
    assert stage.runpod.requests["run"] == len(stage.runpod.queue.jobs) == 1


async def test_a_run_that_was_surely_not_taken_is_asked_for_again(stage, client):
    stage.runpod.faults.storm = frozenset({"run"})
    asking = asyncio.create_task(client.run({"a": 1}, 30, 60))
    while stage.runpod.requests["run"] < 2:
        await asyncio.sleep(0.01)
    stage.runpod.faults.storm = frozenset()
    (job,) = [await asking]
    assert list(stage.runpod.queue.jobs) == [job]
    assert (stage.runpod.queue.jobs[job].execution_seconds, stage.runpod.queue.jobs[job].ttl_seconds) == (30, 60)


async def test_status_and_cancel_are_asked_again_when_runpod_fails(stage, client):
    job = await client.run({"a": 1}, 30, 60)
    for name, call in (("status", client.status), ("cancel", client.cancel)):
        stage.runpod.faults.is_down = True
        asking = asyncio.create_task(call(job))
        while stage.runpod.requests[name] < 2:
            await asyncio.sleep(0.001)
        assert not asking.done()
        stage.runpod.faults.is_down = False
        await asking
    assert (await client.status(job)).state is RunState.CANCELLED
    await client.cancel("never-was")  # is gone, as it was to be
    with pytest.raises(NotFound):
        await client.status("never-was")


async def test_tries_end(stage, client):
    async with stage.runpod.refusing():
        with pytest.raises(NotTaken):
            await client.cancel("a")
    stage.runpod.faults.storm = frozenset({"status"})
    with pytest.raises(NotTaken, match="429"):
        await client.status("a")
    assert stage.runpod.requests["status"] == 5


async def test_the_key_is_in_no_error_and_no_log(stage, capfd, caplog):
    client = stage.client(key="rpa_SECRET")
    with caplog.at_level("DEBUG"), pytest.raises(Unauthenticated) as raised:
        await client.run({}, 30, 60)
    await client.close()
    assert "SECRET" not in str(raised.value) + caplog.text + "".join(capfd.readouterr())


async def test_an_endpoint_is_read_with_its_times_and_cards(stage, client):
    workers = {"min": 0, "max": 3, "idleTimeout": 77}
    stage.runpod.management.add(stage.runpod.endpoint_id, workers=workers, timeout=123_000)
    found = await client.endpoint()
    assert (found.idle_seconds, found.max_seconds) == (77, 123)
    assert (found.pools, found.excluded) == (("AMPERE_24",), ())
    scaling = {"type": "REQUEST_COUNT", "requestCount": 3}
    stage.runpod.management.add(stage.runpod.endpoint_id, workers={"min": 0, "max": 3}, scaling=scaling, gpu=None)
    found = await client.endpoint()
    assert (found.idle_seconds, found.pools) == (None, ())
    stage.runpod.management.endpoints.clear()
    with pytest.raises(NotFound, match="RUNPOD_ENDPOINT_ID"):
        await client.endpoint()


@pytest.mark.parametrize("status", [404, 410])
async def test_a_management_api_that_is_gone_as_a_whole_is_told_with_what_to_do(stage, client, status):
    stage.runpod.management.retired_status = status
    for call in (client.endpoint, client.cards):
        with pytest.raises(FailedPrecondition, match=f"{status}.*retired.*RUNPOD_REST_URL") as raised:
            await call()
        assert raised.value.reason == "API_RETIRED"
    stage.runpod.management.retired_status = 0


async def test_an_api_for_runs_that_is_gone_as_a_whole_is_told_with_what_to_do(stage):
    for status, error, words in ((410, FailedPrecondition, "retired.*RUNPOD_URL"), (404, NotFound, "RUNPOD_URL")):
        stage.runpod.management.retired_status = status
        client = stage.client(url=stage.runpod.rest_url, endpoint_id="serverless")
        with pytest.raises(error, match=words):
            await client.run({"a": 1}, 30, 60)
        await client.close()
    stage.runpod.management.retired_status = 0


async def test_a_packed_answer_is_read(stage):
    async def packed(scope, receive, send):
        headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": gzip.compress(b'{"workers": {"idle": 2}}')})

    async with runpodemulator.serving(packed) as url:
        client = stage.client(url=url)
        assert (await client.health()).idle == 2
        await client.close()


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_an_answer_that_goes_on_is_given_up_at_its_bound(stage, coding):
    sent, packer = 0, zlib.compressobj(wbits=31)

    async def endless(scope, receive, send):
        nonlocal sent
        headers = [(b"content-type", b"application/json")] + [(b"content-encoding", coding.encode())] * bool(coding)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while sent < 1 << 26:
            data = b" " * (1 << 22)
            sent += len(data)
            data = packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH) if coding else data
            await send({"type": "http.response.body", "body": data, "more_body": True})

    async with runpodemulator.serving(endless) as url:
        client = stage.client(url=url)
        with pytest.raises(AnswerLost, match="AnswerOverBounds"):
            await client.health()
        await client.close()


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("RUNNING", RunState.IN_PROGRESS),
        ("IN_PROGRESS", RunState.IN_PROGRESS),
        ("WHAT", RunState.UNKNOWN),
        (None, RunState.UNKNOWN),
    ],
)
async def test_states(word, state):
    assert RunStatus.parse({"status": word, "error": {"a": 1}, "executionTime": "?"}).state is state


async def test_retry_after():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    assert [retry_after_seconds(header, 1) for header in ("3", "", "junk", "999")] == [3, 1, 1, 60]
    assert 15 < retry_after_seconds(soon, 1) <= 20


async def test_no_more_calls_than_the_rate_in_any_window():
    rate, begun = CallRateLimit(5, 0.1), time.monotonic()
    for calls in range(12):
        await rate.turn()
        assert time.monotonic() - begun >= (calls // 5) * 0.1 - 0.005
    rate.pause(0.2)
    begun = time.monotonic()
    await rate.turn()
    assert time.monotonic() - begun >= 0.19
