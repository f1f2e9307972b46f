"""Prometheus itself: its tool reads our rules and metrics, and it scrapes a real pair."""

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from servicekit.process import die_with_parent
from tests.support.missing import need
from tests.support.until import until_sync
from tools.pair import Pair, free_ports

pytestmark = pytest.mark.interop

ALERTS = Path(__file__).parents[2] / "deploy" / "monitoring" / "alerts.yml"
SCRAPE = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{alerts}"]
scrape_configs:
  - job_name: api-gpu-gateway
    static_configs: [{{targets: ["localhost:{gateway}"]}}]
  - job_name: api-gpu-encoder
    static_configs: [{{targets: ["localhost:{encoder}"]}}]
"""


def test_its_tool_finds_nothing_wrong_with_the_metrics(pair: Pair) -> None:
    need("promtool")
    for port in (pair.metrics_port, pair.encoder_metrics_port):
        text = httpx.get(f"http://localhost:{port}/metrics").text
        own = "\n".join(line for line in text.splitlines() if "api_gpu" in line or "grpc_server" in line) + "\n"
        done = subprocess.run(["promtool", "check", "metrics"], input=own, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_it_scrapes_a_pair_and_no_alert_fires(pair: Pair, tmp_path: Path) -> None:
    need("prometheus")
    (port,) = free_ports(1)
    rules = shutil.copy(ALERTS, tmp_path / "alerts.yml")
    config = tmp_path / "prometheus.yml"
    config.write_text(SCRAPE.format(alerts=rules, gateway=pair.metrics_port, encoder=pair.encoder_metrics_port))
    child = die_with_parent(
        (
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        )
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1") as api:

        def asked(path: str, **parameters: str) -> list[dict[str, object]]:
            try:
                answer = api.get(path, params=parameters)
            except httpx.TransportError:
                return []
            return list(answer.json()["data"].values())[-1] if answer.is_success else []

        with subprocess.Popen(child.command, preexec_fn=child.preexec, stderr=subprocess.DEVNULL) as process:
            try:
                until_sync(lambda: len(asked("/query", query="up == 1")) == 2)
                assert asked("/query", query="api_gpu_store_writable == 1")
                (group,) = asked("/rules")
                rules_told = group["rules"]
                assert isinstance(rules_told, list)
                until_sync(lambda: all(rule["health"] == "ok" for rule in asked("/rules")[0]["rules"]))  # type: ignore[attr-defined]
                assert not [alert for alert in asked("/alerts") if alert["state"] == "firing"]
            finally:
                process.terminate()
