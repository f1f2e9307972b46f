"""UsageService: what was done for tenants, by day."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta

from apigpu.v1 import usage_pb2 as pb2
from apigpu.v1 import usage_pb2_grpc
from gateway.callers import caller, check_tenant
from gateway.jobs.fairness import key_account
from gateway.tenants.limits import WorkLimits
from gateway.tenants.record import TenantRecord
from gateway.tenants.setup import Tenancy
from gateway.usage.counts import DayUsage, day_of
from servicekit.echo import brief
from servicekit.errors import InvalidArgument, PermissionDenied
from servicekit.interceptors import Context

DEFAULT_DAYS = 31
MAX_DAYS = 92
# A day of all tenants has one for each of them and each operation.
MAX_LINES = 20_000
FORMATS = ("", "json", "csv")


@dataclass(eq=False)
class UsageService(usage_pb2_grpc.UsageServiceServicer):
    """Serves apigpu.v1.UsageService."""

    tenancy: Tenancy

    async def GetUsage(self, request: pb2.GetUsageRequest, context: Context) -> pb2.GetUsageResponse:
        if request.format not in FORMATS:
            raise InvalidArgument.field("format", f"is {brief(request.format)!r}; give json or csv.")
        tenant = _tenant(request.tenant)
        lines: list[pb2.Usage] = []
        for day in _days(request):
            async for name, used in self._of_day(day, tenant):
                lines += _lines(day, name, used, request.operation)
            if len(lines) > MAX_LINES:
                text = f"has more than {MAX_LINES} lines with the days from there on; give a later one, or a tenant."
                raise InvalidArgument.field("since", text, reason="TOO_MANY_LINES")
        quotas = await self._quotas(tenant) if tenant else []
        return pb2.GetUsageResponse(usage=lines, quotas=quotas)

    async def _of_day(self, day: date, tenant: str) -> AsyncIterator[tuple[str, DayUsage]]:
        if tenant:
            yield tenant, await self.tenancy.ledger.read(day, tenant)
            return
        async for found in self.tenancy.ledger.all_of(day):
            yield found

    async def _quotas(self, tenant: str) -> list[pb2.QuotaUse]:
        quotas, called = self.tenancy.quotas, caller.get()
        found = _uses(self.tenancy.tenants.get(tenant), await quotas.used(tenant))
        if (key := called.limited_key) and called.tenant == tenant:
            found += _uses(quotas.limits_of(key_account(key)), await quotas.used_by_key(key), key)
        return found


def _uses(limits: TenantRecord | WorkLimits, used: Mapping[str, float], key: str = "") -> list[pb2.QuotaUse]:
    """Return the limits that there are, with how much of each is used."""
    known = {name: getattr(limits, name) for name in used}
    return [pb2.QuotaUse(quota=name, used=used[name], limit=known[name], key=key) for name in used if known[name]]


def _tenant(given: str) -> str:
    """Return whose usage is meant, "" for that of all. Raises InvalidArgument, and PermissionDenied for that of
    others."""
    called = caller.get()
    if not given:
        return called.sight or ""
    check_tenant(given)
    if called.may_see(given):
        return given
    text = "The usage of another tenant needs a key with the scope admin."
    raise PermissionDenied(text, reason="SCOPE_MISSING", metadata={"scope": "admin"})


def _days(request: pb2.GetUsageRequest) -> Iterator[date]:
    """Yield the days that are meant, the newest first. Raises InvalidArgument."""
    until = _day("until", request.until) or day_of(time.time())
    since = _day("since", request.since) or until - timedelta(days=min(DEFAULT_DAYS - 1, until.toordinal() - 1))
    count = (until - since).days + 1
    if count > MAX_DAYS:
        raise InvalidArgument.field("since", f"gives {count} days, and {MAX_DAYS} can be asked for at once.")
    if count < 1:
        raise InvalidArgument.field("since", f"is after the last day, {until}.")
    return (until - timedelta(days=back) for back in range(count))


def _day(name: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidArgument.field(name, f'is {brief(text)!r}; give a day as "2026-07-31".') from error


def _lines(day: date, tenant: str, used: DayUsage, wanted: str) -> Iterator[pb2.Usage]:
    for operation, counts in sorted(used.by_operation.items()):
        if wanted in ("", operation):
            figures = {name: round(figure, 6) for name, figure in asdict(counts).items()}
            yield pb2.Usage(date=day.isoformat(), tenant=tenant, operation=operation, **figures)
