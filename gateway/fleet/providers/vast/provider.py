"""Vast.ai: instances of many hosts, rented by the second. An instance runs our image as it is; its port for gRPC is
mapped to one of the host's public address."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import structlog
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from gateway.fleet.autoscaler import Offer
from gateway.fleet.instances.credentials import LaunchSpec, issue, open_encoder
from gateway.fleet.instances.instance import Instance, is_label_of
from gateway.fleet.providers.base import (
    HTTPS,
    LaunchUnknown,
    ListedInstance,
    OfferGone,
    ProviderContext,
    ProviderSettings,
)
from gateway.fleet.providers.vast.client import REFUSED, VastClient
from gateway.fleet.providers.vast.ranking import RunEstimate, VastOffer, Workload, can_encode, price, rank
from gateway.workers.base import Encoder
from servicekit.backoff import Backoff, Cooldowns
from servicekit.config import CommaList
from servicekit.errors import ServiceError

log = structlog.get_logger("gateway.fleet.vast")

NAME = "vast"
PORT = 50052
SETUP_SECONDS = 120.0
OFFERS_SECONDS = 30.0
# How long the search may still return an offer that is gone.
GONE_SECONDS = 60.0
# Tasks that took less were sent away by a broken machine, whose card must not look fast.
MIN_TASK_SECONDS = 0.5
# An instance that no gateway has called for so long ends by itself: they do so every few seconds.
IDLE_EXIT_SECONDS = 1800
BLACKLIST = Backoff(15 * 60.0, 24 * 3600.0, jitter=0.0)
# States of which the API says that they never become "running" again.
DEAD = ("exited", "unknown", "offline")
# What Docker says of an image that cannot be had stands in the message of an instance that stays "loading".
DOCKER_FAULT = "error response from daemon"
# NVENC API 12.1, which PyNvVideoCodec needs.
MIN_DRIVER = 530
DRIVER_FACTOR = 1_000_000
# One for gRPC, one to spare: some hosts have fewer than they say.
MIN_PORTS = 2
MAX_OFFERS = 64


class VastSettings(ProviderSettings):
    """Read the settings of Vast.ai; docs/reference/settings.md tells of each, as a test holds."""

    model_config = SettingsConfigDict(env_prefix="VAST_")

    api_key: SecretStr = SecretStr("")
    worker_image: Annotated[str, Field(validate_default=True)] = ""
    image_gb: Annotated[float, Field(gt=0)] = 1.0
    url: Annotated[str, Field(pattern=HTTPS)] = "https://console.vast.ai"
    gpus: CommaList[str] = ()
    max_usd_per_hour: Annotated[float, Field(gt=0)] = 0.5
    min_reliability: Annotated[float, Field(ge=0, le=1)] = 0.98
    min_down_mbps: Annotated[float, Field(ge=0)] = 200.0
    min_up_mbps: Annotated[float, Field(ge=0)] = 100.0
    disk_gb: Annotated[float, Field(ge=8)] = 20.0
    slots: Annotated[int, Field(ge=1, le=64)] = 3

    @field_validator("worker_image")
    @classmethod
    def _has_image(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("api_key", SecretStr("")).get_secret_value():
            raise ValueError("give the encoder's image, as VAST_API_KEY is set")
        return value

    @property
    def is_configured(self) -> bool:
        """Whether machines can be rented."""
        return bool(self.api_key.get_secret_value())

    def open(self, context: ProviderContext) -> "VastProvider":
        """Return the provider of the account that VAST_API_KEY opens."""
        return VastProvider(VastClient(self.url, self.api_key.get_secret_value()), self, context)

    def query(self, seconds: float) -> dict[str, Any]:
        """Return the query of the search API for offers that stand for `seconds`: the cheapest first, as it returns 64
        at most.

        It cannot ask for NVENC; `accepts` does.
        """
        named = {"gpu_name": {"in": [card.replace("_", " ") for card in self.gpus]}} if self.gpus else {}
        return named | {
            "verified": {"eq": True},
            "rentable": {"eq": True},
            "rented": {"eq": False},
            "external": {"eq": False},
            "num_gpus": {"eq": 1},
            "gpu_arch": {"eq": "nvidia"},
            "cpu_arch": {"eq": "amd64"},
            "driver_version": {"gte": MIN_DRIVER * DRIVER_FACTOR},
            "reliability": {"gte": self.min_reliability},
            "inet_down": {"gte": self.min_down_mbps},
            "inet_up": {"gte": self.min_up_mbps},
            "direct_port_count": {"gte": MIN_PORTS},
            "disk_space": {"gte": self.disk_gb},
            "dph_total": {"lte": self.max_usd_per_hour},
            "duration": {"gte": seconds},
            "type": "on-demand",
            "order": [["dph_total", "asc"]],
            "limit": MAX_OFFERS,
            "allocated_storage": self.disk_gb,
        }

    def accepts(self, offer: VastOffer) -> bool:
        """Return True if an offer is what was asked for: the query cannot hold all of it, and the bill is ours."""
        return (
            can_encode(offer.card)
            and offer.usd_per_hour <= self.max_usd_per_hour
            and offer.driver >= MIN_DRIVER
            and offer.reliability >= self.min_reliability
        )


@dataclass(eq=False)
class VastProvider:
    """Rent instances at Vast.ai. Tasks have the gateway's two limits: with less an instance would refuse what is taken
    here."""

    client: VastClient
    settings: VastSettings
    context: ProviderContext
    offers_seconds: float = OFFERS_SECONDS
    gone_seconds: float = GONE_SECONDS
    clock: Callable[[], float] = time.monotonic
    name = NAME
    setup_seconds = SETUP_SECONDS

    def __post_init__(self) -> None:
        self.slots, self.max_usd_per_hour = self.settings.slots, self.settings.max_usd_per_hour
        self._workload = Workload()
        self._blacklist = Cooldowns(BLACKLIST)
        self._gone = Cooldowns(Backoff(self.gone_seconds, self.gone_seconds, jitter=0.0))
        self._search: tuple[float, list[VastOffer]] | None = None

    def prepare(self, label: str) -> LaunchSpec:
        """Issue the credentials of an instance."""
        context = self.context
        # One that is old ends with its last task.
        life_seconds = context.start_seconds + context.max_age_seconds + context.max_task_seconds
        return issue(label, life_seconds, context.gateway_networks)

    def encoder(self, instance: Instance) -> Encoder:
        if instance.access is None:
            raise ValueError(f"the record of instance {instance.id} has no credentials")
        return open_encoder(instance.address, instance.id, instance.access)

    async def offers(self) -> Sequence[Offer]:
        """Return the offers, the cheapest for the workload first; searched every `offers_seconds` at most."""
        now = self.clock()
        if self._search is None or now - self._search[0] >= self.offers_seconds:
            query = self.settings.query(self.context.max_age_seconds)
            self._search = (now, self._read(await self.client.search(query)))
        offers = [offer for offer in self._search[1] if not self._is_left_alone(offer, now)]
        return [self._offer(estimate) for estimate in rank(offers, self._workload, self.settings.image_gb, self.slots)]

    def set_workload(self, tasks: float, task_seconds: float) -> None:
        """Rank offers for this work from now on."""
        self._workload = replace(self._workload, tasks=tasks, task_seconds=task_seconds)

    def record_outcome(self, instance: Instance) -> None:
        """Count its seconds per task for offers of the same card, the last instance for a half."""
        if instance.tasks == 0 or instance.busy_seconds / instance.tasks < MIN_TASK_SECONDS:
            return
        card, seconds = instance.description.partition(", ")[0], instance.busy_seconds / instance.tasks
        known = self._workload.measured.get(card, seconds)
        self._workload = replace(self._workload, measured={**self._workload.measured, card: (known + seconds) / 2})

    async def create(self, offer: Offer, launch: LaunchSpec) -> str:
        """Create an instance that runs the encoder's image; see base.InstanceProvider."""
        order = {
            "client_id": "me",
            "image": self.settings.worker_image,
            "label": launch.label,
            "disk": self.settings.disk_gb,
            "runtype": "args",  # the image's own command, and neither SSH nor Jupyter beside it
            "target_state": "running",
            "cancel_unavail": True,
            "env": {f"-p {PORT}:{PORT}": "1"} | self._environment() | launch.environment,
        }
        try:
            number = await self.client.create(offer.id, order)
        except ServiceError as error:
            if isinstance(error, OfferGone | LaunchUnknown) or error.reason == REFUSED:
                self._gone.prune(self.clock())
                self._gone.add(offer.id, self.clock())
            raise
        self._search = None
        return number

    async def list_instances(self) -> Sequence[ListedInstance]:
        """Return our instances. An order names no price, so one that rose since the search shows here: it is a fault
        if it is above `max_usd_per_hour`."""
        rows = await self.client.instances()
        ours = [row for row in rows if is_label_of(self.context.fleet_name, str(row.get("label") or ""))]
        return [_listed(row, self.max_usd_per_hour) for row in ours]

    async def destroy(self, provider_id: str) -> None:
        await self.client.destroy(provider_id)

    def blacklist(self, instance: Instance) -> None:
        """Leave the machine alone, and all of its host if that has another one on the blacklist."""
        now, host = self.clock(), instance.host.partition("/")[0]
        self._blacklist.prune(now)
        others = [name for name in self._blacklist.active(now) if name.startswith(f"{host}/") and name != instance.host]
        seconds = self._blacklist.add(instance.host, now)
        if others:
            self._blacklist.add(host, now)
        log.warning("host blacklisted", provider=NAME, host=instance.host, seconds=seconds, error=instance.reason)

    async def close(self) -> None:
        await self.client.close()

    def _environment(self) -> dict[str, str]:
        # A machine whose card does not encode is of no use at its price: let it fail, and be blacklisted.
        return {
            "PORT": str(PORT),
            "HOST": "0.0.0.0",
            "BATCH_SIZE": str(self.slots),
            "CODEC": "nvenc",
            "IDLE_EXIT_SECONDS": str(IDLE_EXIT_SECONDS),
            "MAX_TASK_SECONDS": str(self.context.max_task_seconds),
            "MAX_INPUT_BYTES": str(self.context.max_input_bytes),
        }

    def _read(self, rows: Sequence[Mapping[str, Any]]) -> list[VastOffer]:
        offers = []
        for row in rows:
            try:
                offers.append(VastOffer.parse(row))
            except (KeyError, TypeError, ValueError) as error:
                log.warning("ignoring malformed offer", provider=NAME, error=repr(error))
        return [offer for offer in offers if self.settings.accepts(offer)]

    def _is_left_alone(self, offer: VastOffer, now: float) -> bool:
        names = (f"{offer.host}/{offer.machine}", offer.host)
        return self._gone.is_active(offer.id, now) or any(self._blacklist.is_active(name, now) for name in names)

    def _offer(self, estimate: RunEstimate) -> Offer:
        offer = estimate.offer
        return Offer(
            provider=NAME,
            id=offer.id,
            usd_per_hour=offer.usd_per_hour,
            setup_seconds=estimate.setup_seconds,
            slots=self.slots,
            task_seconds=estimate.task_seconds,
            host=f"{offer.host}/{offer.machine}",
            description=", ".join(filter(None, (offer.card, offer.place))),
        )


