"""The market of the emulated Vast.ai: offers with all their fields, and the search in them.

Fields, their types and how a price is made up are those of rows that the real API answered; operators and special keys
are those that its SDK sends.
"""

import time
from itertools import count

HOURS_OF_MONTH = 720
MOST_OFFERS = 64
SPECIAL = {"order", "type", "limit", "allocated_storage", "disable_bundling"}
TYPES = ("on-demand", "ondemand", "bid", "reserved")
NUMBERS = count(11_684_700)

OFFER = {
    "bundle_id": 1598539855,
    "bw_nvlink": 0.0,
    "compute_cap": 890,
    "cpu_arch": "amd64",
    "cpu_cores": 96,
    "cpu_cores_effective": 24.0,
    "cpu_ghz": 2.3,
    "cpu_name": "AMD EPYC 7642 48-Core Processor",
    "cpu_ram": 64393,
    "cuda_max_good": 12.2,
    "direct_port_count": 249,
    "disk_bw": 2545.3,
    "disk_name": "INTEL SSDPE2KX080T8",
    "disk_space": 1607.875,
    "dlperf": 106.6,
    "dph_base": 0.25,
    "driver_version": "535.183.01",
    "duration": 13356528.5,
    "external": None,
    "geolocation": "Norway, NO",
    "gpu_arch": "nvidia",
    "gpu_display_active": False,
    "gpu_frac": 0.25,
    "gpu_lanes": 16,
    "gpu_mem_bw": 3108.4,
    "gpu_name": "RTX 4090",
    "gpu_ram": 24564,
    "gpu_total_ram": 24564,
    "has_avx": 1,
    "hosting_type": 0,
    "inet_down": 900.0,
    "inet_down_cost": 0.002,
    "inet_up": 700.0,
    "inet_up_cost": 0.003,
    "is_bid": False,
    "min_bid": 0.1,
    "mobo_name": "H12SSL",
    "num_gpus": 1,
    "os_version": "22.04",
    "pci_gen": 4.0,
    "pcie_bw": 12.3,
    "public_ipaddr": "127.0.0.1",
    "reliability": 0.995,
    "rentable": True,
    "rented": False,
    "score": 190.0,
    "static_ip": False,
    "storage_cost": 0.15,
    "total_flops": 82.9,
    "verification": "verified",
    "vms_enabled": False,
}


def offer(**changes):
    """An offer of a host of its own, unless `changes` say otherwise."""
    number = next(NUMBERS)
    return OFFER | {"id": number, "machine_id": number % 100_000, "host_id": number % 10_000} | changes


class BadQuery(Exception):
    """What the API answers with invalid_args."""


def search(offers, query):
    """The rows that a query finds, in its order, with the price for the disk that it names. Raises BadQuery."""
    if not isinstance(query, dict) or query.get("type", "on-demand") not in TYPES:
        raise BadQuery("Invalid query: must be dict of conditions")
    found = [_priced(row, float(query.get("allocated_storage", 5.0))) for row in offers]
    for field, conditions in query.items():
        if field not in SPECIAL:
            found = [row for row in found if _holds(row, field, conditions)]
    for field, direction in reversed(query.get("order", [["score", "desc"]])):
        found.sort(key=lambda row: row[field], reverse=direction == "desc")
    return found[: min(int(query.get("limit", MOST_OFFERS)), MOST_OFFERS)]


def _priced(row, gigabytes):
    storage = row["storage_cost"] * gigabytes / HOURS_OF_MONTH
    numbers = row["driver_version"].split(".")
    return row | {
        "ask_contract_id": row["id"],
        "storage_total_cost": storage,
        "dph_total": row["dph_base"] + storage,
        "dlperf_per_dphtotal": row["dlperf"] / (row["dph_base"] + storage),
        "driver_vers": int("".join(number.zfill(3) for number in numbers)),
        "verified": row["verification"] == "verified",
        "end_date": time.time() + row["duration"],
        "internet_down_cost_per_tb": row["inet_down_cost"] * 1000,
        "internet_up_cost_per_tb": row["inet_up_cost"] * 1000,
        "reliability2": row["reliability"],
    }


def _holds(row, field, conditions):
    if field not in row or not isinstance(conditions, dict):
        raise BadQuery(f"Invalid query: unknown field {field}")
    # Versions are compared as numbers; nobody's external is null.
    value = {"driver_version": row["driver_vers"], "external": bool(row["external"])}.get(field, row[field])
    return all(_compared(value, operator, wanted) for operator, wanted in conditions.items())


OPERATORS = {
    "eq": lambda value, wanted: value == wanted,
    "neq": lambda value, wanted: value != wanted,
    "gt": lambda value, wanted: value > wanted,
    "gte": lambda value, wanted: value >= wanted,
    "lt": lambda value, wanted: value < wanted,
    "lte": lambda value, wanted: value <= wanted,
    "in": lambda value, wanted: value in wanted,
    "notin": lambda value, wanted: value not in wanted,
}


def _compared(value, operator, wanted):
    if operator not in OPERATORS:
        raise BadQuery(f"Invalid query: unknown operator {operator}")
    if isinstance(wanted, str) and isinstance(value, (int, float)) and not isinstance(value, bool):
        wanted = float(wanted)  # the SDK sends numbers as it was given them
    return OPERATORS[operator](value, wanted)
