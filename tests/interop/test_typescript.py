"""The package for TypeScript as it is published: packed, installed by somebody else, typed, and run against a pair."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.contract import ClientContract, Command
from tests.interop.toolchain import PACKAGES, ROOT, package, packed, run
from tests.support import media
from tests.support.judge import facts
from tests.support.lone_gateway import KEY, LoneGateway
from tests.support.relay import Relay
from tests.support.until import until_sync
from tools.pair import Pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

MIB = 1024 * 1024
CLIENT_SECONDS = 240
README = (PACKAGES / "typescript" / "README.md").read_text()
BLOCKS = re.findall(r"```ts\n(.*?)```", README, re.DOTALL)
MADE = {"LICENSE", "NOTICE", "README.md", "package.json"}
# What a user of the package compiles with.
USER = {
    "compilerOptions": {
        "target": "ES2022",
        "module": "NodeNext",
        "strict": True,
        "types": ["node"],
    }
}


@pytest.fixture(scope="module")
def built() -> Path:
    folder = package("typescript")
    run("npm", "run", "build", folder=folder)
    return folder


@pytest.fixture(scope="module")
def user(built: Path) -> Path:
    """A folder of somebody who has installed the tarball, with the examples, compiled."""
    tarball, _ = packed(built)
    folder = built.with_name("typescript-user")
    shutil.rmtree(folder, ignore_errors=True)
    # What the package needs lies where its own lock has put it.
    shutil.copytree(built / "node_modules", folder / "node_modules", symlinks=True)
    own = folder / "node_modules" / "api-gpu-client"
    own.mkdir()
    run("tar", "xzf", tarball, "-C", own, "--strip-components=1", folder=folder)
    for number, block in enumerate(BLOCKS):
        (folder / f"block{number}.ts").write_text(block)
    for example in [*(built / "examples").iterdir(), *(Path(__file__).parent / "typescript").iterdir()]:
        shutil.copy(example, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "tsconfig.json").write_text(json.dumps(USER))
    run("node", "node_modules/typescript/bin/tsc", folder=folder)
    return folder


def test_what_is_packed(built: Path) -> None:
    _, files = packed(built)
    modules = {path.relative_to(built).as_posix() for path in (built / "dist").rglob("*") if path.is_file()}
    assert files == MADE | modules
    for name in ("index", "client", "gen/apigpu/v1/jobs_pb", "gen/google/rpc/error_details_pb"):
        assert {f"dist/{name}.js", f"dist/{name}.d.ts"} <= files


def test_it_has_the_version_and_the_licence_of_the_project() -> None:
    told = json.loads((PACKAGES / "typescript" / "package.json").read_text())
    assert told["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (PACKAGES / "typescript" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.fixture(scope="module")
def client(user: Path) -> Command:
    return ["node", user / "caption.js"]


class TestTypeScript(ClientContract):
    pass


@pytest.fixture(scope="module")
def place(user: Path, pair: Pair, inputs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the page has it: files, and what `api-gpu up` made."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copy(inputs[0], folder / "talk.mp4")
    shutil.copy(inputs[1], folder / "talk.srt")
    media.image(folder / "still.png", "320x180")
    (folder / ".api-gpu").symlink_to(pair.data_dir)
    return folder


@pytest.mark.parametrize("number", [number for number, block in enumerate(BLOCKS) if "example.com" not in block])
def test_the_examples_of_the_page_run(user: Path, place: Path, number: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "X_API_KEY"}
    done = subprocess.run(
        ["node", user / f"block{number}.js"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    if "captioned.mp4" in BLOCKS[number]:
        assert facts(place / "captioned.mp4").frames == facts(place / "talk.mp4").frames
    if "story" in BLOCKS[number]:
        assert "http" in done.stdout
    if "ServiceError" in BLOCKS[number]:
        assert "NOT_FOUND ASSET_NOT_FOUND" in done.stdout
    if "SystemService" in BLOCKS[number]:
        assert done.stdout == "healthy\n"


def test_a_wait_with_a_time_ends(user: Path, place: Path) -> None:
    """Also where the job goes on, and tells of it."""
    command = ["node", user / "patience.js", "still.png"]
    environment = {name: value for name, value in os.environ.items() if name != "X_API_KEY"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=CLIENT_SECONDS)
    assert (done.stdout, done.stderr) == ("DEADLINE_EXCEEDED\n", "")


def test_a_key_of_a_file_is_the_one_that_counts(user: Path, place: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("of no gateway\n")
    command = ["node", user / "patience.js", "still.png"]
    environment = {name: value for name, value in os.environ.items() if name != "X_API_KEY"}
    environment["X_API_KEY_FILE"] = str(tmp_path / "key")
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=CLIENT_SECONDS)
    assert "UNAUTHENTICATED" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneGateway]:
    with LoneGateway(tmp_path_factory.mktemp("gateway")) as served:
        yield served


def test_an_upload_goes_on_after_its_gateway_was_killed(gateway: LoneGateway, user: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(os.urandom(40 * MIB + 7))
    with Relay(gateway.target) as relay:
        relay.bytes_per_second = 12 * MIB  # slow enough for a part of the file to be on record at the kill
        client = subprocess.Popen(
            ["node", user / "upload.js", relay.address, gateway.certificates, film, tmp_path / "again.mp4"],
            env={**os.environ, "X_API_KEY": KEY},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until_sync(lambda: relay.sent_bytes > 20 * MIB or client.poll() is not None)
        relay.bytes_per_second = None
        gateway.end(signal.SIGKILL)
        gateway.start()
        said, error = client.communicate(timeout=CLIENT_SECONDS)
        assert client.returncode == 0, error
        assert relay.sent_bytes < 60 * MIB  # sent anew it would be more
    told = json.loads(said)
    assert told["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest()
    assert (tmp_path / "again.mp4").read_bytes() == film.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_large_file_that_the_gateway_has_is_not_sent_again(gateway: LoneGateway, user: Path, tmp_path: Path) -> None:
    content = os.urandom(8 * MIB)
    film, copy, other, small = (tmp_path / name / "film.mp4" for name in ("film", "copy", "other", "small"))
    for path, held in ((film, content), (copy, content), (other, content[:-1] + b"!"), (small, content[:100])):
        path.parent.mkdir()
        path.write_bytes(held)
    files = [film, film, copy, other, small, small]
    done = subprocess.run(
        ["node", user / "kept.js", gateway.target, gateway.certificates, *files],
        env={**os.environ, "X_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first, second, third, fourth, fifth, sixth = told["names"]
    assert first == second == third
    assert len({first, fourth, fifth, sixth, told["again"]}) == 5
    assert told["sentBytes"] == 2 * 8 * MIB + 2 * 100
    assert told["listed"][:5] == [told["again"], sixth, fifth, fourth, first]
