"""A process that rents, uses and gives back instances until it is killed: fleetchild.py NATS_URL VAST_URL FLEET"""

import asyncio
import sys
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.jetstream.connection import JetStream
from tests.support.fleet_world import World, intervals, vast_provider


async def main(nats_url, vast_url, fleet):
    jetstream = await JetStream.open(nats_url, Path(), 10)
    records = await jetstream.key_value(fleet)
    provider = vast_provider(SimpleNamespace(url=vast_url), fleet)
    async with World(records, provider, intervals=intervals(lease_seconds=0.3), fleet=fleet, gateway="child") as world:
        print("begun", flush=True)
        while True:
            instance = await world.ready()
            await world.registry.begin_run(instance.id, "job.0", time.time())
            world.waiting = 0
            await world.registry.end_run(instance.id, "job.0", time.time())
            await world.until_empty()


asyncio.run(main(*sys.argv[1:]))
