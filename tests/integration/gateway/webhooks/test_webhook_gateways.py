"""Webhooks while two gateways serve from one store: one of them calls, and the other goes on when it stops."""

import asyncio
import contextlib
from collections import Counter

import httpx

from tests.support import nats_server
from tests.support.hook_receiver import SECRET, HookReceiver
from tests.support.until import until
from tests.support.whole_gateway import opened

EVENTS = ["job.queued", "job.started", "job.ended"]


@contextlib.asynccontextmanager
async def served(folder, nats_url):
    """A gateway of its own folder, on the store and the files of both."""
    (folder / "own").mkdir(parents=True)
    settings = {
        "nats_url": nats_url,
        "assets_url": str(folder.parent / "assets"),
        "link_secret": "a secret of both gateways, which has enough characters",
        "key_pepper": "a pepper of both gateways, which has enough characters",
        "webhook_secret": SECRET,
        "fetch_allow_cidrs": "127.0.0.0/8",
    }
    async with (
        opened(folder / "own", **settings) as gateway,
        httpx.AsyncClient(base_url=gateway.http_url, headers={"X-API-Key": "key"}, timeout=60) as http,
    ):
        yield http


async def submitted(http, source, url):
    body = {"thumbnail": {"url_video": source}, "webhook_url": url, "webhook_events": EVENTS}
    answer = await http.post("/jobs", json=body)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()["id"]


def told(receiver):
    """How often each event of each job was told."""
    return Counter((body["data"]["id"], body["type"]) for body in receiver.bodies)


async def test_of_two_gateways_one_calls_and_the_other_goes_on(tmp_path):
    with nats_server.serving(tmp_path / "nats") as url, HookReceiver() as receiver:
        async with served(tmp_path / "second", url) as second:
            async with served(tmp_path / "first", url) as first:
                source = (await first.put("/assets/a.mp4", content=b"a video")).json()["name"]
                jobs = await asyncio.gather(*(submitted(http, source, receiver.url) for http in (first, second) * 6))
                await until(lambda: len(receiver.calls) >= len(EVENTS) * len(jobs), 60)
                assert told(receiver) == Counter((job, event) for job in jobs for event in EVENTS)
                late = await submitted(first, source, receiver.url)
            await until(lambda: told(receiver)[late, "job.ended"] > 0, 60)
            after = await submitted(second, source, receiver.url)
            await until(lambda: told(receiver)[after, "job.ended"] > 0, 60)
    assert len(set(receiver.ids)) == len(EVENTS) * (len(jobs) + 2)
    assert receiver.all_signed()
