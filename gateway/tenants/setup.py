"""Wires what operators say of tenants, what is counted of them, and what holds their jobs to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from gateway.assets.store import AssetStore
from gateway.jetstream.connection import JetStream
from gateway.jobs.manager import JobManager
from gateway.outputs.sealing import Sealer
from gateway.storage import Storage
from gateway.tenants.limits import WorkLimits
from gateway.tenants.quotas import Quotas
from gateway.tenants.tenants import Tenants
from gateway.uploads.sessions import UploadSessions
from gateway.usage.counter import CostOf, UsageCounter
from gateway.usage.ledger import KEPT_SECONDS, UsageLedger
from gateway.usage.storage import CLAIM_SECONDS, FLUSH_SECONDS, Files, StorageMeter
from gateway.webhooks.signing import WebhookSigner
from servicekit.errors import ServiceError
from servicekit.tasks import cancel_and_wait, repeat

REFRESH_SECONDS = 3.0


@dataclass(frozen=True)
class Tenancy:
    """What is said of tenants, their limits, and their usage."""

    tenants: Tenants
    quotas: Quotas
    ledger: UsageLedger


async def start_tenancy(
    storage: Storage,
    jobs: JobManager,
    tenants: Tenants,
    cost_of: CostOf,
    max_open_uploads: int,
    limits_of_key: Callable[[str], WorkLimits],
    stack: contextlib.AsyncExitStack,
) -> Tenancy:
    """Begin to count usage, until `stack` ends; jobs are held to the limits of their tenants and keys from now on."""
    jetstream, assets, uploads = storage.jetstream, storage.assets, storage.uploads
    bucket = await jetstream.key_value("tenants")
    ledger = UsageLedger(await jetstream.key_value("usage", KEPT_SECONDS))
    quotas = Quotas(tenants, jobs.store.index, ledger, cost_of, max_open_uploads, limits_of_key)
    claims = await jetstream.key_value("stored_claims", CLAIM_SECONDS)
    files = _files(assets, uploads)
    meter = await StorageMeter.open(bucket, claims, files, quotas.with_stored_limit, quotas.check_stored)
    quotas.stored, assets.account = meter.used, meter
    quotas.open_uploads, uploads.check_open = uploads.count_open, quotas.check_open_uploads
    stack.push_async_callback(_end, meter)
    counter = UsageCounter(jobs.store, ledger, cost_of)
    refreshing = repeat("cannot read what tenants have used today", REFRESH_SECONDS, quotas.refresh)
    counting = repeat("cannot count stored files", REFRESH_SECONDS, meter.count_daily)
    loops = [asyncio.create_task(loop) for loop in (counter.run(), refreshing, meter.run(), counting)]
    stack.push_async_callback(cancel_and_wait, *loops)
    jobs.store.index.order.share_of = quotas.share_of
    jobs.admit, jobs.default_webhook = quotas.admit, tenants.webhook
    return Tenancy(tenants, quotas, ledger)


def _files(assets: AssetStore, uploads: UploadSessions) -> Files:
    async def files() -> AsyncIterator[tuple[str, str, int]]:
        # Uploads first: one that becomes a file meanwhile is then seen.
        for sizes in (uploads.sizes(), assets.sizes()):
            async for found in sizes:
                yield found

    return files


async def _end(meter: StorageMeter) -> None:
    """Write down what is not yet, in a moment."""
    with contextlib.suppress(ServiceError, TimeoutError):
        async with asyncio.timeout(FLUSH_SECONDS):
            await meter.flush()
    await meter.records.stop()


async def open_tenants(
    jetstream: JetStream, sealer: Sealer, signer: WebhookSigner, stack: contextlib.AsyncExitStack
) -> Tenants:
    """Return what is said of tenants, followed until `stack` ends."""
    tenants = await Tenants.open(await jetstream.key_value("tenants"), sealer, signer)
    stack.push_async_callback(tenants.records.stop)
    return tenants
