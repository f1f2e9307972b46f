"""`api-gpu doctor`: what this machine can encode, and whether a gateway answers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from api_gpu.client import Client
from api_gpu.local.data_dir import DataDir
from servicekit.errors import FailedPrecondition, ServiceError

SECONDS = 60


def encoder_report(folder: DataDir) -> dict[str, Any]:
    """What `python -m encoder doctor` finds for an encoder of `up` in `folder`. Raises FailedPrecondition."""
    command = [sys.executable, "-m", "encoder", "doctor"]
    try:
        environment = {**os.environ, "WORK_DIR": str(folder.work.resolve())}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
        report = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise FailedPrecondition(f"the encoder's doctor did not end within {SECONDS} s.") from error
    except ValueError as error:
        raise FailedPrecondition(f"the encoder's doctor failed: {done.stderr.strip() or 'it said nothing'}") from error
    if not isinstance(report, dict):
        raise FailedPrecondition("the encoder's doctor gave no report.")
    return report


def gateway_report(client: Client, server: str) -> str:
    """Whether the gateway at `server` answers, in words."""
    try:
        health = client.health()
    except ServiceError as error:
        return f"no answer: {error.message}"
    return f"{health.status} at {server}, encoders {health.encoders}, slots {health.slots}"


def rows(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """A report as rows of names and words: a row for each value, for each list, and for each named thing in a list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from rows(inner, f"{name} {key}".strip().replace("_", " "))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, item in enumerate(value, 1):
            facts = (f"{key} {words(fact)}" for key, fact in item.items() if key != "name" and fact != "")
            yield f"{name} {item.get('name', number)}", ", ".join(facts)
    else:
        yield name, words(value)


def words(value: Any) -> str:
    """A value in words."""
    match value:
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(words(item) for item in value) or "none"
        case None:
            return "none"
        case _:
            return str(value)


def show(report: dict[str, Any], gateway: str) -> None:
    """Print the report: a table on a terminal, lines with tabs elsewhere."""
    found = [*rows(report), ("gateway", gateway)]
    if not sys.stdout.isatty():
        for row in found:
            print(*row, sep="\t")
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in found:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)