def _listed(row: Mapping[str, Any], max_usd_per_hour: float) -> ListedInstance:
    try:
        usd_per_hour = price(row.get("dph_total"))
    except (TypeError, ValueError):
        usd_per_hour = 0.0  # not known: that of the offer holds
    return ListedInstance(
        provider_id=str(row["id"]),
        label=str(row["label"]),
        address=_address(row) if row.get("actual_status") == "running" else "",
        usd_per_hour=usd_per_hour,
        fault=_fault(row) or (f"it costs ${usd_per_hour:.3f} an hour" if usd_per_hour > max_usd_per_hour else ""),
    )


def _address(row: Mapping[str, Any]) -> str:
    """Return host:port of the encoder, empty until both are known."""
    host = str(row.get("public_ipaddr") or "").strip()
    mapped = (row.get("ports") or {}).get(f"{PORT}/tcp") or [{}]
    port = mapped[0].get("HostPort")
    if not host or not port:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _fault(row: Mapping[str, Any]) -> str:
    status, message = str(row.get("actual_status") or ""), str(row.get("status_msg") or "").strip()
    if status in DEAD or row.get("intended_status") == "stopped":
        return f"{status or 'stopped'}: {message}" if message else status or "stopped"
    return message if DOCKER_FAULT in message.lower() else ""
