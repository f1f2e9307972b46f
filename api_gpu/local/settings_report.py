"""`api-gpu config`: the settings that gateway and encoder would have here, and where each stands."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from api_gpu.cli.tables import print_rows
from servicekit.errors import ConfigError
from servicekit.process import module_command

HEADINGS = ("service", "setting", "value", "from")
TIMEOUT_SECONDS = 60

Report = Mapping[str, Mapping[str, Any]]


def settings_report(services: Iterable[str]) -> Report:
    """Return what `python -m SERVICE config` reports of each service. Raises ConfigError."""
    return {service: _report_of(service) for service in services}


def _report_of(service: str) -> Mapping[str, Any]:
    command = module_command(service, "config")
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    try:
        report: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise ConfigError(f"the {service} cannot tell its settings: {done.stderr.strip() or 'no message'}") from error
    return report


def show(report: Report) -> None:
    """Print a row for each setting."""
    print_rows(
        HEADINGS,
        (
            (service, setting["name"], setting["value"], setting["origin"])
            for service, found in report.items()
            for setting in found["settings"]
        ),
    )


def problems(report: Report) -> list[str]:
    """Return what is wrong with the settings of the services."""
    return [f"{service}: {found['problem']}" for service, found in report.items() if found["problem"]]
