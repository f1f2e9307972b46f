"""Instances are terminated while tasks come and go: no task is lost, and no instance stays."""

import asyncio
import time
import uuid
from dataclasses import replace

import pytest

from apigpu.v1.video_pb2 import CaptionRequest, Operation
from gateway.fleet.autoscaler import Policy
from gateway.fleet.instances.instance import Instance, InstanceState
from gateway.fleet.instances.registry import InstanceRegistry
from gateway.jobs import model
from gateway.jobs.claims import Claims
from gateway.jobs.cost_guard import CostGuard
from gateway.jobs.queue import TaskRef
from gateway.jobs.store import JobStore
from gateway.workers.base import EncoderBusy, EncoderLost
from tests.emulators.lighthost import LightHost
from tests.emulators.vastemulator import VastEmulator
from tests.support.fleet_world import World, intervals, living, offers, vast_provider
from tests.support.until import until

ROUNDS = 60


@pytest.fixture
def vast():
    with VastEmulator(offers(), LightHost()) as emulator:
        yield emulator


async def test_a_task_and_a_release_at_the_same_moment_never_both_succeed(records):
    ours, theirs = InstanceRegistry(records), InstanceRegistry(records)
    await ours.start()
    await theirs.start()
    came = []
    for number in range(ROUNDS):
        instance = f"fleet-{number}"
        await ours.create(instance, Instance(instance, "vast", 1.0, 1.0, InstanceState.READY, ready_at=1.0))
        begin = ours.begin_run(instance, "job.0", 2.0)
        release = theirs.update(instance, lambda m: m.drain("idle"))
        steps = (begin, release) if number % 2 else (release, begin)
        begun = (await asyncio.gather(*steps, return_exceptions=True))[0 if number % 2 else 1]
        now = await ours.get(instance)
        if isinstance(begun, EncoderBusy):
            assert (now.state, now.running) == (InstanceState.TERMINATING, ())
        else:
            assert begun is None
            assert (now.state, now.draining, now.runs("job.0")) == (InstanceState.READY, True, True)
        came.append(isinstance(begun, EncoderBusy))
    await ours.stop()
    await theirs.stop()
    assert set(came) == {True, False}  # each was the first now and then


async def test_instances_that_tasks_run_on_are_kept_whatever_is_idle(records, vast):
    """Tasks are as far apart as an instance may be idle."""
    async with World(records, vast_provider(vast), Policy(maximum=1, idle_seconds=0.06)) as world:
        begun = 0
        while begun < 4:
            instance = await world.ready()
            world.waiting = 0
            await asyncio.sleep(0.05)
            try:
                await world.registry.begin_run(instance.id, f"job.{begun}", time.time())
            except EncoderBusy:
                continue
            for _ in range(5):
                await asyncio.sleep(0.02)
                assert instance.id in [one.label for one in living(vast)]
            await world.registry.end_run(instance.id, f"job.{begun}", time.time())
            begun += 1
        await world.until_empty()
        assert not living(vast)
        assert sum(m.tasks for m in world.registry.all()) == begun


async def test_an_instance_that_is_too_old_ends_with_its_last_task(records, vast):
    async with World(records, vast_provider(vast), Policy(maximum=1, idle_seconds=60, max_age_seconds=600)) as world:
        instance = await world.ready()
        await world.registry.begin_run(instance.id, "job.0", time.time())
        world.waiting = 0
        await world.registry.update(instance.id, lambda m: replace(m, created_at=m.created_at - 600))
        await until(lambda: world.registry.cached[instance.id].draining)
        with pytest.raises(EncoderBusy):
            await world.registry.begin_run(instance.id, "job.1", time.time())
        await asyncio.sleep(0.2)
        assert world.registry.cached[instance.id].state is InstanceState.READY
        assert living(vast)
        await world.registry.end_run(instance.id, "job.0", time.time())
        await world.until_empty()
        assert not living(vast)


async def lost_with_its_instance(metered, job_id, instance, is_gone):
    async with metered.billed(TaskRef(job_id, 0), instance):
        await until(is_gone)
        raise EncoderLost("it is gone")


async def test_an_instance_that_is_terminated_at_once_sends_its_task_back(jetstream, records, vast):
    store = JobStore(await jetstream.key_value("jobs"), Claims(await jetstream.key_value("claims")), 3600)
    request = Operation(caption=CaptionRequest(url_video="v", url_srt="s")).SerializeToString()
    job = model.Job(uuid.uuid4().hex, "CAPTION", request, False, (model.Task(),), time.time())
    await store.add(job)
    async with World(records, vast_provider(vast)) as first:
        instance = await first.ready()
        metered = CostGuard(store, first, first.pool, 1.0)
        task = lost_with_its_instance(metered, job.id, instance.id, lambda: not first.registry.is_active(instance.id))
        running = asyncio.create_task(task)
        await until(lambda: first.registry.cached[instance.id].running)
        await first.controller.close()
        spent = Policy(maximum=1, max_usd_per_day=1e-9)
        async with World(records, vast_provider(vast), spent, gateway="second") as second:
            with pytest.raises(EncoderBusy):
                await running
            await second.until_empty()
            assert not living(vast)
            (ended,) = second.registry.all()
    assert (ended.reason, ended.tasks) == ("daily spending cap reached", 1)


async def test_runs_that_nobody_has_in_hand_are_ended_but_not_those_that_have_just_begun(records, vast):
    """Also on an instance that is to end with its last task: its gateway died, and nobody is given the task there."""
    async with World(records, vast_provider(vast), intervals=intervals(orphaned_seconds=0.5)) as world:
        instance = await world.ready()
        world.waiting = 0
        begun_at = time.time()
        with world.assignments.assign("job.1", instance.id):
            for task in ("job.0", "job.1"):
                await world.registry.begin_run(instance.id, task, begun_at)
            await world.registry.update(instance.id, lambda m: m.drain("old"))
            await until(lambda: len(world.registry.cached[instance.id].running) == 1)
            assert time.time() - begun_at > 0.5
            await asyncio.sleep(0.3)
            assert [run.task for run in world.registry.cached[instance.id].running] == ["job.1"]
        await world.until_empty()
        assert not living(vast)
