"""What gateway and encoder tell Prometheus, read from a real pair, by the parser of its own client."""

import json
import re
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from servicekit.errors import ConfigError, InvalidArgument
from servicekit.metrics import exported
from tools.pair import Pair, free_ports
from tools.samples import make_images

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
NAME = re.compile(r"\b(?:api_gpu|grpc_server|process)_\w+")


def scraped(port: int) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """The samples that are told at a port, by name and labels."""
    text = httpx.get(f"http://localhost:{port}/metrics").raise_for_status().text
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def value(samples: dict[str, dict[frozenset[tuple[str, str]], float]], name: str, **labels: str) -> float:
    return samples.get(name, {}).get(frozenset(labels.items()), 0.0)


def test_a_job_is_counted_by_gateway_and_encoder(pair: Pair, tmp_path: Path) -> None:
    gateway, encoder = scraped(pair.metrics_port), scraped(pair.encoder_metrics_port)
    with pair.client() as client:
        client.img2vid([make_images(tmp_path)[0]], seconds=0.2, fps=10).wait()
        (tmp_path / "broken.png").write_text("no image")
        with pytest.raises(InvalidArgument):
            client.img2vid([tmp_path / "broken.png"], seconds=0.2).wait()
    after, encoder_after = scraped(pair.metrics_port), scraped(pair.encoder_metrics_port)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(gateway, name, **labels)

    assert more("api_gpu_task_attempts_total", operation="img2vid", outcome="completed") == 1
    assert more("api_gpu_task_attempts_total", operation="img2vid", outcome="failed") == 1
    assert more("api_gpu_task_frames_total", operation="img2vid", codec="x264") == 2
    assert more("api_gpu_job_wait_seconds_count", operation="img2vid") == 2
    assert more("api_gpu_task_result_bytes_total", operation="img2vid") > 0
    (encoder_name,) = {dict(labels)["encoder"] for labels in after["api_gpu_encoder_attempts_total"]}
    assert more("api_gpu_encoder_attempts_total", encoder=encoder_name, outcome="completed") == 1
    assert more("api_gpu_encoder_attempts_total", encoder=encoder_name, outcome="failed") == 1
    sent = more("api_gpu_transfer_bytes_total", direction="out", peer="encoder")
    assert 0 < sent <= more("api_gpu_transfer_bytes_total", direction="in", peer="client")  # in messages
    made = more("api_gpu_task_result_bytes_total", operation="img2vid")
    assert more("api_gpu_transfer_bytes_total", direction="in", peer="encoder") == made
    submitted = {"grpc_service": "apigpu.v1.JobService", "grpc_method": "SubmitJob", "grpc_code": "OK"}
    assert more("grpc_server_handled_total", **submitted) == 2
    assert value(after, "api_gpu_encoders") == 1
    assert value(after, "api_gpu_store_writable") == 1
    assert value(after, "api_gpu_data_free_bytes") > 0

    counted = {"operation": "img2vid", "code": "INVALID_ARGUMENT"}
    tasks = "api_gpu_encoder_tasks_total"
    assert value(encoder_after, tasks, **counted) - value(encoder, tasks, **counted) == 1
    moved = "api_gpu_encoder_transfer_bytes_total"
    assert value(encoder_after, moved, direction="in") - value(encoder, moved, direction="in") == sent
    assert value(encoder_after, moved, direction="out") - value(encoder, moved, direction="out") == made
    assert value(encoder_after, "api_gpu_encoder_own_slots", state="total") > 0


def test_methods_that_callers_invent_are_one(pair: Pair) -> None:
    with grpc.insecure_channel(f"localhost:{pair.health_port}") as channel:
        for number in range(3):
            call: Any = channel.unary_unary(f"/made.Up{number}/Call")
            with pytest.raises(grpc.RpcError):
                call(b"")
    samples = scraped(pair.metrics_port)
    labels = {"grpc_service": "unknown", "grpc_method": "unknown", "grpc_code": "UNIMPLEMENTED"}
    assert value(samples, "grpc_server_handled_total", **labels) >= 3
    assert not any("made.Up" in str(key) for key in samples["grpc_server_handled_total"])


def test_a_look_at_an_encoder_is_no_line_of_its_log(pair: Pair) -> None:
    samples = scraped(pair.encoder_metrics_port)
    asked = {"grpc_service": "apigpu.encoder.v1.EncoderService", "grpc_method": "GetCapabilities", "grpc_code": "OK"}
    assert value(samples, "grpc_server_handled_total", **asked) >= 1
    lines = (pair.data_dir / "logs" / "encoder.log").read_text().splitlines()
    told = [line for line in map(json.loads, lines) if "GetCapabilities" in line.get("method", "")]
    assert all(line["code"] != "OK" for line in told)  # one that fails is told


def test_nothing_else_is_served_there(pair: Pair) -> None:
    assert httpx.get(f"http://localhost:{pair.metrics_port}/").status_code == 404


async def test_a_port_that_is_taken_is_told() -> None:
    (port,) = free_ports(1)
    async with exported("127.0.0.1", port, 1):
        with pytest.raises(ConfigError, match=f"METRICS_PORT={port}: cannot listen on 127.0.0.1"):
            async with exported("127.0.0.1", port, 1):
                pass
        # A second service of this machine has the same default.
        async with exported("127.0.0.1", None, port), httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/metrics")).is_success


@pytest.mark.parametrize("name", ["alerts.yml", "board.json"])
def test_alerts_and_board_ask_for_metrics_that_there_are(pair: Pair, name: str) -> None:
    known = set(scraped(pair.metrics_port)) | set(scraped(pair.encoder_metrics_port))
    families = "".join(
        httpx.get(f"http://localhost:{port}/metrics").text for port in (pair.metrics_port, pair.encoder_metrics_port)
    )
    asked = set(NAME.findall((MONITORING / name).read_text()))
    assert asked
    # Of those with labels there is a head alone before the first is counted.
    bare = {each: each.removesuffix("_bucket").removesuffix("_total") for each in asked - known}
    assert not {each for each, name in bare.items() if f"# TYPE {name}" not in families}


def test_the_guide_tells_of_every_metric(pair: Pair) -> None:
    guide = (ROOT / "docs" / "guides" / "monitoring.md").read_text()
    for port in (pair.metrics_port, pair.encoder_metrics_port):
        text = httpx.get(f"http://localhost:{port}/metrics").text
        for name in re.findall(r"^# TYPE ((?:api_gpu|grpc_server)_\w+) ", text, re.MULTILINE):
            assert f"`{name}`" in guide, name
