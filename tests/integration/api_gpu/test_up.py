"""`api-gpu up` as users run it: starts, ends, accidents."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from api_gpu import Client, Job, Status
from api_gpu.local.data_dir import DataDir, Serving
from api_gpu.local.up import UpSettings, start_message
from servicekit.errors import Unavailable
from tests.support.command_line import api_gpu
from tests.support.processes import alive
from tests.support.until import until_sync
from tools.pair import Pair, free_ports, running, start, stop, wait_until_up
from tools.samples import Samples

NAMES = (
    *("PORT", "GRPC_PORT", "HEALTH_PORT", "METRICS_PORT"),
    *("ENCODER_PORT", "ENCODER_HEALTH_PORT", "ENCODER_METRICS_PORT"),
)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pair that the tests here may ill-treat."""
    with running(tmp_path_factory.mktemp("own") / "data", ACK_WAIT_SECONDS="1") as pair:
        yield pair


def services(pair: Pair) -> dict[str, psutil.Process]:
    """The two children of `up`, by name."""
    found = {}
    for child in psutil.Process(pair.process.pid).children():
        with contextlib.suppress(psutil.Error, IndexError):  # it is starting, or ending
            found[child.cmdline()[3]] = child
    return found


def is_replaced(pair: Pair, service: str, victim: psutil.Process) -> bool:
    there = services(pair).get(service)
    return there is not None and there.pid != victim.pid


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def test_it_says_where_and_how(own: Pair) -> None:
    said = own.output
    for text in (
        own.http_url,
        f"{own.http_url}/ is the console",
        own.target,
        "curl -T",
        "buf curl",
        str(own.certificates),
        str(own.data_dir / "logs"),
    ):
        assert text in said
    assert own.key not in said
    assert header_in(said) == f"X-API-Key: {own.key}"
    assert oct((own.data_dir / "key").stat().st_mode & 0o777) == "0o600"
    assert {path.name for path in (own.data_dir / "logs").iterdir()} >= {"gateway.log", "encoder.log"}


def header_in(said: str, **environment: str) -> str:
    """What the shell makes of the header of the line with `curl -T`."""
    (word,) = re.findall(r"curl -T \S+ -H ('[^']*'|\"[^\"]*\")", said)
    done = subprocess.run(["sh", "-c", f"printf %s {word}"], env=os.environ | environment, capture_output=True)
    return done.stdout.decode()


def test_a_terminal_is_told_the_key(tmp_path: Path) -> None:
    folder, serving = DataDir(tmp_path), Serving(1, "http://localhost:3000", "localhost:50051")
    key = folder.ensure_key()
    settings = UpSettings(x_api_key=None)
    assert header_in(start_message(settings, serving, folder, is_terminal=True)) == f"X-API-Key: {key}"
    settings = UpSettings(x_api_key=SecretStr(" one , other"))
    assert header_in(start_message(settings, serving, folder, is_terminal=True)) == "X-API-Key: one"


def test_the_shell_finds_the_key_in_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, serving = DataDir(tmp_path), Serving(1, "http://localhost:3000", "localhost:50051")
    (tmp_path / "a secret").write_text("of-the-file,other")
    monkeypatch.setenv("X_API_KEY_FILE", str(tmp_path / "a secret"))
    said = start_message(UpSettings(), serving, folder, is_terminal=False)
    assert "of-the-file" not in said
    assert header_in(said) == "X-API-Key: of-the-file"


def test_commands_are_told_as_the_shell_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, serving = DataDir(tmp_path), Serving(1, "http://localhost:3000", "localhost:50051")
    folder.ensure_key()
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    said = start_message(UpSettings(), serving, folder, is_terminal=True)
    for name in ("api-gpu", "buf"):
        (found,) = re.findall(rf"(\S*{name}) (?:caption|curl)", said)
        assert Path(found).resolve() == (programs / name).resolve()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin")
    assert "here     api-gpu caption" in start_message(UpSettings(), serving, folder, is_terminal=True)


def test_a_second_one_is_refused_and_told_who_runs(own: Pair) -> None:
    second = start(own.data_dir / "second")
    stop(second)
    done = api_gpu(own, own.data_dir, "up")
    assert done.returncode == 2
    assert f"process {own.process.pid} serves {own.http_url} and {own.target}" in done.stderr
    with own.client() as client:
        assert client.health().status == "healthy"


@pytest.mark.parametrize("service", ["gateway", "encoder"])
def test_a_killed_service_is_started_again_and_its_job_completes(own: Pair, media: Samples, service: str) -> None:
    with own.client() as client:
        job = client.img2vid([media.images[0]], seconds=4)
        until(lambda: job.refresh().status is Status.IN_PROGRESS)
        until(lambda: service in services(own))
        victim = services(own)[service]
        victim.kill()
        done = job.wait()
        assert done.status is Status.COMPLETED
        until(lambda: is_replaced(own, service, victim))
    assert f"{service} ended (signal SIGKILL); starting it again" in own.output


def test_what_it_keeps_outlives_it_and_ctrl_c_ends_all_that_it_started(tmp_path: Path, media: Samples) -> None:
    logs, work = tmp_path / "logs", tmp_path / "work"
    with running(tmp_path / "data", LOGS_DIR=str(logs), WORK_DIR=str(work)) as first:
        kept = {path: path.read_bytes() for path in [*first.certificates.iterdir(), tmp_path / "data" / "key"]}
        with first.client() as client:
            asset = client.upload(media.video)
            client.img2vid([media.images[0]], seconds=0.1).wait()
        assert {path.name for path in logs.iterdir()} >= {"gateway.log", "encoder.log"}
        assert work.is_dir()
        assert f"logs         {logs}" in first.output
        assert not {"logs", "work"} & {path.name for path in first.data_dir.iterdir()}
    assert first.process.returncode == 0
    second = start(tmp_path / "data")
    wait_until_up(second)
    with second.client() as client:
        assert {path: path.read_bytes() for path in kept} == kept
        assert client.asset(asset.name).sha256 == asset.sha256
    family = psutil.Process(second.process.pid).children(recursive=True)
    assert len(family) >= 3
    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(60) == 0
    until_sync(lambda: not any(map(alive, family)))


