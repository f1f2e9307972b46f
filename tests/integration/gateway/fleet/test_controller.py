"""The fleet controller against an emulated Vast.ai whose instances are real encoders: from an empty fleet to work
that is done, and back to nothing."""

import pytest

from gateway.fleet.autoscaler import Policy
from tests.emulators.encoderhost import EncoderHost
from tests.emulators.vastemulator import VastEmulator
from tests.support.fleet_world import World, offers, vast_provider
from tests.support.until import until, within


@pytest.fixture
def vast(tmp_path):
    with VastEmulator(offers(), EncoderHost(tmp_path / "hosts")) as emulator:
        yield emulator


async def test_from_nothing_to_work_and_back_to_nothing(jetstream, vast):
    records = await jetstream.key_value("fleet")
    async with World(records, vast_provider(vast), Policy(maximum=2, idle_seconds=0.2)) as world:
        instance = await world.ready()
        assert instance.slots == 3
        member = await within(world.pool.lease())
        assert member.instance_id == instance.id
        world.pool.release(member)
        world.waiting = 0
        await until(lambda: not world.registry.living())
        (ended,) = world.registry.all()
        assert ended.reason == "idle for 0 s"
        assert ended.access is None
        assert not any(container.is_alive for container in vast.launch.started)
        assert len(world.pool.members) == 0
