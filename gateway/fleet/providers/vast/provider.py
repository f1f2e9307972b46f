"""Vast.ai: machines of many hosts, rented by the second. An instance runs our image as it is; its port for gRPC is
mapped to one of the host's public address."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from gateway.fleet.backoff import Blacklist
from gateway.fleet.instances.credentials import issue, open_encoder
from gateway.fleet.instances.instance import Instance, is_label_of
from gateway.fleet.providers.base import LaunchSpec, LaunchUnknown, ListedInstance, Offer, OfferGone
from gateway.fleet.providers.vast.client import REFUSED, VastClient
from gateway.fleet.providers.vast.ranking import RunEstimate, VastOffer, Workload, rank
from gateway.fleet.providers.vast.search import OfferFilter, read_offer
from gateway.workers.base import Encoder
from servicekit.config import Network
from servicekit.errors import ServiceError

log = structlog.get_logger("fleet")

NAME = "vast"
PORT = 50052
SETUP_SECONDS = 120.0
OFFERS_SECONDS = 30.0
GONE_SECONDS = 60.0
LIFE_SECONDS = 7 * 3600.0
# Tasks that took less were sent away by a broken machine, whose card must not look fast.
LEAST_TASK_SECONDS = 0.5
MAX_TASK_SECONDS = 3600.0
MAX_INPUT_BYTES = 8 * 1024**3
# A machine that no gateway has asked for so long ends by itself: they do so every few seconds.
IDLE_EXIT_SECONDS = 1800
AVOID_SECONDS = 15 * 60.0
AVOID_MOST_SECONDS = 24 * 3600.0
# States of which the API says that they never become "running" again.
DEAD = ("exited", "unknown", "offline")
# What Docker says of an image that cannot be had stands in the message of an instance that stays "loading".
DOCKER_FAULT = "error response from daemon"


class VastProvider:
    """See base.Provider. `fleet` is the name that our labels begin with. Offers are the better the more is known of the
    work: see `set_workload` and `record_outcome`."""

    name = NAME
    setup_seconds = SETUP_SECONDS

    def __init__(
        self,
        client: VastClient,
        image: str,
        fleet: str,
        wish: OfferFilter,
        image_gb: float = 1.0,
        slots: int = 3,
        life_seconds: float = LIFE_SECONDS,
        max_task_seconds: float = MAX_TASK_SECONDS,
        max_input_bytes: int = MAX_INPUT_BYTES,
        gateway_networks: Sequence[Network] = (),
        offers_seconds: float = OFFERS_SECONDS,
        gone_seconds: float = GONE_SECONDS,
        avoid_seconds: float = AVOID_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A machine's certificates are good for `life_seconds`, and it lets in calls from `gateway_networks`. Its tasks
        have the gateway's two limits: with less it would refuse what is taken here."""
        self.max_usd_per_hour = wish.max_usd_per_hour
        self._life_seconds = life_seconds
        self._gateway_networks = gateway_networks
        self._limits = {"MAX_TASK_SECONDS": str(max_task_seconds), "MAX_INPUT_BYTES": str(max_input_bytes)}
        self._work = Workload()
        self._client = client
        self._image = image
        self._fleet = fleet
        self._wish = wish
        self._image_gb = image_gb
        self.slots = slots
        self._offers_seconds = offers_seconds
        self._clock = clock
        self._machines = Blacklist(avoid_seconds, AVOID_MOST_SECONDS)
        self._hosts = Blacklist(avoid_seconds, AVOID_MOST_SECONDS)
        self._taken = Blacklist(gone_seconds, gone_seconds)
        self._asks: tuple[float, list[VastOffer]] | None = None

    def prepare(self, label: str) -> LaunchSpec:
        """See base.Provider."""
        issued = issue(label, self._life_seconds, self._gateway_networks)
        return LaunchSpec(label, issued.environment, issued.access)

    def encoder(self, machine: Instance) -> Encoder:
        """See base.Provider."""
        if machine.access is None:
            raise ValueError(f"the record of machine {machine.id} has no way in")
        return open_encoder(machine.address, machine.id, machine.access)

    async def offers(self) -> Sequence[Offer]:
        """See base.Provider. The market is asked every half minute at most."""
        now = self._clock()
        if self._asks is None or now - self._asks[0] >= self._offers_seconds:
            self._asks = (now, self._read(await self._client.search(self._wish.query())))
        asks = [ask for ask in self._asks[1] if not self._is_avoided(ask, now)]
        return [self._offer(found) for found in rank(asks, self._work, self._image_gb, self.slots)]

    def set_workload(self, tasks: float, task_seconds: float) -> None:
        """See base.Provider."""
        self._work = replace(self._work, tasks=tasks, task_seconds=task_seconds)

    def record_outcome(self, machine: Instance) -> None:
        """See base.Provider. It counts for offers of the same card, the last machine for a half."""
        if machine.tasks == 0 or machine.busy_seconds / machine.tasks < LEAST_TASK_SECONDS:
            return
        card, seconds = machine.description.partition(", ")[0], machine.busy_seconds / machine.tasks
        known = self._work.measured.get(card, seconds)
        self._work = replace(self._work, measured={**self._work.measured, card: (known + seconds) / 2})

    async def create(self, offer: Offer, launch: LaunchSpec) -> str:
        """See base.Provider."""
        order = {
            "client_id": "me",
            "image": self._image,
            "label": launch.label,
            "disk": self._wish.disk_gb,
            "runtype": "args",  # the image's own command, and neither SSH nor Jupyter beside it
            "target_state": "running",
            "cancel_unavail": True,
            "env": {f"-p {PORT}:{PORT}": "1"} | self._environment() | launch.environment,
        }
        try:
            number = await self._client.create(offer.id, order)
        except ServiceError as error:
            if isinstance(error, OfferGone | LaunchUnknown) or error.reason == REFUSED:
                # The search may tell of it for some time yet.
                self._taken.forget(self._clock())
                self._taken.add(offer.id, self._clock())
            raise
        self._asks = None
        return number

    async def list_instances(self) -> Sequence[ListedInstance]:
        """See base.Provider. An order names no price, so one that rose since the search is found here: it is a fault
        when it is above the most that may be paid."""
        rows = await self._client.instances()
        most = self._wish.max_usd_per_hour
        return [_found(row, most) for row in rows if is_label_of(self._fleet, str(row.get("label") or ""))]

    async def destroy(self, provider_id: str) -> None:
        """See base.Provider."""
        await self._client.destroy(provider_id)

    def blacklist(self, machine: Instance) -> None:
        """See base.Provider. The machine is left alone at once, all of its host when it is the second one."""
        now = self._clock()
        for kept in (self._machines, self._hosts):
            kept.forget(now)
        host = machine.host.partition("/")[0]
        is_one_of_many = any(name.startswith(f"{host}/") for name in self._machines.held(now) if name != machine.host)
        seconds = self._machines.add(machine.host, now)
        if is_one_of_many:
            self._hosts.add(host, now)
        log.warning("machine avoided", provider=NAME, host=machine.host, seconds=seconds, reason=machine.reason)

    async def close(self) -> None:
        """See base.Provider."""
        await self._client.close()

    def _environment(self) -> dict[str, str]:
        # A machine whose card does not encode is of no use at its price: let it fail, and be avoided.
        return {
            "PORT": str(PORT),
            "HOST": "0.0.0.0",
            "BATCH_SIZE": str(self.slots),
            "CODEC": "nvenc",
            "IDLE_EXIT_SECONDS": str(IDLE_EXIT_SECONDS),
            **self._limits,
        }

    def _read(self, rows: Sequence[Mapping[str, Any]]) -> list[VastOffer]:
        asks = []
        for row in rows:
            try:
                asks.append(read_offer(row))
            except (KeyError, TypeError, ValueError) as error:
                log.warning("offer cannot be read", provider=NAME, error=repr(error))
        return [ask for ask in asks if self._wish.suits(ask)]

    def _is_avoided(self, ask: VastOffer, now: float) -> bool:
        return (
            self._taken.holds(ask.id, now)
            or self._machines.holds(f"{ask.host}/{ask.machine}", now)
            or self._hosts.holds(ask.host, now)
        )

    def _offer(self, found: RunEstimate) -> Offer:
        ask = found.ask
        return Offer(
            provider=NAME,
            id=ask.id,
            usd_per_hour=ask.usd_per_hour,
            setup_seconds=found.setup_seconds,
            slots=self.slots,
            task_seconds=found.task_seconds,
            host=f"{ask.host}/{ask.machine}",
            description=", ".join(filter(None, (ask.card, ask.place))),
        )


def _found(row: Mapping[str, Any], max_usd_per_hour: float) -> ListedInstance:
    usd_per_hour = float(row.get("dph_total") or 0.0)
    return ListedInstance(
        provider_id=str(row["id"]),
        label=str(row["label"]),
        address=_address(row) if row.get("actual_status") == "running" else "",
        usd_per_hour=usd_per_hour,
        fault=_fault(row) or (f"it costs ${usd_per_hour:.3f} an hour" if usd_per_hour > max_usd_per_hour else ""),
    )


def _address(row: Mapping[str, Any]) -> str:
    """host:port of the encoder; empty until both are known."""
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
