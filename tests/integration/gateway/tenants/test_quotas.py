"""Tenants are held to their limits, their webhooks have defaults and secrets, and their usage is theirs to see."""

import asyncio
import csv
import io
import json
import time

from standardwebhooks import Webhook

from api_gpu.client import Client
from gateway.usage.counts import DayUsage, UsageCounts, day_of
from gateway.webhooks.signing import new_secret
from tests.integration.gateway.tenants.operated import ADMIN, operated, quota_of
from tests.support.until import until


async def test_no_more_jobs_wait_and_run_than_a_tenant_may_have(tmp_path):
    gate = asyncio.Event()
    async with operated(tmp_path) as found:
        found.encoder.script = [gate.wait] * 6
        await found.say(maxQueuedJobs=3, maxRunningTasks=1)
        first = (await found.submit()).json()["id"]
        await until(lambda: found.gateway.components.jobs.store.index.order.busy)
        answers = await asyncio.gather(*(found.submit() for _ in range(12)))
        assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 9
        assert {quota_of(answer) for answer in answers if answer.status_code == 429} == {("max_queued_jobs", 30, "3")}
        (waiting, *_) = [answer.json()["id"] for answer in answers if answer.status_code == 200]
        async with found.http.stream("GET", f"/job/{waiting}/watch", headers={"x-api-key": found.one}) as events:
            line = await anext(events.aiter_lines())
        assert "(max_running_tasks)" in json.loads(line)["result"]["queued"]["reason"]
        # Another tenant is not held up.
        body = {"img2vid": {"images": [{"id": "i", "image_url": "data:,x", "duracao": 1}]}}
        assert (await found.ask("POST", "/jobs", found.two, json=body)).status_code == 200
        await found.say(maxQueuedJobs=0)
        assert (await found.submit()).status_code == 200
        gate.set()
        await found.ended(first)


async def test_a_day_that_is_used_up_refuses_jobs_and_holds_those_that_wait(tmp_path):
    async with operated(tmp_path) as found:
        job = (await found.submit()).json()["id"]
        await found.ended(job)
        components = found.gateway.components
        await until(lambda: not components.jobs.store.index.uncounted)
        day = day_of(time.time())
        for limit, counts, used in (
            ("maxMinutesPerDay", UsageCounts(encoder_seconds=90.0), "1.5"),
            ("maxUsdPerDay", UsageCounts(cost_usd=2.0), "2"),
        ):
            was = await components.tenancy.ledger.read(day, "one")
            await components.tenancy.ledger.change(day, "one", lambda _, counts=counts: DayUsage({"caption": counts}))
            await found.say(**{limit: 1.25})
            quota, seconds, told = quota_of(await found.submit())
            assert (quota.replace("_", ""), told) == (limit.lower(), used)
            assert 0 < seconds <= 86_400
            faults = (await found.submit(dry_run=True)).json()["quote"]["faults"]
            assert [fault["reason"] for fault in faults] == ["QUOTA_EXCEEDED"]
            await found.say(**{limit: 0})
            await components.tenancy.ledger.change(day, "one", lambda _, was=was: was)
        gate = asyncio.Event()
        found.encoder.script = [gate.wait]
        running, waiting = [(await found.submit()).json()["id"] for _ in range(2)]
        await until(lambda: found.encoder.running == 1)
        used = await components.tenancy.quotas.used("one")
        await found.say(maxMinutesPerDay=used["max_minutes_per_day"] + 0.001)  # what runs counts
        await until(lambda: components.jobs.store.index.order.share_of("one").max_running == 0)
        assert quota_of(await found.submit())[0] == "max_minutes_per_day"
        await found.say(maxMinutesPerDay=0)
        gate.set()
        for job in (running, waiting):
            await found.ended(job)
        await found.say(maxUsdPerDay=1)
        gate = asyncio.Event()
        found.encoder.script = [gate.wait]
        running, waiting = [(await found.submit()).json()["id"] for _ in range(2)]
        await until(lambda: found.encoder.running == 1)
        await components.tenancy.ledger.change(day, "one", lambda _: DayUsage({"caption": UsageCounts(cost_usd=2.0)}))
        await until(lambda: components.jobs.store.index.order.share_of("one").max_running == 0)
        gate.set()
        await found.ended(running)
        assert (await found.ask("GET", f"/job/{waiting}", found.one)).json()["status"] == "IN_QUEUE"
        await found.say(maxUsdPerDay=0)
        await found.ended(waiting)


