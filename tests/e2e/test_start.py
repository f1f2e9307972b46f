"""Starts that must fail with one clear line, and the two ways to have NATS."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from api_gpu import Status
from api_gpu.local.certs import make_set
from tests.support.nats_server import serving
from tests.support.until import until_sync
from tools.pair import free_ports, running

START_SECONDS = 90


def failed_start(service, folder, **settings):
    """stderr of a service that does not start; it must say why with exit code 2."""
    environment = os.environ | {"LOGS_DIR": str(folder / "logs"), "DATA_DIR": str(folder)} | settings
    done = subprocess.run(
        [sys.executable, "-m", service], env=environment, capture_output=True, text=True, timeout=START_SECONDS
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def gateway_settings(tmp_path):
    certs = tmp_path / "certs"
    make_set(certs)
    http, grpc, health = map(str, free_ports(3))
    return {
        "X_API_KEY": "key",
        "PORT": http,
        "GRPC_PORT": grpc,
        "HEALTH_PORT": health,
        "METRICS_PORT": "0",
        "TLS_CERT": str(certs / "gateway.crt"),
        "TLS_KEY": str(certs / "gateway.key"),
        "TLS_CLIENT_CA": str(certs / "client-ca.crt"),
        "ENCODER_CA": str(certs / "ca.crt"),
    }


def test_nats_that_does_not_answer_is_named(tmp_path, gateway_settings):
    (port,) = free_ports(1)
    url = f"nats://127.0.0.1:{port}"
    text = failed_start("gateway", tmp_path, **gateway_settings, NATS_URL=url, NATS_CONNECT_SECONDS="1")
    assert f"NATS_URL={url}: no server answers there" in text


def test_a_nats_server_without_jetstream_is_told(tmp_path, gateway_settings):
    (port,) = free_ports(1)
    binary = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    command = [binary, "--addr", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            text = failed_start(
                "gateway", tmp_path, **gateway_settings, NATS_URL=f"nats://127.0.0.1:{port}", NATS_CONNECT_SECONDS="1"
            )
        finally:
            server.terminate()
    assert "is JetStream on" in text


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("PORT", "http", "PORT='http'"),
        ("X_API_KEY", "", "X_API_KEY"),
        ("TLS_CERT", "/nowhere/gateway.crt", "/nowhere/gateway.crt"),
    ],
)
def test_a_gateway_setting_that_cannot_be_used_is_named(tmp_path, gateway_settings, setting, value, words):
    assert words in failed_start("gateway", tmp_path, **gateway_settings | {setting: value})


@pytest.fixture
def nats_server(tmp_path):
    """A nats-server of somebody else's, as a cluster would be."""
    with serving(tmp_path / "nats") as url:
        yield url


def test_jobs_are_kept_by_the_nats_server_that_is_given(nats_server, tmp_path, media):
    with running(tmp_path / "pair", NATS_URL=nats_server, BATCH_SIZE="1") as pair, pair.client() as client:
        assert not (pair.data_dir / "nats").exists()
        job = client.caption(media.video, media.srt).wait()
        image = client.upload(media.image).name
        waiting = [client.img2vid([image], seconds=1, fps=12).id for _ in range(2)]
        pair.process.send_signal(signal.SIGKILL)
        pair.process.wait()
    with running(tmp_path / "pair", NATS_URL=nats_server, BATCH_SIZE="1") as pair, pair.client() as client:
        assert client.get(job.id).status is Status.COMPLETED
        until_sync(lambda: all(client.get(each).status is Status.COMPLETED for each in waiting))
