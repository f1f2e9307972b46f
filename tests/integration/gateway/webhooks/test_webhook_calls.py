"""Calls of webhooks on a real store: over TLS, of progress, and what is left of them once a job is forgotten."""

import contextlib
import json
import time

import pytest

from gateway.jobs import model
from gateway.jobs.claims import Claims
from gateway.jobs.hooks import ENDED, PROGRESS, Webhook
from gateway.jobs.model import Failure, Job, Task
from gateway.jobs.progress import Phase, ProgressBus, TaskProgress
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore
from gateway.sources.fetch import Fetcher
from gateway.sources.send import Sender
from gateway.webhooks.caller import WebhookCaller
from gateway.webhooks.deliveries import DeliveryPolicy
from gateway.webhooks.setup import start_webhooks
from gateway.webhooks.signing import WebhookSigner
from servicekit.errors import NotFound
from tests.support.hook_receiver import SECRET, HookReceiver
from tests.support.until import until, until_async
from tests.support.web_server import Authority, limits

CANCELLED = Failure(1, "cancelled")


def composed(job, what, since, running):
    frames = {index: progress.frames_done for index, progress in running.items()}
    return json.dumps({"id": job.id, "type": what.event, "frames": frames}).encode()


@pytest.fixture
async def store(jetstream):
    made = JobStore(await jetstream.key_value("jobs"), Claims(await jetstream.key_value("claims")), 0.0)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def start(jetstream, store, tmp_path):
    """Start to tell webhooks; what is made is the log of them, the bus of progress, and an authority."""
    authority, bus, signer = Authority(tmp_path), ProgressBus(jetstream), WebhookSigner([SECRET])
    bucket = await jetstream.key_value("webhooks")

    def begin(trusted=True):
        fetcher = Fetcher(limits(), authority.trusting if trusted else None)
        policy = DeliveryPolicy(progress_seconds=0.05)
        caller = WebhookCaller(Sender(fetcher.guard, fetcher.tls), lambda tenant: signer, composed)
        log = start_webhooks(store, bucket, bus, caller, stack, policy)
        return log, bus, authority

    async with contextlib.AsyncExitStack() as stack:
        yield begin


def job_for(receiver, *events, age_seconds=0.0):
    hook = Webhook(receiver.url, events, "")
    now = time.time() - age_seconds
    job = Job(
        id=model.new_id(now),
        operation="caption",
        request=b"",
        batch=False,
        tasks=(Task(),),
        created_at=now,
        webhook=hook,
    )
    return model.start_task(job, 0, now)


async def test_a_running_job_tells_of_its_progress_over_tls_until_it_ends(store, start):
    _, bus, authority = start()
    with HookReceiver(tls=authority.server("127.0.0.1")) as receiver:
        job = job_for(receiver, PROGRESS, ENDED)
        await store.add(job)

        async def told_of_progress():
            await bus.publish(TaskRef(job.id, 0), TaskProgress(Phase.ENCODING, 7, 10, 25.0))
            return receiver.types.count(PROGRESS) >= 2

        await until_async(told_of_progress)
        await store.update(job.id, lambda latest: model.cancel(latest, CANCELLED, time.time()))
        await until(lambda: receiver.types[-1] == ENDED)
    assert receiver.types.count(ENDED) == 1
    assert {"0": 7} in [body["frames"] for body in receiver.bodies]
    assert len(set(receiver.ids)) == len(receiver.ids)
    assert receiver.all_signed()


async def test_a_receiver_whose_certificate_nobody_knows_is_told_nothing_and_that_is_seen(store, start):
    log, _, authority = start(trusted=False)
    with HookReceiver(tls=authority.server("127.0.0.1")) as receiver:
        job = model.cancel(job_for(receiver, ENDED), CANCELLED, time.time())
        await store.add(job)

        async def attempts():
            found = (await log.read(job.id))[1].by_name
            return found["ended"].attempts if "ended" in found else ()

        (attempt,) = await until_async(attempts)
    assert (attempt.status, receiver.calls) == (0, [])
    assert "certificate" in attempt.error


async def test_what_was_told_is_forgotten_with_its_job(jetstream, store, start):
    start()
    with HookReceiver() as receiver:
        job = model.cancel(job_for(receiver, ENDED, age_seconds=60), CANCELLED, time.time() - 50)
        await store.add(job)

        async def is_settled():
            return (await store.get(job.id)).webhook.is_settled

        await until_async(is_settled)
    records = await jetstream.key_value("webhooks")
    assert any(job.id in key for key in await records.keys())
    await store.prune(time.time())
    assert not any(job.id in key for key in await records.keys())
    with pytest.raises(NotFound):
        await store.get(job.id)
