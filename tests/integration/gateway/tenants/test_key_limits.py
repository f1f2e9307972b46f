"""Keys have limits of their own, beside those of their tenant: the stricter counts, and which one it was is told."""

import asyncio
import time

import pytest

from gateway.jobs.fairness import key_account
from gateway.keys.ring import KeyRing, NewKey
from gateway.tenants.limits import NO_LIMITS, WorkLimits
from gateway.usage.counts import DayUsage, UsageCounts, day_of
from servicekit.errors import NotFound
from tests.integration.gateway.tenants.operated import ADMIN, operated, quota_of
from tests.support.until import until


def whose_limit(answer):
    """The key that a refusal names, "" for the tenant, after the limit."""
    metadata = answer.json()["details"][0]["metadata"]
    assert metadata["tenant"] == "one"
    return quota_of(answer)[0], metadata.get("key", "")


async def test_a_key_has_no_more_jobs_waiting_and_running_than_its_own_limits_and_its_tenants(tmp_path):
    gate = asyncio.Event()
    async with operated(tmp_path) as found:
        found.encoder.script = [gate.wait] * 8
        busy = found.gateway.components.jobs.store.index.order.busy
        key_id, key = await found.make_key(maxQueuedJobs=2, maxRunningTasks=1)
        first = (await found.submit(key)).json()["id"]
        await until(lambda: busy)
        answers = await asyncio.gather(*(found.submit(key) for _ in range(6)))
        assert sorted(answer.status_code for answer in answers) == [200] * 2 + [429] * 4
        assert {whose_limit(answer) for answer in answers if answer.status_code == 429} == {("max_queued_jobs", key_id)}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert f"The API key {key_id} of the tenant 'one' has 2 of the 2 jobs in the queue" in refused.json()["message"]
        (waiting, _) = [answer.json()["id"] for answer in answers if answer.status_code == 200]
        job = (await found.ask("GET", f"/job/{waiting}", key)).json()
        assert job["queued"]["reason"].startswith("The API key of this job has as many tasks at work")
        # Another key of the tenant is not held up.
        other = (await found.submit()).json()["id"]
        assert "reason" not in (await found.ask("GET", f"/job/{other}", found.one)).json()["queued"]
        uses = (await found.ask("GET", "/usage", key)).json()["quotas"]
        assert [(one["quota"], one["used"], one["key"]) for one in uses] == [
            ("max_queued_jobs", 2, key_id),
            ("max_running_tasks", 1, key_id),
        ]
        assert (await found.ask("GET", "/usage", found.one)).json().get("quotas", []) == []
        # The tenant's limit counts beside it.
        changed = await found.ask("PATCH", f"/keys/{key_id}", ADMIN, json={"maxQueuedJobs": 0})
        assert (changed.json().get("maxQueuedJobs", 0), changed.json()["maxRunningTasks"]) == (0, 1)
        await found.say(maxQueuedJobs=2)
        assert whose_limit(await found.submit(key)) == ("max_queued_jobs", "")
        gate.set()
        for job_id in (first, waiting, other):
            await found.ended(job_id)


async def test_a_day_that_a_key_has_used_up_refuses_its_jobs_and_holds_those_that_wait(tmp_path):
    async with operated(tmp_path) as found:
        components = found.gateway.components
        index, ledger = components.jobs.store.index, components.tenancy.ledger
        key_id, key = await found.make_key(maxUsdPerDay=1.5)
        await found.ended((await found.submit(key)).json()["id"])
        await until(lambda: not index.uncounted)
        day, account = day_of(time.time()), key_account(key_id)
        counted = [(await ledger.read(day, whose)).total.jobs for whose in (account, "one")]
        assert counted == [1, 1]
        assert [tenant async for tenant, _ in ledger.all_of(day)] == ["one"]
        gate = asyncio.Event()
        found.encoder.script = [gate.wait] * 2
        await found.say(maxRunningTasks=1)
        running, waiting = [(await found.submit(key)).json()["id"] for _ in range(2)]
        await until(lambda: found.encoder.running == 1)
        await ledger.change(day, account, lambda _: DayUsage({"caption": UsageCounts(cost_usd=2.0)}))
        refused = await found.submit(key)
        assert whose_limit(refused) == ("max_usd_per_day", key_id)
        assert 0 < quota_of(refused)[1] <= 86_400
        faults = (await found.submit(key, dry_run=True)).json()["quote"]["faults"]
        assert [fault["reason"] for fault in faults] == ["QUOTA_EXCEEDED"]
        await until(lambda: index.order.share_of(account).max_running == 0)
        gate.set()
        await found.ended(running)
        await found.ended((await found.submit()).json()["id"])  # of another key
        job = (await found.ask("GET", f"/job/{waiting}", found.one)).json()
        assert job["status"] == "IN_QUEUE"
        assert job["queued"]["reason"].startswith("The API key of this job has used up what it may of the day")
        await found.ask("PATCH", f"/keys/{key_id}", ADMIN, json={"maxUsdPerDay": 3})
        await found.ended(waiting)


