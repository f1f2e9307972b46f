"""`api-gpu doctor`: what this machine can encode, and whether a gateway answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from api_gpu.cli.options import Invocation
from api_gpu.local.data_dir import DataDir
from api_gpu.local.environment import inherited_by_encoders
from servicekit.errors import ConfigError, ServiceError
from servicekit.process import module_command

TIMEOUT_SECONDS = 60


def encoder_report(folder: DataDir) -> dict[str, Any]:
    """Return what `python -m encoder doctor` reports for an encoder of `up` in `folder`. Raises ConfigError."""
    environment = {"WORK_DIR": str(folder.work.resolve())} | inherited_by_encoders()
    command = module_command("encoder", "doctor")
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        report: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"the encoder's doctor did not end within {TIMEOUT_SECONDS} s") from error
    except ValueError as error:
        raise ConfigError(f"the encoder's doctor failed: {done.stderr.strip() or 'no message'}") from error
    return report


def check_gateway(target: Invocation) -> tuple[bool, str]:
    """Return True when the gateway answers and is healthy, and its state in words."""
    try:
        with target.client() as client:
            health = client.health()
    except ServiceError as error:
        return False, f"no answer: {error.message}"
    text = f"{health.status} at {target.target}, encoders {health.encoders}, slots {health.slots}"
    return health.status == "healthy", text


def rows(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the rows of a report, name and text: one for each value, for each list, for each named item of a list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from rows(inner, f"{name} {key}".strip().replace("_", " "))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, item in enumerate(value, 1):
            facts = (f"{key} {text_of(fact)}" for key, fact in item.items() if key != "name" and fact != "")
            yield f"{name} {item.get('name', number)}", ", ".join(facts)
    else:
        yield name, text_of(value)


def text_of(value: Any) -> str:
    """Return a value in words."""
    match value:
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(text_of(item) for item in value) or "none"
        case None:
            return "none"
        case _:
            return str(value)


def show(report: dict[str, Any]) -> None:
    """Print a report: a table on a terminal, lines with tabs elsewhere."""
    if not sys.stdout.isatty():
        for row in rows(report):
            print(*row, sep="\t")
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows(report):
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)
