"""TenantService: what an operator says of tenants."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from apigpu.v1 import tenants_pb2 as pb2
from apigpu.v1 import tenants_pb2_grpc
from gateway.callers import check_tenant
from gateway.jobs import options
from gateway.services.limits import given_numbers
from gateway.services.tokens import PageTokens
from gateway.sources.guard import AddressGuard
from gateway.tenants.limits import WORK_LIMITS
from gateway.tenants.record import TenantRecord
from gateway.tenants.tenants import Tenants
from gateway.webhooks.signing import check_secret
from servicekit.errors import InvalidArgument
from servicekit.interceptors import Context

MIN_WEIGHT, MAX_WEIGHT = 0.01, 100.0
LIMITS = (*WORK_LIMITS, "max_stored_bytes", "max_open_uploads")
MAX_PAGE = 1000
# The old one and the new one while one is replaced, and some more.
MAX_SECRETS = 5


@dataclass(eq=False)
class TenantService(tenants_pb2_grpc.TenantServiceServicer):
    """Serves apigpu.v1.TenantService."""

    tenants: Tenants
    guard: AddressGuard
    tokens: PageTokens

    async def UpdateTenant(self, request: pb2.UpdateTenantRequest, context: Context) -> pb2.UpdateTenantResponse:
        check_tenant(request.tenant)
        step = await self._step(request)
        return pb2.UpdateTenantResponse(tenant=_message(await self.tenants.update(request.tenant, step)))

    async def GetTenant(self, request: pb2.GetTenantRequest, context: Context) -> pb2.GetTenantResponse:
        check_tenant(request.tenant)
        return pb2.GetTenantResponse(tenant=_message(self.tenants.get(request.tenant)))

    async def ListTenants(self, request: pb2.ListTenantsRequest, context: Context) -> pb2.ListTenantsResponse:
        size = request.page_size or MAX_PAGE
        if not 0 < size <= MAX_PAGE:
            raise InvalidArgument.field("page_size", f"is {size}; give 1 to {MAX_PAGE}.")
        place = self.tokens.read(request.page_token, "tenants")
        found = [tenant for tenant in self.tenants.list() if tenant.tenant > place]
        after = found[size - 1].tenant if len(found) > size else ""
        token = self.tokens.make(after, "tenants")
        return pb2.ListTenantsResponse(tenants=map(_message, found[:size]), next_page_token=token)

    async def _step(self, request: pb2.UpdateTenantRequest) -> Callable[[TenantRecord], TenantRecord]:
        """Return the change that is asked for. Raises InvalidArgument."""
        changes: dict[str, Any] = given_numbers(request, (*LIMITS, "weight"))
        weight = changes.get("weight", MIN_WEIGHT)
        if not MIN_WEIGHT <= weight <= MAX_WEIGHT:
            raise InvalidArgument.field("weight", f"is {weight:g}; give {MIN_WEIGHT:g} to {MAX_WEIGHT:g}.")
        if request.HasField("webhook_url"):
            changes["webhook_url"] = url = request.webhook_url.strip()
            changes["webhook_events"] = ()
            if url:
                await options.check_url(options.URL, url, self.guard)
        if request.webhook_events:
            changes["webhook_events"] = options.checked_events(request.webhook_events)
        if request.HasField("webhook_secret"):
            secrets = _secrets(request.webhook_secret)
            changes["sealed_webhook_secrets"] = self.tenants.sealed(request.tenant, secrets)

        def step(before: TenantRecord) -> TenantRecord:
            after = replace(before, **changes)
            if after.webhook_events and not after.webhook_url:
                text = f"is missing; give it with {options.EVENT_NAMES}, or leave both out."
                raise InvalidArgument.field(options.URL, text)
            return after

        return step


def _secrets(text: str) -> str:
    """Return secrets of webhooks with commas between. Raises InvalidArgument, which does not tell them."""
    given = [part.strip() for part in text.split(",") if part.strip()]
    if len(given) > MAX_SECRETS:
        raise InvalidArgument.field("webhook_secret", f"has {len(given)} secrets and {MAX_SECRETS} are the most.")
    for secret in given:
        try:
            check_secret(secret)
        except ValueError as error:
            raise InvalidArgument.field("webhook_secret", f"is none: {error}.") from error
    return ",".join(given)


def _message(tenant: TenantRecord) -> pb2.Tenant:
    return pb2.Tenant(
        tenant=tenant.tenant,
        **{name: getattr(tenant, name) for name in LIMITS},
        weight=tenant.weight,
        webhook_url=tenant.webhook_url,
        webhook_events=tenant.webhook_events,
        has_webhook_secret=bool(tenant.sealed_webhook_secrets),
    )