async def test_a_new_try_is_held_to_the_limits_of_the_key_that_asks_for_it(tmp_path):
    async with operated(tmp_path) as found:
        store = found.gateway.components.jobs.store
        key_id, key = await found.make_key(maxUsdPerDay=1)
        job_id, keys = (await found.submit()).json()["id"], []
        for asking in (key, found.one, ADMIN):
            await found.ended(job_id)
            answer = await found.ask("POST", f"/job/{job_id}/retry", asking, json={})
            job_id = answer.json()["id"]
            keys.append((await store.get(job_id)).key)
        assert keys == [key_id, "", ""]
        await found.ended(job_id)


async def test_limits_of_a_key_are_listed_kept_when_it_is_rotated_and_checked(tmp_path):
    async with operated(tmp_path) as found:
        limits = {"maxQueuedJobs": 5, "maxRunningTasks": 2, "maxMinutesPerDay": 60.5, "maxUsdPerDay": 0.25}
        key_id, _ = await found.make_key(**limits)
        rotated = (await found.ask("POST", f"/keys/{key_id}/rotate", ADMIN, json={})).json()["key"]
        (listed,) = [one for one in (await found.ask("GET", "/keys", ADMIN)).json()["keys"] if one["id"] == key_id]
        assert {name: listed[name] for name in limits} == {name: rotated[name] for name in limits} == limits
        for wrong in ({"maxUsdPerDay": -1}, {"maxQueuedJobs": -1}, {"maxMinutesPerDay": "NaN"}):
            for method, path in (("POST", "/keys"), ("PATCH", f"/keys/{key_id}")):
                body = wrong | ({"tenant": "one"} if method == "POST" else {})
                answer = await found.ask(method, path, ADMIN, json=body)
                assert answer.json()["status"] == "INVALID_ARGUMENT", (method, wrong)
        assert (await found.ask("PATCH", "/keys/aaaaaaaaaa", ADMIN, json={})).status_code == 404
        assert (await found.ask("PATCH", f"/keys/{key_id}", found.one, json={})).status_code == 403


async def test_limits_of_a_key_are_known_to_all_gateways_and_after_a_restart(jetstream):
    rings = [await KeyRing.open(await jetstream.key_value("keys"), b"pepper") for _ in range(2)]
    made, text = await rings[0].create(NewKey("acme", "", (), limits=WorkLimits(max_running_tasks=2)))
    await until(lambda: rings[1].limits_of(made.id) == WorkLimits(max_running_tasks=2))
    assert rings[1].find(text, frozenset).limited_key == made.id
    await rings[1].set_limits(made.id, {"max_usd_per_day": 1.0, "max_running_tasks": 0})
    await until(lambda: rings[0].limits_of(made.id) == WorkLimits(max_usd_per_day=1.0))
    with pytest.raises(NotFound):
        await rings[0].set_limits("aaaaaaaaaa", {})
    for ring in rings:
        await ring.records.stop()
    again = await KeyRing.open(await jetstream.key_value("keys"), b"pepper")
    assert again.limits_of(made.id) == WorkLimits(max_usd_per_day=1.0)
    assert again.limits_of("aaaaaaaaaa") == NO_LIMITS
    await again.records.stop()
