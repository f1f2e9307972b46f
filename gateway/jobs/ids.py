"""Ids of jobs: unguessable, and sorted by the time at which they were made. Pure."""

import re
import secrets

ID = re.compile("[0-9a-f]{32}")


def first_id(now: float) -> str:
    """Return what sorts before every id made at this time or later, and after every earlier one."""
    return f"{int(now * 1000):012x}"


def id_time(job_id: str) -> float:
    """Return the time at which the id was made."""
    return int(job_id[:12], 16) / 1000


def new_id(now: float) -> str:
    """Return an unguessable id: 48 bits of milliseconds, so that ids sort by time, and 80 random ones, hexadecimal."""
    return first_id(now) + secrets.token_hex(10)
