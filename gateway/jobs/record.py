"""A job as it is stored: one record, which other versions may have written. Pure."""

import base64
import json
from dataclasses import asdict
from typing import Any

from gateway.engine.fields import known
from gateway.fleet.costs import Spell
from gateway.jobs.model import Failure, Job, Status, Task, Warning

# What from_json raises for a record that it cannot read.
UNREADABLE = (ValueError, KeyError, TypeError)


def to_json(job: Job) -> bytes:
    """The record of a job as it is stored."""
    record = asdict(job) | {"request": base64.b64encode(job.request).decode()}
    return json.dumps(record, separators=(",", ":")).encode()


def from_json(data: bytes) -> Job:
    """The job of a stored record. Raises UNREADABLE."""
    record = known(Job, json.loads(data))
    tasks = tuple(_task(entry) for entry in record["tasks"])
    return Job(**record | {"tasks": tasks, "request": base64.b64decode(record["request"])})


def _task(entry: dict[str, Any]) -> Task:
    failure = Failure(**known(Failure, entry["failure"])) if entry["failure"] else None
    # Records of before there were warnings have none.
    warnings = tuple(Warning(**known(Warning, warning)) for warning in entry.get("warnings", ()))
    spells = tuple(Spell(**known(Spell, spell)) for spell in entry.get("spells", ()))
    status = Status(entry["status"])
    parts = {"failure": failure, "status": status, "warnings": warnings, "spells": spells}
    return Task(**known(Task, entry) | parts)
