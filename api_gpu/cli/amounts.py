"""Amounts in tables and lists: for people with their units and by the clock of this machine, where a program reads
them plain numbers and UTC."""

import sys
from datetime import datetime

KILO = 1000


def seconds_cell(seconds: float | None) -> str:
    """Return seconds: "1.2 s" for people, "1.200" elsewhere; "" for None."""
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if sys.stdout.isatty() else f"{seconds:.3f}"


def minutes_cell(seconds: float) -> str:
    """Return what lasts for minutes: "1.2 min" for people, the seconds elsewhere."""
    return f"{seconds / 60:.1f} min" if sys.stdout.isatty() else f"{seconds:.3f}"


def bytes_cell(size_bytes: int) -> str:
    """Return bytes: "59.5 MB" for people, all digits elsewhere."""
    if not sys.stdout.isatty():
        return str(size_bytes)
    if size_bytes < KILO:
        return f"{size_bytes} B"
    size: float = size_bytes
    for unit in ("kB", "MB", "GB"):
        size /= KILO
        if size < KILO:
            return f"{size:.1f} {unit}"
    return f"{size / KILO:.1f} TB"


def time_cell(time: datetime | None) -> str:
    """Return a time: for people that of their clock, elsewhere UTC; "" for None."""
    if time is None:
        return ""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}" if sys.stdout.isatty() else f"{time:%Y-%m-%d %H:%M:%S}Z"
