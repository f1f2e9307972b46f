"""Rank offers by what they cost for the workload. Pure.

The lowest price is rarely the lowest bill: a slow line makes the set-up long, which is paid for and waited for, a weak
card makes the tasks long, and some hosts take money for traffic.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Chips for computing, and for mining, have no encoder: the first word of their names.
WITHOUT_NVENC = (
    *("A100", "A100X", "A800", "A30", "A30X", "H100", "H100X", "H800", "H20", "H200", "GH100", "GH200"),
    *("B100", "B200", "B300", "GB200", "GB300", "CMP"),
)
# Names that share their first word with cards that have one.
ALSO_WITHOUT = frozenset({"GT 1010", "GT 1030"})

# Encoders of a chip; one that is not named has one.
ENGINES = {
    "RTX PRO 6000": 4,
    "RTX 5090": 3,
    "RTX 5080": 2,
    "RTX 5070 Ti": 2,
    "RTX 4090": 2,
    "RTX 4080": 2,
    "RTX 4070 Ti": 2,
    "RTX 6000Ada": 3,
    "RTX 5000Ada": 2,
    "RTX 4500Ada": 2,
    "RTX 4000Ada": 2,
    "L40S": 3,
    "L40": 3,
    "L4": 2,
    "V100": 3,
    "P100": 3,
    "P40": 2,
    "Titan V": 3,
    "GTX 1080": 2,
    "GTX 1070": 2,
}


def can_encode(card: str) -> bool:
    """Return True if a card of this name has NVENC."""
    name = _plain(card)
    return name.split(" ")[0] not in WITHOUT_NVENC and name not in ALSO_WITHOUT


def engines(card: str) -> int:
    """Return how many encoders the card's chip has."""
    name = _plain(card)
    known = [count for start, count in ENGINES.items() if name == start or name.startswith(f"{start} ")]
    return max(known, default=1)


def _plain(card: str) -> str:
    return card.replace("_", " ").removeprefix("Tesla ").removeprefix("NVIDIA ").replace(" Ada", "Ada").strip()


SECONDS_OF_HOUR = 3600.0
MEGABITS_OF_GIGABYTE = 8000.0
# From create to the first task, without the image pull: the host is told, starts the container, the encoder starts.
BOOT_SECONDS = 40.0
# What an image registry serves one client; a faster line does not help.
MAX_PULL_MBPS = 1000.0
# Processor cores that decode and draw for one encoder of the card: fewer leave it waiting.
CORES_OF_ENGINE = 4.0
MIN_SPEED = 0.25


def price(value: Any) -> float:
    """Return a price in dollars; 0 for none. Raises TypeError or ValueError for what is no price."""
    found = float(value or 0.0)
    if not 0 <= found < math.inf:
        raise ValueError(f"{found} is no price")
    return found


def known_price(value: Any) -> float:
    """Return a price in dollars. Raises TypeError or ValueError without one: who asks for nothing does not say what it
    will cost."""
    if not (found := price(value)):
        raise ValueError("there is no price")
    return found


@dataclass(frozen=True, slots=True)
class VastOffer:
    """An offer of a host: dollars an hour with the disk that is wanted, megabits a second, dollars a gigabyte, major
    version of the driver (535)."""

    id: str
    machine: str
    host: str
    card: str
    usd_per_hour: float
    down_mbps: float
    up_mbps: float
    down_usd_per_gb: float = 0.0
    up_usd_per_gb: float = 0.0
    cores: float = CORES_OF_ENGINE
    driver: int = 0
    reliability: float = 1.0
    place: str = ""

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> "VastOffer":
        """Parse a row of the search. Raises KeyError, TypeError or ValueError for a malformed one."""
        return cls(
            id=str(int(row["id"])),
            machine=str(row["machine_id"]),
            host=str(row["host_id"]),
            card=str(row["gpu_name"]),
            usd_per_hour=known_price(row["dph_total"]),
            down_mbps=float(row["inet_down"]),
            up_mbps=float(row["inet_up"]),
            down_usd_per_gb=price(row.get("inet_down_cost")),
            up_usd_per_gb=price(row.get("inet_up_cost")),
            cores=float(row.get("cpu_cores_effective") or 1.0),
            driver=int(str(row["driver_version"]).split(".")[0]),
            reliability=float(row.get("reliability") or row.get("reliability2") or 0.0),
            place=str(row.get("geolocation") or ""),
        )


@dataclass(frozen=True, slots=True)
class Workload:
    """What an instance is wanted for: so many tasks, with gigabytes in and out for each.

    `task_seconds` is the time of one alone on a card with one encoder. `measured` is the time of one by card, beside
    the others of its instance: busy seconds of the slots by tasks. It counts for more.
    """

    tasks: float = 20.0
    task_seconds: float = 20.0
    gigabytes_in: float = 0.1
    gigabytes_out: float = 0.05
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """Seconds of set-up, seconds of one task while all slots are busy, and dollars for all of the workload."""

    offer: VastOffer
    setup_seconds: float
    task_seconds: float
    usd: float


def rank(offers: Sequence[VastOffer], work: Workload, image_gb: float, slots: int) -> list[RunEstimate]:
    """Return the offers, the cheapest for the work first. An instance pulls `image_gb`, and runs `slots` tasks."""
    return sorted((estimate(offer, work, image_gb, slots) for offer in offers), key=lambda run: (run.usd, run.offer.id))


def estimate(offer: VastOffer, work: Workload, image_gb: float, slots: int) -> RunEstimate:
    """Return price × (set-up + tasks), and the traffic.

    Tasks that run side by side share the card's encoders: with more of them, and cores to feed them, each takes less.
    """
    setup_seconds = BOOT_SECONDS + image_gb * MEGABITS_OF_GIGABYTE / min(max(offer.down_mbps, 1.0), MAX_PULL_MBPS)
    task_seconds = work.measured.get(offer.card) or work.task_seconds * slots / speed(offer, slots)
    moved_seconds = MEGABITS_OF_GIGABYTE * (
        work.gigabytes_in / max(offer.down_mbps, 1.0) + work.gigabytes_out / max(offer.up_mbps, 1.0)
    )
    seconds = setup_seconds + work.tasks * (task_seconds / slots + moved_seconds)
    traffic_usd = (image_gb + work.tasks * work.gigabytes_in) * offer.down_usd_per_gb
    traffic_usd += work.tasks * work.gigabytes_out * offer.up_usd_per_gb
    usd = offer.usd_per_hour * seconds / SECONDS_OF_HOUR + traffic_usd
    return RunEstimate(offer, setup_seconds, task_seconds, usd)


def speed(offer: VastOffer, slots: int) -> float:
    """Return the guessed speed until it is measured; 1 is one encoder of a card with cores enough."""
    return max(MIN_SPEED, min(float(engines(offer.card)), offer.cores / CORES_OF_ENGINE, float(slots)))