def test_a_key_of_the_environment_wins(tmp_path: Path) -> None:
    with running(tmp_path / "data", X_API_KEY="of-the-environment") as pair:
        assert pair.key == ""
        assert api_gpu(pair, tmp_path, "jobs", X_API_KEY="of-the-environment").returncode == 0
        assert api_gpu(pair, tmp_path, "jobs").returncode == 1
        assert "of-the-environment" not in pair.output
        assert header_in(pair.output, X_API_KEY="of-the-environment,other") == "X-API-Key: of-the-environment"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("PORT", "99999", "PORT='99999'"),
        ("RATE_LIMIT_PER_MINUTE", "many", "RATE_LIMIT_PER_MINUTE='many'"),
        ("BATCH_SIZE", "none", "BATCH_SIZE='none'"),
    ],
)
def test_a_bad_setting_ends_it_with_the_text(tmp_path: Path, name: str, value: str, text: str) -> None:
    with pytest.raises(Unavailable, match=text), running(tmp_path / "data", **{name: value}):
        pass


def port_of(pair: Pair, name: str) -> str:
    ports = {
        "PORT": pair.http_url.rpartition(":")[2],
        "GRPC_PORT": pair.target.rpartition(":")[2],
        "HEALTH_PORT": str(pair.health_port),
        "ENCODER_HEALTH_PORT": str(pair.encoder_health_port),
        "METRICS_PORT": str(pair.metrics_port),
        "ENCODER_METRICS_PORT": str(pair.encoder_metrics_port),
    }
    return ports[name]


@pytest.mark.parametrize("name", ["PORT", "GRPC_PORT", "HEALTH_PORT", "ENCODER_HEALTH_PORT", "METRICS_PORT"])
def test_a_port_that_is_taken_ends_it_with_the_text(own: Pair, tmp_path: Path, name: str) -> None:
    """Also that of probes: the health of the other pair must not be taken for one's own."""
    taken = port_of(own, name)
    text = f"{name}={taken} cannot be listened on at .*: Address already in use; set another"
    with pytest.raises(Unavailable, match=text), running(tmp_path / "data", **{name: taken}):
        pass


def test_it_ends_too_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    """As in `api-gpu up 2>&1 | tee log`: Ctrl-C ends tee as well, and first. Here options win over the environment."""
    ports = dict(zip(NAMES, map(str, free_ports(len(NAMES))), strict=True))
    port = ports.pop("GRPC_PORT")
    environment = os.environ | ports | {"DATA_DIR": str(tmp_path), "X_API_KEY": "of-the-environment"}
    command = [sys.executable, "-m", "api_gpu", "up", "--key", "of-the-option", "--grpc-port", port]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as up:
        assert up.stdout is not None
        try:
            next(line for line in up.stdout if b"api-gpu is up" in line)
            assert jobs_at(f"localhost:{port}", "of-the-option", DataDir(tmp_path)) == []
            children = psutil.Process(up.pid).children(recursive=True)
            up.stdout.close()
            up.send_signal(signal.SIGINT)
            up.wait(60)
        finally:
            up.kill()
    until_sync(lambda: not any(map(alive, children)))


def jobs_at(target: str, key: str, folder: DataDir) -> list[Job]:
    files = (folder.certificates / name for name in ("ca.crt", "client.crt", "client.key"))
    with Client.connect(target, key, *files) as client:
        return list(client.jobs())


def test_the_terminal_reaches_up_alone(own: Pair) -> None:
    group = os.getpgid(own.process.pid)
    assert {name for name, child in services(own).items() if os.getpgid(child.pid) != group} == {"gateway", "encoder"}


def test_a_job_that_runs_may_end_first(tmp_path: Path, media: Samples) -> None:
    pair = start(tmp_path / "data")
    wait_until_up(pair)
    with pair.client() as client:
        job = client.img2vid([media.images[0]], seconds=1)
        until(lambda: job.refresh().status is Status.IN_PROGRESS)
        pair.process.terminate()
        assert job.wait().status is Status.COMPLETED
    assert pair.process.wait(60) == 0


def test_a_second_signal_kills(tmp_path: Path, media: Samples) -> None:
    pair = start(tmp_path / "data")
    wait_until_up(pair)
    family = psutil.Process(pair.process.pid).children(recursive=True)
    with pair.client() as client:
        client.img2vid([media.images[0]], seconds=600)
        until(lambda: next(client.jobs()).status is Status.IN_PROGRESS)
        pair.process.terminate()
        time.sleep(1)
        assert pair.process.poll() is None, "the job was not waited for"
        pair.process.terminate()
        pair.process.wait(60)
    until_sync(lambda: not any(map(alive, family)))


def test_a_killed_up_leaves_no_process(tmp_path: Path, media: Samples) -> None:
    pair = start(tmp_path / "data", DRAIN_SECONDS="1")
    wait_until_up(pair)
    with pair.client() as client:
        client.img2vid([media.images[0]], seconds=600)
        until(lambda: next(client.jobs()).status is Status.IN_PROGRESS)
    family = psutil.Process(pair.process.pid).children(recursive=True)
    pair.process.kill()
    pair.process.wait()
    until_sync(lambda: not any(map(alive, family)))
