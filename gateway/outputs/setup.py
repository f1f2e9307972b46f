"""Wires what puts results where they are wanted, and what keeps the credentials for it."""

import contextlib
import functools
import secrets
from dataclasses import dataclass

from apigpu.v1 import jobs_pb2
from gateway.assets.store import AssetStore
from gateway.cluster.leader import LeaderLease
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from gateway.jobs.manager import JobManager
from gateway.jobs.model import Job
from gateway.outputs.check import placed
from gateway.outputs.deliverer import OutputDeliverer
from gateway.outputs.destinations import Destination, Destinations
from gateway.outputs.plan import OutputPolicy
from gateway.outputs.putting import OutputPutter
from gateway.outputs.sealing import Sealer
from gateway.sources.fetch import Fetcher
from gateway.sources.send import Sender

PREFIX_OF_RECORDS = "bucket."
DEFAULT_POLICY = OutputPolicy()


@dataclass(frozen=True)
class Outputs:
    """What keeps destinations, and what puts into them."""

    destinations: Destinations
    putter: OutputPutter


async def start_outputs(
    jobs: JobManager,
    bucket: KeyValue,
    assets: AssetStore,
    fetcher: Fetcher,
    sealer: Sealer,
    stack: contextlib.AsyncExitStack,
    policy: OutputPolicy = DEFAULT_POLICY,
) -> Outputs:
    """Begin to put results, until `stack` ends; jobs are checked for where theirs go from now on."""
    records = Records(bucket, Destination, "destination", PREFIX_OF_RECORDS, keeps_values=False)
    destinations = Destinations(records, sealer)
    putter = OutputPutter(assets, destinations, Sender(fetcher.guard, fetcher.tls))
    lease = LeaderLease(bucket, secrets.token_hex(8), policy.limits.lease_seconds)
    deliverer = OutputDeliverer(jobs.store, lease, putter, policy)
    deliverer.start()
    stack.push_async_callback(deliverer.close)
    jobs.place_output = functools.partial(_place, fetcher, destinations)
    return Outputs(destinations, putter)


async def _place(fetcher: Fetcher, destinations: Destinations, job: Job, said: jobs_pb2.JobOutput) -> Job:
    return await placed(job, said, fetcher.guard, destinations)
