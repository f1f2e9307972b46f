"""The control of the fleet against an emulated Vast.ai whose machines are real encoders: from an empty fleet to work
that is done, and back to nothing."""

import asyncio

import pytest

from gateway.encoders.pool import Pool
from gateway.fleet.control import Control, Rhythm
from gateway.fleet.knowledge import Knowledge
from gateway.fleet.lease import Lease
from gateway.fleet.life import Patience
from gateway.fleet.machine import State
from gateway.fleet.register import Register
from gateway.fleet.scaler import Demand, Policy
from gateway.fleet.seats import Seats
from gateway.fleet.vast import VastProvider
from gateway.fleet.vastclient import VastClient
from gateway.fleet.vastoffers import Wish
from tests.providers.encoderhost import EncoderHost
from tests.providers.vastemulator import KEY, VastEmulator
from tests.providers.vastmarket import offer

RHYTHM = Rhythm(tick_seconds=0.02, lease_seconds=0.5, look_seconds=0.05, reconcile_seconds=0.2, shop_seconds=0.1)
PATIENCE = Patience(start_seconds=20.0, silent_seconds=1.0, unclear_seconds=0.3)
POLICY = Policy(maximum=2, idle_seconds=0.2)


class World:
    """One gateway's part of the fleet."""

    def __init__(self, records, vast, policy=POLICY, patience=PATIENCE, holder="gateway"):
        self.waiting = 0
        self.pool = Pool()
        self.register = Register(records)
        self.knowledge = Knowledge(records)
        client = VastClient(vast.url, KEY, {}, backoff_seconds=0.05)
        self.provider = VastProvider(
            client, "org/encoder:1", "api-gpu", Wish(max_usd_per_hour=0.5), offers_seconds=0.05, gone_seconds=1.0
        )
        lease = Lease(records, holder, RHYTHM.lease_seconds)
        providers = {"vast": self.provider}
        self.control = Control(
            self.register, lease, providers, self.pool, policy, "api-gpu", self.demand, self.knowledge, patience, RHYTHM
        )

    def demand(self, now):
        return Demand(waiting=self.waiting, oldest_wait_seconds=0.0, task_seconds=5.0)

    async def is_running(self, task, machine):
        return True

    async def __aenter__(self):
        await self.register.start()
        await self.knowledge.start()
        Seats(self.register, self.pool, {"vast": self.provider})
        self.control.start(self.is_running)
        return self

    async def __aexit__(self, *_):
        await self.control.close()
        await self.pool.close()
        await self.knowledge.stop()
        await self.register.stop()

    async def until(self, state, seconds=15.0):
        return await until(lambda: [m for m in self.register.all() if m.state is state], seconds)


async def until(found, seconds=15.0):
    async with asyncio.timeout(seconds):
        while not (value := found()):
            await asyncio.sleep(0.02)
    return value


@pytest.fixture
async def records(engine):
    return await engine.key_value("fleet")


@pytest.fixture
def vast(tmp_path):
    offers = [replace_offer(n) for n in range(3)]
    with VastEmulator(offers, EncoderHost(tmp_path / "hosts")) as emulator:
        yield emulator


def replace_offer(number):
    return offer(id=100 + number, machine_id=200 + number, host_id=300 + number)


async def test_from_nothing_to_work_and_back_to_nothing(records, vast):
    async with World(records, vast) as world:
        world.waiting = 1
        (machine,) = await world.until(State.READY)
        assert machine.slots == 3
        lease = await asyncio.wait_for(world.pool.lease(), 1)
        assert lease.machine == machine.id
        lease.release()
        world.waiting = 0
        await until(lambda: not world.register.living())
        (ended,) = world.register.all()
        assert ended.reason == "idle for 0 s"
        assert ended.access is None
        assert not any(container.is_alive for container in vast.launch.started)
        assert len(world.pool.seats) == 0
