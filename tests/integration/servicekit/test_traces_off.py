"""Services without traces load nothing of OpenTelemetry."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_imported_where_traces_are_off(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    configured = (
        "from servicekit import tracing; tracing.configure('gateway', '1'); import gateway.app, encoder.server.app"
    )
    code = f"import sys; {configured}; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
