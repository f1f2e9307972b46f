"""Which offer is the best for the work: a pure function of the offers and of what they are wanted for.

The lowest price is rarely the lowest bill: a slow line makes the set-up long, which is paid for and waited for, a weak
card makes the tasks long, and some hosts take money for traffic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    """Whether the card has NVENC, as far as its name tells."""
    name = _plain(card)
    return name.split(" ")[0] not in WITHOUT_NVENC and name not in ALSO_WITHOUT


def engines(card: str) -> int:
    """How many streams the card's chip encodes side by side."""
    name = _plain(card)
    known = [count for start, count in ENGINES.items() if name == start or name.startswith(f"{start} ")]
    return max(known, default=1)


def _plain(card: str) -> str:
    return card.replace("_", " ").removeprefix("Tesla ").removeprefix("NVIDIA ").replace(" Ada", "Ada").strip()


SECONDS_OF_HOUR = 3600.0
MEGABITS_OF_GIGABYTE = 8000.0
# From the order to the first task, without the image: the host hears of it, starts the container, the encoder starts.
BOOT_SECONDS = 40.0
# What a registry gives one client; a faster line does not help.
MAX_PULL_MBPS = 1000.0
# Processor cores that decode and draw for one encoder of the card: fewer leave it waiting.
CORES_OF_ENGINE = 4.0
LEAST_SPEED = 0.25


@dataclass(frozen=True, slots=True)
class VastOffer:
    """An offer of a host, in our terms: dollars an hour with the disk that was asked for, megabits a second, dollars a
    gigabyte, driver as its first number (535)."""

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


@dataclass(frozen=True, slots=True)
class Workload:
    """What a machine is wanted for: so many tasks, with gigabytes in and out for each. `task_seconds` is what one takes
    alone on a card with one encoder, `measured` what one took on cards that were tried, beside the others of its
    machine: the busy seconds of the slots by the tasks. That counts for more."""

    tasks: float = 20.0
    task_seconds: float = 20.0
    gigabytes_in: float = 0.1
    gigabytes_out: float = 0.05
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What an offer comes to: seconds of set-up, seconds of one task while all slots are busy, dollars for all of the
    work."""

    ask: VastOffer
    setup_seconds: float
    task_seconds: float
    usd: float


def rank(asks: Sequence[VastOffer], work: Workload, image_gb: float, slots: int) -> list[RunEstimate]:
    """The offers, the cheapest for the work first. A machine runs `slots` tasks at once, and pulls `image_gb` first."""
    return sorted((estimate(ask, work, image_gb, slots) for ask in asks), key=lambda found: (found.usd, found.ask.id))


def estimate(ask: VastOffer, work: Workload, image_gb: float, slots: int) -> RunEstimate:
    """Price × (set-up + tasks), and the traffic. Tasks that run side by side share the card's encoders, so a card that
    has more of them, and cores to feed them, takes less for each."""
    setup_seconds = BOOT_SECONDS + image_gb * MEGABITS_OF_GIGABYTE / min(max(ask.down_mbps, 1.0), MAX_PULL_MBPS)
    task_seconds = work.measured.get(ask.card) or work.task_seconds * slots / speed(ask, slots)
    moved_seconds = MEGABITS_OF_GIGABYTE * (
        work.gigabytes_in / max(ask.down_mbps, 1.0) + work.gigabytes_out / max(ask.up_mbps, 1.0)
    )
    seconds = setup_seconds + work.tasks * (task_seconds / slots + moved_seconds)
    traffic_usd = (image_gb + work.tasks * work.gigabytes_in) * ask.down_usd_per_gb
    traffic_usd += work.tasks * work.gigabytes_out * ask.up_usd_per_gb
    usd = ask.usd_per_hour * seconds / SECONDS_OF_HOUR + traffic_usd
    return RunEstimate(ask, setup_seconds, task_seconds, usd)


def speed(ask: VastOffer, slots: int) -> float:
    """How fast the machine gets through tasks, as a guess, until it is measured: 1 is one encoder of a card with cores
    enough."""
    return max(LEAST_SPEED, min(float(engines(ask.card)), ask.cores / CORES_OF_ENGINE, float(slots)))
