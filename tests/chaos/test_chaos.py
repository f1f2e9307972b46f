"""Jobs of all operations and of two tenants, and uploads, while services are killed and lines are cut: each job ends
once, each webhook arrives, each upload goes on, and nothing is left behind. `make chaos` runs the form of 300 jobs."""

import asyncio
import contextlib
import json
import os
import random

import psutil
import pytest

from tests.chaos.jobs import Submitters, uploaded
from tests.chaos.killer import Killer
from tests.chaos.services import PAIRS, SLOTS, Services
from tests.chaos.tenants import tenants
from tests.chaos.uploads import Uploads
from tests.support.hook_receiver import HookReceiver
from tests.support.nats_cluster import NatsCluster
from tests.support.object_server import ObjectServer
from tests.support.processes import alive
from tests.support.until import until_sync

SEED = int(os.environ.get("CHAOS_SEED", "1"))
MANY_JOBS = int(os.environ.get("CHAOS_JOBS", "300"))
JOBS_PER_UPLOAD = 100


@pytest.fixture
def receiver():
    with HookReceiver() as receiver:
        yield receiver


@pytest.fixture
def store():
    with ObjectServer() as server:
        yield server


@contextlib.contextmanager
def running(folder, store):
    """All services."""
    cluster = NatsCluster(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.stop)
        cluster.start_all()
        asyncio.run(cluster.until_it_stores())
        services = Services(folder, cluster, store.server_port, stack)
        stack.callback(services.stop)
        services.start()
        yield services


def run(folder, store, receiver, jobs, pause_seconds, seconds, most=None):
    # Other tests of this process may have services of their own.
    before = set(psutil.Process().children(recursive=True))
    with running(folder, store) as services:
        chance = random.Random(SEED)
        keys = tenants(services, chance)
        assets = uploaded(services, folder, keys, chance)
        submitters = Submitters(services, keys, assets, receiver.url, jobs, chance)
        uploads = Uploads(services, folder, 1 + jobs // JOBS_PER_UPLOAD, SEED)
        with Killer(services, SEED, pause_seconds, most) as killer, uploads:
            submitters.run(pause_seconds / 4)
            found = submitters.until_ended(seconds)
        print(f"{jobs} jobs, {len(uploads.found)} uploads; killed and cut: {dict(sorted(killer.done.items()))}")
        assert_each_ended_once(submitters, found)
        assert_each_was_told(receiver, found)
        uploads.check()
        named = {name for files in assets.values() for name in files.values()} | uploads.found.keys()
        assert_nothing_is_left(services, store, named, found)
        until_sync(lambda: services.slots() == [PAIRS * SLOTS] * PAIRS, 60)
        children = set(psutil.Process().children(recursive=True)) - before
    until_sync(lambda: not any(map(alive, children)))


def assert_each_ended_once(submitters, found):
    assert [(job.tenant, job.key, job.ids) for job in submitters.jobs if len(job.ids) != 1] == []
    assert len(found) == len(submitters.jobs)
    failed = [job["error"]["message"] for job in found.values() if job["status"] != "COMPLETED"]
    print(f"given up, as three encoders were killed with them: {len(failed)}")
    assert all("each time the encoder ended" in text for text in failed), failed
    assert len(failed) <= len(found) / 20


def assert_each_was_told(receiver, found):
    def told():
        bodies = [json.loads(body) for _, body in list(receiver.calls)]
        return {body["data"]["id"] for body in bodies} >= found.keys()

    until_sync(told, 120)
    ids = {}
    for body, webhook_id in zip(receiver.bodies, receiver.ids, strict=True):
        ids.setdefault(body["data"]["id"], set()).add(webhook_id)
    assert {job_id: len(told) for job_id, told in ids.items()} == dict.fromkeys(found, 1)


def assert_nothing_is_left(services, store, kept, found):
    named = {name for job in found.values() for name in assets_in(job)} | kept  # texts given are inputs
    until_sync(lambda: services.work_folders == [], 60)
    with contextlib.suppress(TimeoutError):
        until_sync(lambda: stored(store) == named, 60)
    assert {name: record_of(store, name) for name in stored(store) - named} == {}
    assert named - stored(store) == set()
    assert store.parts == {} or all(not parts for parts in store.parts.values())


def stored(store):
    """The names of all assets in the store, also of those in parts."""
    return {key.partition(".")[0] for key in list(store.objects) if key.startswith("assets/")}


def record_of(store, name):
    """What is known of an asset, to tell by what it is when nobody wants it."""
    record, _ = store.objects.get(f"records/{name.removeprefix('assets/')}.json", (b"", None))
    return record.decode() or "no record"


def assets_in(value):
    """The names of all assets in an answer."""
    if isinstance(value, dict):
        return [name for part in value.values() for name in assets_in(part)]
    if isinstance(value, list):
        return [name for part in value for name in assets_in(part)]
    return [value] if isinstance(value, str) and value.startswith("assets/") else []


@pytest.mark.timeout(300)
def test_a_few_jobs_survive_what_happens_to_services(tmp_path, store, receiver):
    run(tmp_path, store, receiver, jobs=7, pause_seconds=1.0, seconds=150, most=5)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_many_jobs_survive_what_happens_to_services(tmp_path, store, receiver):
    run(tmp_path, store, receiver, jobs=MANY_JOBS, pause_seconds=2.0, seconds=max(900, 3 * MANY_JOBS))
