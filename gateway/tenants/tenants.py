"""What is said of tenants, held in memory by every gateway: a job is held to it without a look at the store."""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.jetstream.keyvalue import KeyValue
from gateway.jetstream.records import Records
from gateway.jobs.hooks import DEFAULT_EVENTS, Webhook
from gateway.outputs.sealing import Sealer
from gateway.tenants.record import TenantRecord
from gateway.webhooks.signing import WebhookSigner
from servicekit.errors import FailedPrecondition, ResourceExhausted

log = structlog.get_logger("gateway.tenants")

PREFIX = "tenant."
MAX_TENANTS = 10_000


@dataclass(eq=False)
class Tenants:
    """The tenants of which something is said. Every change is a change of a record, which all gateways follow.

    `signer` signs for all others. Errors: Unavailable (the store does not answer).
    """

    records: Records[TenantRecord]
    sealer: Sealer
    signer: WebhookSigner
    _signers: dict[bytes, WebhookSigner] = field(default_factory=dict, init=False)

    @classmethod
    async def open(cls, bucket: KeyValue, sealer: Sealer, signer: WebhookSigner) -> "Tenants":
        """Read all records, and follow their changes from then on."""
        tenants = cls(Records(bucket, TenantRecord, "tenant", PREFIX), sealer, signer)
        await tenants.records.start()
        return tenants

    def get(self, tenant: str) -> TenantRecord:
        """Return what is said of a tenant, or what holds where nothing is."""
        return self.records.cached.get(tenant) or TenantRecord(tenant)

    def list(self) -> list[TenantRecord]:
        """Return those of which something is said, by name."""
        return [self.records.cached[name] for name in sorted(self.records.cached)]

    async def update(self, tenant: str, step: Callable[[TenantRecord], TenantRecord]) -> TenantRecord:
        """Change what is said of a tenant. Raise ResourceExhausted for too many of them."""
        if tenant not in self.records.cached and len(self.records.cached) >= MAX_TENANTS:
            text = f"Something is said of {MAX_TENANTS} tenants, and of more is not kept."
            raise ResourceExhausted(text, reason="TOO_MANY_TENANTS")
        changed = await self.records.update(tenant, step, TenantRecord(tenant))
        log.info("tenant changed", tenant=tenant)
        return changed

    def webhook(self, tenant: str, base_url: str) -> Webhook | None:
        """Return whom a job of the tenant is told to that names no webhook."""
        said = self.get(tenant)
        return Webhook(said.webhook_url, said.webhook_events or DEFAULT_EVENTS, base_url) if said.webhook_url else None

    def sealed(self, tenant: str, secrets: str) -> bytes:
        """Return secrets of webhooks, with commas between, as a record has them; b"" for none."""
        return self.sealer.seal(secrets.encode(), _place(tenant)) if secrets else b""

    def signer_of(self, tenant: str) -> WebhookSigner:
        """Return what signs calls of the webhooks of a tenant's jobs. Raise FailedPrecondition for secrets of its own
        that can no longer be read."""
        sealed = self.get(tenant).sealed_webhook_secrets
        if not sealed:
            return self.signer
        if sealed not in self._signers:
            self._signers[sealed] = WebhookSigner(self._unsealed(tenant, sealed).split(","))
        return self._signers[sealed]

    def _unsealed(self, tenant: str, sealed: bytes) -> str:
        try:
            return self.sealer.unseal(sealed, _place(tenant)).decode()
        except FailedPrecondition as error:
            text = f"The webhook secret of {tenant} was kept under another CREDENTIALS_SECRET; set it again."
            raise FailedPrecondition(text, reason="WEBHOOK_SECRET_SEALED") from error


def _place(tenant: str) -> str:
    return f"webhooks of {tenant}"