async def test_a_tenant_sees_its_usage_and_an_admin_that_of_all(tmp_path):
    async with operated(tmp_path) as found:
        await found.ended((await found.submit()).json()["id"])
        await until(lambda: not found.gateway.components.jobs.store.index.uncounted)
        (line,) = (await found.ask("GET", "/usage", found.one)).json()["usage"]
        assert (line["tenant"], line["operation"], line["jobs"], line["resultBytes"] > 0) == ("one", "img2vid", 1, True)
        assert (await found.ask("GET", "/usage", found.two)).json()["usage"] == []
        assert (await found.ask("GET", "/usage?tenant=one", found.two)).status_code == 403
        for path in ("/usage", "/usage?tenant=one&operation=img2vid"):
            assert [one["tenant"] for one in (await found.ask("GET", path, ADMIN)).json()["usage"]] == ["one"], path
        assert (await found.ask("GET", "/usage?operation=caption", ADMIN)).json()["usage"] == []
        for more in ({"params": {"format": "csv"}}, {"headers": {"accept": "text/csv"}}):
            table = await found.ask("GET", "/usage", found.one, **more)
            assert table.headers["content-type"].startswith("text/csv")
            (row,) = csv.DictReader(io.StringIO(table.text))
            assert (row["date"], row["tenant"], row["jobs"]) == (line["date"], "one", "1")
        for wrong in ("since=yesterday", "since=2026-01-01&until=2026-07-01", "since=2026-01-02&until=2026-01-01"):
            answer = await found.ask("GET", f"/usage?{wrong}", found.one)
            assert (answer.status_code, "since" in answer.json()["message"]) == (400, True), wrong
        await found.say(maxQueuedJobs=7)
        certs = tmp_path / "certs"
        files = [certs / name for name in ("ca.crt", "client.crt", "client.key")]
        target = f"localhost:{found.gateway.components.settings.grpc_port}"

        def by_client():
            with Client.connect(target, found.one, *files) as client:
                return client.usage(), client.quotas()

        usage, quotas = await asyncio.to_thread(by_client)
        assert [(one.tenant, one.jobs) for one in usage] == [("one", 1)]
        assert [(one.quota, one.used, one.limit) for one in quotas] == [("max_queued_jobs", 0, 7)]


async def test_jobs_without_a_webhook_are_told_to_the_tenants_own_by_its_own_secret(tmp_path):
    calls, secret = [], new_secret().decode()

    async def receive(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line and "signature" not in line.lower())
        headers |= dict(line.split(": ", 1) for line in head[1:] if "signature" in line.lower())
        body = await reader.readexactly(int(headers["content-length"]))
        calls.append((head[0], headers, body))
        writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, operated(tmp_path) as found:
        url = f"http://127.0.0.1:{port}"
        said = await found.say(webhookUrl=f"{url}/own", webhookEvents=["job.queued"], webhookSecret=secret)
        assert said["hasWebhookSecret"] is True
        assert secret not in (await found.ask("GET", "/tenants", ADMIN)).text
        await found.submit()
        await until(lambda: calls)
        await found.submit(webhook_url=f"{url}/other", webhook_events=["job.queued"])
        await found.submit(webhook_events=["job.queued"])
        await until(lambda: len(calls) == 3)
        assert sorted(call[0].split()[1] for call in calls) == ["/other", "/own", "/own"]
        for _, headers, body in calls:
            Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
        for wrong in (
            {"webhookSecret": "whsec_short"},
            {"webhookEvents": ["job.lost"]},
            {"webhookUrl": "ftp://x"},
            {"weight": 0},
            {"maxUsdPerDay": -1},
        ):
            answer = await found.ask("PATCH", "/tenants/one", ADMIN, json=wrong)
            assert answer.json()["status"] == "INVALID_ARGUMENT", wrong
        await found.say(webhookUrl="", webhookSecret="")
        assert (await found.submit(webhook_events=["job.queued"])).status_code == 400


