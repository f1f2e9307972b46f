"""Tenants and their usage: for an operator what is said of tenants, for everybody what was done for theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from api_gpu.connection import Connection
from api_gpu.requests import from_message
from apigpu.v1 import tenants_pb2, usage_pb2
from apigpu.v1.tenants_pb2_grpc import TenantServiceStub
from apigpu.v1.usage_pb2_grpc import UsageServiceStub


@dataclass(frozen=True)
class Tenant:
    """What is said of a tenant, as in Tenant of tenants.proto: limits (0: none), weight, whom its jobs are told to."""

    tenant: str
    max_queued_jobs: int
    max_running_tasks: int
    max_minutes_per_day: float
    max_usd_per_day: float
    max_stored_bytes: int
    weight: float
    webhook_url: str
    webhook_events: tuple[str, ...]
    has_webhook_secret: bool
    max_open_uploads: int

    @classmethod
    def from_message(cls, message: tenants_pb2.Tenant) -> Tenant:
        """Return the tenant that the gateway describes."""
        return from_message(cls, message, webhook_events=tuple(message.webhook_events))


@dataclass(frozen=True)
class Usage:
    """What was done of an operation for a tenant on a day ("2026-07-31", UTC)."""

    date: str
    tenant: str
    operation: str
    jobs: int
    failed_jobs: int
    cancelled_jobs: int
    output_seconds: float
    encoder_seconds: float
    cost_usd: float
    result_bytes: int


@dataclass(frozen=True)
class QuotaUse:
    """A limit of a tenant, or of a key (its id), by the name of its field, and how much of it is used."""

    quota: str
    used: float
    limit: float
    key: str


class Tenants:
    """The calls of TenantService, for a key with the scope admin. Errors are subclasses of ServiceError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = TenantServiceStub(connection.channel)

    def update(
        self,
        tenant: str,
        *,
        max_queued_jobs: int | None = None,
        max_running_tasks: int | None = None,
        max_minutes_per_day: float | None = None,
        max_usd_per_day: float | None = None,
        max_stored_bytes: int | None = None,
        weight: float | None = None,
        webhook_url: str | None = None,
        webhook_events: Sequence[str] = (),
        webhook_secret: str | None = None,
        max_open_uploads: int | None = None,
    ) -> Tenant:
        """Change what is said of a tenant; None stays as it is, 0 and "" are no limit, no webhook, no secret of its
        own. Raises InvalidArgument."""
        request = tenants_pb2.UpdateTenantRequest(
            tenant=tenant,
            max_queued_jobs=max_queued_jobs,
            max_running_tasks=max_running_tasks,
            max_minutes_per_day=max_minutes_per_day,
            max_usd_per_day=max_usd_per_day,
            max_stored_bytes=max_stored_bytes,
            weight=weight,
            webhook_url=webhook_url,
            webhook_events=webhook_events,
            webhook_secret=webhook_secret,
            max_open_uploads=max_open_uploads,
        )
        return Tenant.from_message(self._connection.call(self._stub.UpdateTenant, request).tenant)

    def get(self, tenant: str) -> Tenant:
        """Return what is said of a tenant, or what holds for it where nothing is."""
        request = tenants_pb2.GetTenantRequest(tenant=tenant)
        return Tenant.from_message(self._connection.call(self._stub.GetTenant, request).tenant)

    def list(self) -> list[Tenant]:
        """Return the tenants of which something is said, by name."""
        request, found = tenants_pb2.ListTenantsRequest(), list[Tenant]()
        while True:
            answer = self._connection.call(self._stub.ListTenants, request)
            found += [Tenant.from_message(tenant) for tenant in answer.tenants]
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found


def read_usage(
    connection: Connection, since: date | None, until: date | None, tenant: str, operation: str
) -> tuple[list[Usage], list[QuotaUse]]:
    """Return what was done, the newest day first, and how much of its limits one tenant has used. Raises
    InvalidArgument."""
    days = {name: day.isoformat() for name, day in (("since", since), ("until", until)) if day is not None}
    request = usage_pb2.GetUsageRequest(tenant=tenant, operation=operation, **days)
    answer = connection.call(UsageServiceStub(connection.channel).GetUsage, request)
    quotas = [from_message(QuotaUse, quota) for quota in answer.quotas]
    return [from_message(Usage, line) for line in answer.usage], quotas
