"""The wheel, in clean environments: the client alone, and with the server; from a folder with files in the way."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.missing import without
from tests.support.paths import ROOT
from tests.support.systems import required
from tools.media_check import footage
from tools.pair import Pair, free_ports
from tools.samples import Samples

CLIENT = {"grpcio", "protobuf", "googleapis-common-protos", "typer", "rich", "standardwebhooks"}
HEAVY = ("av", "cryptography", "cv2", "imageio_ffmpeg", "nats", "numpy", "pydantic_settings", "starlette", "uvicorn")
HEAVY_PACKAGES = {"av", "cryptography", "imageio-ffmpeg", "nats-py", "numpy", "opencv-python-headless", "uvicorn"}
OF_MEDIA = ("av", "cv2", "imageio_ffmpeg", "numpy", "PIL", "pysrt")
OF_GATEWAYS = ("nats", "obstore", "httptools", "python_multipart")
DECOYS = ("gateway", "client", "queue", "encoder", "servicekit", "apigpu", "nats", "logging")
PORTS = (
    *("PORT", "GRPC_PORT", "HEALTH_PORT", "METRICS_PORT"),
    *("ENCODER_PORT", "ENCODER_HEALTH_PORT", "ENCODER_METRICS_PORT"),
)


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, and a folder with decoys to run it from."""

    bin: Path
    folder: Path

    def run(self, *command: object, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment in the folder."""
        program, *arguments = map(str, command)
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def environment(self, **settings: str) -> dict[str, str]:
        """The environment of a user, who has set nothing but `settings`."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "COLUMNS": "120", **settings}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


def installed(wheel: Path, folder: Path, extras: Iterable[str]) -> Installed:
    """The wheel in a new environment with the packages that it asks for, linked from the present ones: no index."""
    made = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    pip = [sys.executable, "-m", "pip", "--python", made / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", wheel], check=True)
    (site,) = made.glob("lib/python*/site-packages")
    for name in required("api-gpu", set(extras)):
        for path in top_level(name):
            link = site / path.name
            if path.is_dir() and link.is_dir() and not link.is_symlink():  # a namespace of several packages
                merge(path, link)
            elif not link.exists():
                link.symlink_to(path)
        for program in programs(name):
            if not (made / "bin" / program.name).exists():
                (made / "bin" / program.name).symlink_to(program)
    work = folder / "work"
    work.mkdir()
    for decoy in DECOYS:
        (work / f"{decoy}.py").write_text(f"raise SystemExit('the decoy {decoy} was run')\n")
    return Installed(made / "bin", work)


def top_level(name: str) -> list[Path]:
    """The files and folders of a package in site-packages."""
    files = metadata.files(name) or []
    names = {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}
    return [Path(str(metadata.distribution(name).locate_file(each))) for each in sorted(names)]


def programs(name: str) -> list[Path]:
    """The programs that a package brings, but for those that name the present Python."""
    files = [file for file in metadata.files(name) or [] if file.parts[-2:-1] == ("bin",) and file.parts[0] == ".."]
    return [path for path in map(Path, map(str, map(metadata.PackagePath.locate, files))) if path.suffix == ""]


def merge(source: Path, target: Path) -> None:
    for path in source.iterdir():
        if path.is_dir() and (target / path.name).is_dir():
            merge(path, target / path.name)
        elif not (target / path.name).exists():
            (target / path.name).symlink_to(path)


@pytest.fixture(scope="module")
def client(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return installed(wheel, tmp_path_factory.mktemp("client"), ())


@pytest.fixture(scope="module")
def gateway(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return installed(wheel, tmp_path_factory.mktemp("gateway"), ("gateway",))


@pytest.fixture(scope="module")
def encoder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return installed(wheel, tmp_path_factory.mktemp("encoder"), ("encoder",))


@pytest.fixture(scope="module")
def server(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return installed(wheel, tmp_path_factory.mktemp("server"), ("server",))


def test_the_client_asks_for_little() -> None:
    needs = [Requirement(line) for line in metadata.requires("api-gpu") or ()]
    assert {need.name for need in needs if need.marker is None} == CLIENT
    assert required("api-gpu", set()).isdisjoint(HEAVY_PACKAGES)
    assert required("api-gpu", {"server"}) >= HEAVY_PACKAGES


def test_the_client_has_a_command_line_and_nothing_of_the_server(client: Installed) -> None:
    shown = client.run("api-gpu", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "caption" in shown.stdout
    code = "import sys; from api_gpu import *; sys.exit(any(name in sys.modules for name in sys.argv[1:]))"
    done = client.run("python", "-P", "-c", code, *HEAVY)
    assert done.returncode == 0, done.stderr
    for name in HEAVY:
        assert client.run("python", "-P", "-c", f"import {name}").returncode == 1, name


@pytest.mark.parametrize(
    "command",
    [("up",), ("gateway",), ("encoder",), ("certs",), ("runpod", "destroy"), ("runpod", "deploy", "--image=x")],
)
def test_commands_of_the_server_say_how_to_install_it(client: Installed, command: tuple[str, ...]) -> None:
    done = client.run("api-gpu", *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r'api-gpu: .*; pip install "api-gpu\[server\]"\n', done.stderr)


def test_the_tools_for_language_models_say_how_to_install_them(client: Installed) -> None:
    done = client.run("api-gpu", "mcp")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith('; pip install "api-gpu[mcp]"\n')


def test_the_wheel_has_the_pages_that_the_gateway_serves(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = {*file.namelist()}
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert {f"gateway/rest/docs/pages/{page}" for page in pages} <= names
    assert {"gateway/rest/docs/static/index.html", "apigpu/openapi.json", "apigpu/examples.json"} <= names


def test_the_client_s_doctor_tells_what_is_not_installed(client: Installed) -> None:
    done = client.run("api-gpu", "doctor")
    assert done.returncode == 1
    assert 'encoder\tnot installed; pip install "api-gpu[server]"' in done.stdout
    assert "gateway\tno answer: " in done.stdout


@pytest.mark.parametrize("program", [("api-gpu",), ("python", "-m", "api_gpu")], ids=" ".join)
def test_the_client_captions_at_a_gateway(
    client: Installed, pair: Pair, media: Samples, program: tuple[str, ...]
) -> None:
    data = {"DATA_DIR": str(pair.data_dir)}
    done = client.run(*program, "caption", media.video, media.subtitles, "--force", "-o", "out.mp4", **data)
    assert (done.returncode, done.stdout) == (0, "out.mp4\n"), done.stderr
    assert footage(client.folder / "out.mp4").frames == footage(media.video).frames
    assert client.run(*program, "caption", "absent.mp4", media.subtitles, **data).returncode == 1


def test_the_server_serves_from_a_folder_with_files_in_the_way(server: Installed, media: Samples) -> None:
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    with subprocess.Popen(
        [server.bin / "api-gpu", "up"],
        cwd=server.folder,
        env=server.environment(**ports),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as up:
        try:
            assert up.stdout is not None
            lines = []
            for line in up.stdout:
                lines.append(line)
                if line.startswith("api-gpu is up"):
                    break
            else:
                pytest.fail("".join(lines))
            done = server.run("api-gpu", "caption", media.video, media.subtitles, "-o", "out.mp4")
            assert (done.returncode, done.stdout) == (0, "out.mp4\n"), done.stderr
            doctor = server.run("api-gpu", "doctor")
            assert doctor.returncode == 0, doctor.stderr
            assert "x264" in doctor.stdout
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)
        assert up.returncode == 0


def test_a_service_starts_from_a_folder_with_files_in_the_way(server: Installed) -> None:
    done = server.run("api-gpu", "gateway")
    assert (done.returncode, done.stdout) == (2, "")
    assert "X_API_KEY is not set" in done.stderr  # that far it comes with all that it imports
    done = server.run("api-gpu", "encoder", "doctor")
    assert done.returncode == 0, done.stderr
    assert "x264" in done.stdout


def test_a_gateway_without_what_reads_media_has_an_encoder_caption(
    gateway: Installed, encoder: Installed, media: Samples
) -> None:
    for at, names in ((gateway, OF_MEDIA), (encoder, OF_GATEWAYS)):
        found = at.run("python", "-P", "-c", f"from importlib.util import find_spec; print(*map(find_spec, {names}))")
        assert set(found.stdout.split()) == {"None"}
    assert gateway.run("api-gpu", "certs", "--dir", "certs").returncode == 0
    certs = gateway.folder / "certs"
    port, grpc_port, encoder_port, *health_ports = map(str, free_ports(5))
    usual = {"METRICS_PORT": "0", "HOST": "127.0.0.1"}
    settings = {
        "PORT": port,
        "GRPC_PORT": grpc_port,
        "HEALTH_PORT": health_ports[0],
        "X_API_KEY": "key",
        "ENCODERS": f"127.0.0.1:{encoder_port}",
        "TLS_CERT": str(certs / "gateway.crt"),
        "TLS_KEY": str(certs / "gateway.key"),
        "TLS_CLIENT_CA": str(certs / "client-ca.crt"),
        "ENCODER_CA": str(certs / "ca.crt"),
    }
    own = {
        "PORT": encoder_port,
        "HEALTH_PORT": health_ports[1],
        "TLS_CERT": str(certs / "encoder.crt"),
        "TLS_KEY": str(certs / "encoder.key"),
        "TLS_CA": str(certs / "ca.crt"),
    }
    client = {
        "X_API_KEY": "key",
        "API_GPU_SERVER": f"localhost:{grpc_port}",
        "API_GPU_CA": str(certs / "ca.crt"),
        "API_GPU_CERT": str(certs / "client.crt"),
        "API_GPU_CERT_KEY": str(certs / "client.key"),
    }
    with serving(encoder, "encoder", **usual, **own), serving(gateway, "gateway", **usual, **settings):
        done = gateway.run("api-gpu", "caption", media.video, media.subtitles, "-o", "out.mp4", **client)
        assert (done.returncode, done.stdout) == (0, "out.mp4\n"), done.stderr
    assert footage(gateway.folder / "out.mp4").frames == footage(media.video).frames
    lacking = gateway.run("api-gpu", "up")
    assert (lacking.returncode, lacking.stdout) == (2, "")
    assert "this command needs the libraries of encoder" in lacking.stderr


@contextlib.contextmanager
def serving(at: Installed, service: str, **settings: str) -> Iterator[None]:
    """A service, while the block runs."""
    command = [at.bin / "api-gpu", service]
    with subprocess.Popen(command, cwd=at.folder, env=at.environment(**settings), stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def test_programs_that_import_the_client_are_type_checked(client: Installed) -> None:
    program = client.folder / "program.py"
    program.write_text(
        "from api_gpu import CaptionStyle, Client\n"
        "def caption(client: Client) -> str:\n"
        "    return client.caption('a.mp4', 'a.srt', style=CaptionStyle(preset='bold'), max_cost_usd=1.0).id\n"
        "CaptionStyle(preset='loud')\n"
        "def wrong(client: Client) -> None:\n"
        "    client.caption('a.mp4', 'a.srt', colour='red')\n"
    )
    for decoy in DECOYS:
        (client.folder / f"{decoy}.py").rename(client.folder / f"{decoy}.txt")
    command = [
        "-m",
        "mypy",
        "--strict",
        "--python-executable",
        client.bin / "python",
        "--cache-dir",
        client.folder / "c",
    ]
    done = subprocess.run(
        [sys.executable, *command, "program.py"], cwd=client.folder, capture_output=True, text=True, timeout=170
    )
    for decoy in DECOYS:
        (client.folder / f"{decoy}.txt").rename(client.folder / f"{decoy}.py")
    assert re.findall(r"program\.py:(\d+): error", done.stdout) == ["4", "6"], done.stdout


@pytest.mark.long
def test_pip_installs_the_client_from_the_index(wheel: Path, tmp_path: Path) -> None:
    try:
        socket.create_connection(("pypi.org", 443), 10).close()
    except OSError:
        without("no package index can be reached")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "environment"], check=True)
    subprocess.run([tmp_path / "environment" / "bin" / "pip", "install", "--quiet", wheel], check=True)
    assert subprocess.run([tmp_path / "environment" / "bin" / "api-gpu", "--help"], cwd=tmp_path).returncode == 0
