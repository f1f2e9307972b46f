"""The search for offers at Vast.ai: its query, and the parsing of its rows."""

from collections.abc import Mapping
from typing import Any

from gateway.fleet.providers.vast.ranking import VastOffer, can_encode
from gateway.fleet.providers.vast.settings import VastSettings

# NVENC API 12.1, which PyNvVideoCodec needs.
MIN_DRIVER = 530
DRIVER_FACTOR = 1_000_000
# One for gRPC, one to spare: some hosts have fewer than they say.
MIN_PORTS = 2
MAX_OFFERS = 64


def search_query(settings: VastSettings, seconds: float) -> dict[str, Any]:
    """Return the query of the search API for offers that stand for `seconds`: the cheapest first, as it returns 64 at
    most.

    It cannot ask for NVENC; `is_acceptable` does.
    """
    named = {"gpu_name": {"in": [card.replace("_", " ") for card in settings.gpus]}} if settings.gpus else {}
    return named | {
        "verified": {"eq": True},
        "rentable": {"eq": True},
        "rented": {"eq": False},
        "external": {"eq": False},
        "num_gpus": {"eq": 1},
        "gpu_arch": {"eq": "nvidia"},
        "cpu_arch": {"eq": "amd64"},
        "driver_version": {"gte": MIN_DRIVER * DRIVER_FACTOR},
        "reliability": {"gte": settings.min_reliability},
        "inet_down": {"gte": settings.min_down_mbps},
        "inet_up": {"gte": settings.min_up_mbps},
        "direct_port_count": {"gte": MIN_PORTS},
        "disk_space": {"gte": settings.disk_gb},
        "dph_total": {"lte": settings.max_usd_per_hour},
        "duration": {"gte": seconds},
        "type": "on-demand",
        "order": [["dph_total", "asc"]],
        "limit": MAX_OFFERS,
        "allocated_storage": settings.disk_gb,
    }


def is_acceptable(offer: VastOffer, settings: VastSettings) -> bool:
    """Return True if an offer is what was asked for: the query cannot hold all of it, and the bill is ours."""
    return (
        can_encode(offer.card)
        and 0 < offer.usd_per_hour <= settings.max_usd_per_hour
        and offer.driver >= MIN_DRIVER
        and offer.reliability >= settings.min_reliability
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
