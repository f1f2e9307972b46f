"""The gateway is killed at every step of an instance's life, before and after it: whoever comes next brings all to the
right end, and nothing is paid for that nobody knows of."""

import asyncio
import random
import subprocess
import sys
import time
from dataclasses import replace

from gateway.fleet.instances.instance import InstanceState
from servicekit.process import die_with_parent
from tests.emulators.lighthost import LightHost
from tests.emulators.vastemulator import VastEmulator
from tests.support.fleet_death import Death
from tests.support.fleet_world import World, ever, intervals, living, offers, vast_provider
from tests.support.paths import ROOT
from tests.support.until import until, within

# What a gateway does to the world in the life of one instance.
LIFE = (
    "create machine",  # REQUESTED
    "order",
    "update machine",  # PROVISIONING
    "update machine",  # its address
    "update machine",  # READY
    "create estimates",
    "update machine",  # a task begins
    "update machine",  # a task ends
    "update machine",  # TERMINATING
    "destroy",
    "update machine",  # TERMINATED
)
TERMINATED_AT = 9
LANES = 4
INTERVALS = intervals(tick_seconds=0.03, lease_seconds=0.3)


async def live(world):
    """The whole life of an instance."""
    instance = await world.ready()
    await until(lambda: "create estimates" in world.death.done)  # else the order is a matter of luck
    await world.registry.begin_run(instance.id, "job.0", time.time())
    world.waiting = 0
    await world.registry.end_run(instance.id, "job.0", time.time())
    await world.until_empty()
    world.death.come()


async def killed(records, vast, fleet, death):
    """A gateway that lives until its death."""
    provider = vast_provider(vast, fleet, death=death)
    async with World(records, provider, intervals=INTERVALS, fleet=fleet, gateway="first", death=death) as world:
        living_on = asyncio.create_task(live(world))
        await within(death.came.wait())
        living_on.cancel()
        await asyncio.gather(living_on, return_exceptions=True)


async def followed(records, vast, fleet, *, most_made):
    """Another gateway, for as long as there is work, and until everything is terminated."""
    heir = replace(INTERVALS, orphaned_seconds=0.2)
    async with World(records, vast_provider(vast, fleet), intervals=heir, fleet=fleet, gateway="second") as world:
        world.waiting = 1

        def one_in_use():
            known = [(m.id, m.provider_id) for m in world.registry.living() if m.state is InstanceState.READY]
            there = [(one.label, str(one.number)) for one in living(vast, fleet)]
            return len(known) == 1 and known == there and world.pool.ready == 1

        await until(one_in_use)
        world.waiting = 0
        await until(lambda: not world.registry.living() and not living(vast, fleet))
        records = world.registry.all()
    made = ever(vast, fleet)
    assert all(instance.access is None and not instance.running for instance in records)
    assert len(made) <= most_made
    assert {instance.id for instance in records if instance.provider_id} == {one.label for one in made}


async def walk(jetstream, vast, step, when):
    fleet = f"fleet-{step}-{when}"
    records, death = await jetstream.key_value(fleet), Death(step, when)
    await killed(records, vast, fleet, death)
    assert tuple(death.begun) == LIFE[:step]
    is_terminated = step > TERMINATED_AT or (step, when) == (TERMINATED_AT, "after")
    try:
        await followed(records, vast, fleet, most_made=2 if is_terminated else 1)
    except BaseException as error:
        error.add_note(f"killed {when} step {step}: {LIFE[step - 1]}")
        raise


async def lane(jetstream, walks):
    """Some walks, one after the other."""
    with VastEmulator(offers(), LightHost()) as vast:
        for step, when in walks:
            await walk(jetstream, vast, step, when)
        assert not any(container.is_alive for container in vast.launch.started)


async def test_a_gateway_killed_at_any_step_leaks_nothing(jetstream):
    walks = [(step, when) for step in range(1, len(LIFE) + 1) for when in ("before", "after")]
    async with asyncio.TaskGroup() as lanes:
        for number in range(LANES):
            lanes.create_task(lane(jetstream, walks[number::LANES]))


async def real_kill(jetstream, vast, seed):
    fleet = f"killed-{seed}"
    child = die_with_parent(
        [sys.executable, str(ROOT / "tests" / "support" / "fleet_child.py"), jetstream.server.url, vast.url, fleet]
    )
    process = subprocess.Popen(child.command, preexec_fn=child.preexec, stdout=subprocess.PIPE, text=True)
    with process:
        assert await asyncio.to_thread(process.stdout.readline) == "begun\n"
        await asyncio.sleep(random.Random(seed).uniform(0, 1.2))
        process.kill()
    records = await jetstream.key_value(fleet)
    await followed(records, vast, fleet, most_made=len(ever(vast, fleet)) + 1)


async def test_a_process_killed_at_any_moment_leaks_nothing(jetstream):
    with VastEmulator(offers(), LightHost()) as vast:
        await asyncio.gather(*(real_kill(jetstream, vast, seed) for seed in (1, 2)))
