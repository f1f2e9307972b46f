"""The search for offers at Vast.ai: its query, and the parsing of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.fleet.providers.vast.ranking import VastOffer, can_encode

# NVENC API 12.1, which PyNvVideoCodec needs.
MIN_DRIVER = 530
DRIVER_FACTOR = 1_000_000
# One for gRPC, one to spare: some hosts have fewer than they say.
MIN_PORTS = 2
MAX_OFFERS = 64


@dataclass(frozen=True, slots=True)
class OfferFilter:
    """What a host must have. `cards` are Vast.ai's names, empty for any with NVENC. It must stay on offer for
    `seconds`."""

    max_usd_per_hour: float
    cards: tuple[str, ...] = ()
    min_reliability: float = 0.98
    min_down_mbps: float = 200.0
    min_up_mbps: float = 100.0
    disk_gb: float = 20.0
    seconds: float = 6 * 3600.0

    def query(self) -> dict[str, Any]:
        """Return the query of the search API: the cheapest first, as it returns 64 at most.

        It cannot ask for NVENC; `accepts` does.
        """
        named = {"gpu_name": {"in": [card.replace("_", " ") for card in self.cards]}} if self.cards else {}
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
            "duration": {"gte": self.seconds},
            "type": "on-demand",
            "order": [["dph_total", "asc"]],
            "limit": MAX_OFFERS,
            "allocated_storage": self.disk_gb,
        }

    def accepts(self, offer: VastOffer) -> bool:
        """Return True if an offer is what was asked for: the query cannot hold all of it, and the bill is ours."""
        return (
            can_encode(offer.card)
            and 0 < offer.usd_per_hour <= self.max_usd_per_hour
            and offer.driver >= MIN_DRIVER
            and offer.reliability >= self.min_reliability
        )


def read_offer(row: Mapping[str, Any]) -> VastOffer:
    """Parse a row of the search. Raises KeyError, TypeError or ValueError for a malformed one."""
    return VastOffer(
        id=str(int(row["id"])),
        machine=str(row["machine_id"]),
        host=str(row["host_id"]),
        card=str(row["gpu_name"]),
        usd_per_hour=float(row["dph_total"]),
        down_mbps=float(row["inet_down"]),
        up_mbps=float(row["inet_up"]),
        down_usd_per_gb=float(row.get("inet_down_cost") or 0.0),
        up_usd_per_gb=float(row.get("inet_up_cost") or 0.0),
        cores=float(row.get("cpu_cores_effective") or 1.0),
        driver=int(str(row["driver_version"]).split(".")[0]),
        reliability=float(row.get("reliability") or row.get("reliability2") or 0.0),
        place=str(row.get("geolocation") or ""),
    )
