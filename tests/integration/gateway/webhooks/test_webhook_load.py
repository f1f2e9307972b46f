"""Thousands of jobs whose webhooks are dead, silent or refuse, beside some that answer."""

import contextlib
import itertools
import socket
from collections import Counter

import psutil
import pytest

from tests.support.hook_receiver import SECRET, HookReceiver
from tests.support.lone_gateway import LoneGateway
from tests.support.until import until
from tools.pair import free_ports

THIRD, ROUNDS, HOSTS, LIVE = 1000, 3, 40, 100
# What calls have open at once, beside what the gateway itself has.
MAX_CALLS = 256
SLACK_BYTES = 16 << 20


def silent(stack):
    """The URL of a host that takes connections and never answers."""
    taking = stack.enter_context(contextlib.closing(socket.socket()))
    taking.bind(("127.0.0.1", 0))
    taking.listen(8)
    return f"http://127.0.0.1:{taking.getsockname()[1]}/"


def submit(gateway, source, url):
    body = {"thumbnail": {"url_video": source}, "webhook_url": url, "webhook_events": ["job.queued"]}
    answer = gateway.http.post("/jobs", json=body)
    answer.raise_for_status()
    return answer.json()["id"]


def attempts(gateway, job_id):
    (delivery,) = gateway.http.get(f"/job/{job_id}/webhooks").json()["deliveries"]
    return delivery["state"], len(delivery["attempts"])


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_thousands_of_dead_receivers_delay_no_live_one_and_grow_nothing(tmp_path):
    allowed = {"FETCH_ALLOW_CIDRS": "127.0.0.0/8", "WEBHOOK_SECRET": SECRET}
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(LoneGateway(tmp_path, **allowed))
        refusing = stack.enter_context(HookReceiver(*[500] * 100_000))
        live = stack.enter_context(HookReceiver())
        gone = [f"http://127.0.0.1:{port}/" for port in free_ports(HOSTS)]
        hanging = [silent(stack) for _ in range(HOSTS)]
        urls = itertools.cycle(url for pair in zip(gone, hanging, strict=True) for url in (*pair, refusing.url))
        process = psutil.Process(gateway.process.pid)
        asset = gateway.http.put("/assets/a.png", content=b"a picture").json()["name"]
        descriptors, sizes = process.num_fds(), []
        for _ in range(ROUNDS):
            for url in itertools.islice(urls, THIRD):
                submit(gateway, asset, url)
            sizes.append(process.memory_info().rss)
        told = [submit(gateway, asset, live.url) for _ in range(LIVE)]
        await until(lambda: len(live.calls) >= LIVE, 120)
        assert Counter(attempts(gateway, job_id) for job_id in told) == {("DELIVERED", 1): LIVE}
        assert len(set(live.ids)) == len(live.calls) == LIVE
        # A host that refuses has as many calls as any, and no job waits for those of others.
        assert len(set(refusing.ids)) > LIVE
        assert process.num_fds() < descriptors + MAX_CALLS
        assert sizes[2] - sizes[1] < 1.5 * (sizes[1] - sizes[0]) + SLACK_BYTES
        failed = sum("webhook call failed" in line for line in gateway.log_lines())
        assert failed < THIRD
        print({"MiB": [size >> 20 for size in sizes], "descriptors": (descriptors, process.num_fds())})
