"""The images: Dockerfiles that hold together and agree with the settings; what they copy makes a wheel that works.

No engine is asked for. The steps that make the wheel are those of the Dockerfile, over the files that it copies; the
packages beside it are those of .venv, which has the same pinned versions.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from api_gpu.local.certs import make_set
from encoder.config import EncoderSettings
from gateway.config import GatewaySettings
from tests.integration.deploy.dockerfile import stages
from tests.support.paths import ROOT
from tests.support.systems import required

DEPLOY = ROOT / "deploy"
IMAGES = {"gateway": GatewaySettings, "encoder": EncoderSettings, "encoder-gpu": EncoderSettings}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BUILD_INSTRUCTIONS = {"WORKDIR", "COPY", "RUN"}
INSTRUCTIONS = BUILD_INSTRUCTIONS | {"ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}
NOT_SETTINGS = {"PATH", "PYTHONSAFEPATH", "PYTHONUNBUFFERED", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}

each = pytest.mark.parametrize("image", IMAGES)


def read(image):
    build, final = stages(DEPLOY / f"{image}.Dockerfile")
    return build, final


def defaults(image):
    return {name: field.default for name, field in IMAGES[image].variables().items()}


def packages():
    return {Path(name).parts[0] for name in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}


@each
def test_both_stages_are_slim_and_of_one_python(image):
    build, final = read(image)
    assert build.base == final.base
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", final.base)
    assert {word for word, _ in build.steps} <= BUILD_INSTRUCTIONS
    assert {word for word, _ in final.steps} <= INSTRUCTIONS
    assert final.all("COPY") == ["--from=build /opt/api-gpu /opt/api-gpu"]


@each
def test_it_runs_as_the_user_of_the_pods_and_never_as_root(image):
    _, final = read(image)
    user = final.one("USER")
    assert user.isdigit()  # Kubernetes can hold only a number against runAsNonRoot
    assert user != "0"
    assert any(f"useradd --uid {user} " in run for run in final.all("RUN"))
    assert f"runAsUser: {user}" in (DEPLOY / "kubernetes" / "base" / f"{image.removesuffix('-gpu')}.yaml").read_text()
    assert [word for word, _ in final.steps].index("USER") > max(
        place for place, (word, _) in enumerate(final.steps) if word == "RUN"
    )


@each
def test_no_tool_that_builds_is_left(image):
    build, final = read(image)
    assert ["pip", "uninstall", "--yes", "pip"] in final.commands
    assert ["python", "-m", "venv", "--without-pip", "/opt/api-gpu"] in build.commands
    installed = {word for command in final.commands if command[:1] == ["apt-get"] for word in command[2:]}
    assert installed - {"-y", "--no-install-recommends"} <= {"bubblewrap"}
    for run in final.all("RUN"):
        assert ("apt-get update" in run) == ("rm -rf /var/lib/apt/lists/*" in run)


@each
def test_its_environment_is_made_of_settings_and_its_ports_are_the_defaults(image):
    _, final = read(image)
    known, environment = defaults(image), final.environment
    assert environment.keys() - NOT_SETTINGS <= known.keys()
    assert environment["HEALTH_PORT"] == str(known["HEALTH_PORT"])
    ports = {known[name] for name in ("PORT", "GRPC_PORT", "HEALTH_PORT") if name in known}
    ports.add(int(environment["METRICS_PORT"]))
    assert {int(port) for port in final.one("EXPOSE").split()} == ports
    for name, value in environment.items():
        if name.startswith("TLS_") or name == "ENCODER_CA":
            assert Path(value).name == known[name].name
    assert final.one("HEALTHCHECK").endswith('CMD python -m servicekit.probe "$HEALTH_PORT"')


@each
def test_folders_that_it_writes_to_are_its_users(image):
    _, final = read(image)
    (made,) = [command for command in final.commands if command[0] == "install"]
    owner = made[made.index("--owner") + 1]
    assert any(command[0] == "useradd" and command[-1] == owner for command in final.commands)
    for name in ("DATA_DIR", "LOGS_DIR", "WORK_DIR", "TLS_CERT"):
        if name in final.environment:
            assert "/" + Path(final.environment[name]).parts[1] in made, name


@each
def test_its_command_is_one_of_the_packages_and_of_no_other_folder(image):
    _, final = read(image)
    assert final.environment["PYTHONSAFEPATH"] == "1"
    assert final.command == ["python", "-m", image.removesuffix("-gpu")]


def test_the_image_for_cards_asks_for_video():
    _, final = read("encoder-gpu")
    assert "video" in final.environment["NVIDIA_DRIVER_CAPABILITIES"].split(",")


@pytest.mark.parametrize("image", sorted(path.stem for path in DEPLOY.glob("*.Dockerfile")))
def test_what_it_copies_is_there_and_not_kept_out(image):
    sources = [name for names, _ in stages(DEPLOY / f"{image}.Dockerfile")[0].copied for name in names]
    assert [name for name in sources if not (ROOT / name).exists()] == []
    assert [name for name in sources if is_ignored(name)] == []
    assert packages() <= set(sources)


@pytest.mark.parametrize(
    "name", [".env", ".git", ".api-gpu", ".venv", "certs", "tests", "tests/a/b", "servicekit/__pycache__", "a/ca.key"]
)
def test_keys_and_what_no_image_needs_stay_out_of_the_context(name):
    assert is_ignored(name)


def is_ignored(name):
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [pattern for pattern in patterns if pattern and not pattern.startswith("#")]
    assert not any(pattern.startswith("!") for pattern in patterns)  # not understood here
    # Whatever is below a folder that is kept out stays out too.
    names = [str(path) for path in (Path(name), *Path(name).parents)]
    return any(
        fnmatch(name, pattern) or fnmatch("/" + name, pattern.replace("**", "*"))
        for name in names
        for pattern in patterns
    )


@each
def test_every_package_that_it_gets_is_pinned(image):
    build, _ = read(image)
    fetch, *_, install = build.commands
    assert {"--require-hashes", "--no-deps"} < set(fetch)
    assert fetch[fetch.index("--requirement") + 1] == "requirements.lock"
    assert install[:4] == ["pip", "--python", "/opt/api-gpu/bin/python", "install"]
    for command in build.commands[1:]:
        assert "install" not in command or "--no-index" in command  # from what was fetched by its hash
    assert required("api-gpu", extras_of(install[-1])) | required("hatchling", set()) <= pinned("requirements.lock")


def extras_of(requirement):
    found = re.findall(r"\[(.+)\]", requirement)
    extras = set(found[0].split(",")) if found else set()
    assert extras <= PROJECT["project"]["optional-dependencies"].keys()
    return extras


def pinned(lock):
    return {canonicalize_name(line.partition("==")[0]) for line in (ROOT / lock).read_text().splitlines()}


def test_the_worker_of_runpod_is_pinned_and_does_not_run_as_root():
    (only,) = stages(DEPLOY / "runpod.Dockerfile")
    assert (only.one("USER"), only.command) == ("encoder", ["python", "-m", "encoder.runpod.worker"])
    assert only.environment.keys() - NOT_SETTINGS - {"RUNPOD_LOG_LEVEL"} <= defaults("encoder").keys()
    fetch, install = (command for command in only.commands if command[0] == "pip")
    assert "--require-hashes" in fetch
    assert "--no-index" in install
    locks = [word for before, word in pairwise(fetch) if before == "--requirement"]
    copied = {Path(name).name: name for names, _ in only.copied for name in names}
    assert locks == ["requirements.lock", "runpod.lock"]
    extras = extras_of(install[-1])
    known = {name for lock in locks for name in pinned(copied[lock])}
    assert required("api-gpu", extras - {"runpod"}) | {"runpod"} <= known
    assert "runpod" in extras


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """A folder with exactly what the images copy."""
    copied = {image: read(image)[0].copied for image in IMAGES}
    assert copied["gateway"] == copied["encoder"] == copied["encoder-gpu"]
    folder = tmp_path_factory.mktemp("image") / "src"
    folder.mkdir()
    for names, target in copied["gateway"]:
        for name in names:
            place = folder / target / (name if target == "./" else "")
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / name, place)
    return folder


@pytest.fixture(scope="module")
def python(context):
    """The Python of an environment made by the steps of the gateway's image, on top of the packages of .venv."""
    wheels, made = context.parent / "wheels", context.parent / "api-gpu"
    _, _, *steps = read("gateway")[0].commands  # the first two fetch packages and the build backend, which .venv has
    for step in steps:
        words = [word.replace("/opt/api-gpu", str(made)).replace("/wheels", str(wheels)) for word in step]
        words = [str(path) for word in words for path in (sorted(wheels.glob("*.whl")) if "*" in word else [word])]
        if words[0] == "pip":
            # By the present pip, from the present packages, and nothing from an index.
            words = [sys.executable, "-m", *words]
        if "install" in words:
            words += ["--no-deps"]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(words, cwd=context, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stderr}"
    (site,) = (made / "lib").glob("python*/site-packages")
    # As a plain line of a .pth file .venv is searched last, and the checkout that it points to not at all.
    (site / "under.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return made / "bin" / "python"


IMPORT_ALL = """
import importlib, json, pkgutil, sys

found = []
for name in json.loads(sys.argv[1]):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if module.name.endswith(".__main__"):
            continue
        try:
            found.append(importlib.import_module(module.name).__file__)
        except (ImportError, RuntimeError) as error:
            # What only machines with a card, or workers of RunPod, have.
            if "libnvidia-encode" not in str(error) and "'runpod'" not in str(error):
                raise
print(json.dumps(found))
"""


def test_every_module_of_the_wheel_comes_along_and_can_be_imported(python):
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    # "google" is shared with packages of others.
    names = sorted("google.bytestream" if Path(name).name == "google" else Path(name).name for name in packages)
    done = subprocess.run(
        [python, "-W", "error", "-c", IMPORT_ALL, json.dumps(names)],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout)
    assert len(files) > 100
    assert [file for file in files if file and not Path(file).is_relative_to(python.parent.parent)] == []


def test_files_that_are_no_modules_come_along_too(context, python):
    (site,) = (python.parent.parent / "lib").glob("python*/site-packages")
    for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        below = context / package
        files = {path.relative_to(below.parent) for path in below.rglob("*") if path.is_file()}
        assert [file for file in sorted(files) if not (site / file).exists()] == []


@pytest.mark.parametrize("image", ["gateway", "encoder"])
def test_its_command_starts(image, python):
    """Without certificates both say so and end; that far they come with all that they import."""
    _, final = read(image)
    environment = {name: value for name, value in final.environment.items() if name != "PATH"}
    folder = python.parent.parent
    environment |= {name: str(folder) + value for name, value in environment.items() if value.startswith("/")}
    done = subprocess.run(
        [python, *final.command[1:]],
        env=environment | {"X_API_KEY": "key", "HOME": str(folder)},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert "make a set with `api-gpu certs`" in done.stderr


def test_the_command_line_comes_along(python):
    done = subprocess.run([python.with_name("api-gpu"), "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_documented_containers_can_read_the_certificates_that_they_mount(tmp_path):
    """Keys are for their owner alone: either the container runs as the caller, or the folder is made for its user."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *DEPLOY.glob("*.Dockerfile")]
    mounts = re.findall(r"^.*docker run .* -v \"\$PWD/([\w-]+):/certs.*$", "\n".join(map(Path.read_text, pages)), re.M)
    assert sorted(mounts) == ["certs", "encoder-certs"]
    assert 'docker run --rm --user "$(id -u):$(id -g)" -v' in (DEPLOY / "gateway.Dockerfile").read_text()

    make_set(tmp_path / "certs")
    _, final = read("encoder-gpu")
    page = (ROOT / "docs" / "guides" / "nvenc.md").read_text()
    for command in re.findall(r"^sudo (install .*)$", page, re.MULTILINE):
        assert f"--owner {final.one('USER')} " in command
        subprocess.run(["sh", "-ec", command.replace("10001", str(os.getuid()))], cwd=tmp_path, check=True)
    given = {f"/certs/{path.name}" for path in (tmp_path / "encoder-certs").iterdir()}
    assert given == {value for name, value in final.environment.items() if name.startswith("TLS_")}