async def test_no_more_is_stored_than_a_tenant_may_have(tmp_path):
    async with operated(tmp_path) as found:
        await found.say(maxStoredBytes=1000)
        await until(lambda: stored(found) == 7)  # counted from the records of files of before

        async def put(size_bytes, key=found.one):
            return await found.ask("PUT", "/assets/b.bin", key, content=b"x" * size_bytes)

        assert quota_of(await put(994)) == ("max_stored_bytes", 3600, "7")
        assert (await put(1001)).json()["details"][0]["reason"] == "ASSET_TOO_LARGE"
        answers = await asyncio.gather(*(put(300) for _ in range(8)))
        kept = [answer.json()["name"] for answer in answers if answer.status_code == 200]
        assert (len(kept), stored(found)) == (3, 907)
        assert (await put(5000, found.two)).status_code == 200
        upload = await found.ask("POST", "/uploads", found.one, json={"sizeBytes": 90})
        assert (upload.status_code, stored(found)) == (200, 997)
        assert quota_of(await found.ask("POST", "/uploads", found.one, json={"sizeBytes": 4}))[2] == "997"
        tus = {"tus-resumable": "1.0.0", "upload-length": "4"}
        assert (await found.ask("POST", "/uploads", found.one, headers=tus)).status_code == 429
        assert (await put(3)).status_code == 200
        assert quota_of(await found.submit())[0] == "max_stored_bytes"
        assert (await found.ask("DELETE", f"/{upload.json()['name']}", found.one)).status_code == 200
        for name in kept:
            assert (await found.ask("DELETE", f"/{name}", found.one)).status_code == 200
        assert stored(found) == 10
        # The results of a job are kept, and count.
        await found.say(maxStoredBytes=11)
        await found.ended((await found.submit()).json()["id"])
        assert stored(found) > 11
        assert (await found.submit()).status_code == 429
        (quota,) = (await found.ask("GET", "/usage?tenant=one", ADMIN)).json()["quotas"]
        assert (quota["quota"], quota["limit"], quota["used"]) == ("max_stored_bytes", 11, stored(found))


def stored(found):
    return found.gateway.components.tenancy.quotas.stored("one")


async def test_no_more_uploads_are_open_than_a_tenant_may_have(tmp_path):
    tus = {"tus-resumable": "1.0.0", "upload-length": "10"}
    async with operated(tmp_path) as found:
        assert (await found.say(maxOpenUploads=2))["maxOpenUploads"] == 2
        first = (await found.ask("POST", "/uploads", found.one, json={"sizeBytes": 10})).json()
        assert (await found.ask("POST", "/uploads", found.one, headers=tus)).status_code == 201
        for refused in (
            await found.ask("POST", "/uploads", found.one, json={"sizeBytes": 10}),
            await found.ask("POST", "/uploads", found.one, headers=tus),
        ):
            quota, seconds, used = quota_of(refused)
            assert (quota, used, 0 < seconds <= 60) == ("max_open_uploads", "2", True)
            assert "delete them" in refused.json()["message"]
        quotas = (await found.ask("GET", "/usage", found.one)).json()["quotas"]
        assert quotas == [{"quota": "max_open_uploads", "used": 2.0, "limit": 2.0, "key": ""}]
        assert (await found.ask("POST", "/uploads", found.two, headers=tus)).status_code == 201
        assert (await found.ask("DELETE", f"/{first['name']}", found.one)).status_code == 200
        assert (await found.ask("POST", "/uploads", found.one, headers=tus)).status_code == 201
        await found.say(maxOpenUploads=0)
        assert (await found.ask("POST", "/uploads", found.one, headers=tus)).status_code == 201


async def test_tenants_are_listed_in_pages(tmp_path):
    async with operated(tmp_path) as found:
        for name in ("b", "a", "c"):
            assert (await found.ask("PATCH", f"/tenants/{name}", ADMIN, json={"weight": 2})).status_code == 200
        names, token, pages = [], "", 0
        while pages == 0 or token:
            path = f"/tenants?page_size=2&page_token={token}"
            page = (await found.ask("GET", path, ADMIN)).json()
            names += [tenant["tenant"] for tenant in page["tenants"]]
            token, pages = page.get("nextPageToken", ""), pages + 1
            assert not any(name in token for name in ("tenants", "/b"))
        assert (names, pages) == (["a", "b", "c"], 2)
        refused = await found.ask("GET", "/tenants?page_token=b", ADMIN)
        assert refused.json()["details"][0]["reason"] == "BAD_PAGE_TOKEN"
