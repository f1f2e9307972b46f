"""Wires what tells webhooks, and what shows how that went."""

import contextlib
import secrets

from gateway.cluster.leader import LeaderLease
from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from gateway.jobs.progress import ProgressBus
from gateway.jobs.store import JobStore
from gateway.webhooks.caller import WebhookCaller
from gateway.webhooks.deliverer import WebhookDeliverer
from gateway.webhooks.deliveries import Deliveries, DeliveryPolicy
from gateway.webhooks.log import WebhookLog

PREFIX_OF_RECORDS = "job."
DEFAULT_POLICY = DeliveryPolicy()


def start_webhooks(
    store: JobStore,
    bucket: KeyValue,
    progress: ProgressBus,
    caller: WebhookCaller,
    stack: contextlib.AsyncExitStack,
    policy: DeliveryPolicy = DEFAULT_POLICY,
) -> WebhookLog:
    """Begin to tell webhooks, until `stack` ends."""
    records = webhook_records(bucket)
    lease = LeaderLease(bucket, secrets.token_hex(8), policy.limits.lease_seconds)
    deliverer = WebhookDeliverer(store, records, lease, caller, progress, policy)
    deliverer.start()
    stack.push_async_callback(deliverer.close)
    return WebhookLog(store, records)


def webhook_records(bucket: KeyValue) -> Records[Deliveries]:
    """Return the records of what was told of each job, by its id."""
    return Records(bucket, Deliveries, "webhook", PREFIX_OF_RECORDS, keeps_values=False)
