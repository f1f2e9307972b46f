"""The images: Dockerfiles that hold together and agree with the settings; what they copy makes a wheel that works.

No engine is asked for. The steps that make the wheel are those of the Dockerfile, over the files that it copies; the
packages beside it are those of .venv, which has the same pinned versions. tests/interop/test_image_packages.py fetches
them as the images do.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from api_gpu.local.certs import make_set
from encoder.config import EncoderSettings
from gateway.config import GatewaySettings
from tests.integration.deploy.dockerfile import stages
from tests.support.paths import ROOT
from tests.support.systems import entries, required

DEPLOY = ROOT / "deploy"
IMAGES = {
    "gateway": GatewaySettings,
    "encoder": EncoderSettings,
    "encoder-gpu": EncoderSettings,
    "runpod": EncoderSettings,
}
EXTRAS = {
    "gateway": {"gateway"},
    "encoder": {"encoder", "cjk"},
    "encoder-gpu": {"encoder", "nvenc", "cjk"},
    "runpod": {"encoder", "nvenc", "cjk", "runpod"},
}
# What reads media, which a gateway does not do.
OF_MEDIA = {"av", "imageio-ffmpeg", "numpy", "opencv-python-headless", "pillow", "pysrt"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BUILD_INSTRUCTIONS = {"ARG", "WORKDIR", "COPY", "RUN"}
INSTRUCTIONS = {"COPY", "RUN", "WORKDIR", "LABEL", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}
NOT_SETTINGS = {"PATH", "PYTHONSAFEPATH", "PYTHONUNBUFFERED", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}
NOT_SETTINGS |= {"RUNPOD_LOG_LEVEL"}

each = pytest.mark.parametrize("image", IMAGES)
# Those that listen.
each_server = pytest.mark.parametrize("image", [name for name in IMAGES if name != "runpod"])


def read(image):
    """What fetches the packages, what makes the environment, and the image."""
    packages, build, final = stages(DEPLOY / f"{image}.Dockerfile")
    return packages, build, final


def locks(image):
    """The locks that it fetches from, by their places in the repository."""
    packages, *_ = read(image)
    (command,) = packages.commands
    assert command[:3] == ["sh", "packages.sh", "fetch"]
    places = {Path(name).name: name for name in packages.copied[0][0]}
    return [places[name] for name in command[3:]]


def defaults(image):
    return {name: field.default for name, field in IMAGES[image].variables().items()}


def packages():
    return {Path(name).parts[0] for name in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}


@each
def test_its_stages_are_slim_and_of_one_python(image):
    packages, build, final = read(image)
    assert packages.base == final.base
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", final.base)
    assert build.base == packages.name
    for stage in (packages, build):
        assert {word for word, _ in stage.steps} <= BUILD_INSTRUCTIONS
    assert {word for word, _ in final.steps} <= INSTRUCTIONS
    assert final.all("COPY") == [f"--from={build.name} /opt/api-gpu /opt/api-gpu"]


@each
def test_it_is_built_for_any_machine_on_any_machine(image):
    packages, build, final = read(image)
    assert (packages.platform, final.platform) == ("$BUILDPLATFORM", "")
    assert [packages.one("ARG"), build.one("ARG")] == ["TARGETARCH", "TARGETARCH"]


@each
def test_it_runs_as_the_user_of_the_pods_and_never_as_root(image):
    *_, final = read(image)
    user = final.one("USER")
    assert user.isdigit()  # Kubernetes can hold only a number against runAsNonRoot
    assert user != "0"
    assert any(f"useradd --uid {user} " in run for run in final.all("RUN"))
    pods = DEPLOY / "kubernetes" / "base" / f"{image.removesuffix('-gpu')}.yaml"
    assert not pods.exists() or f"runAsUser: {user}" in pods.read_text()
    assert [word for word, _ in final.steps].index("USER") > max(
        place for place, (word, _) in enumerate(final.steps) if word == "RUN"
    )


@each
def test_no_tool_that_builds_is_left(image):
    *_, final = read(image)
    assert ["pip", "uninstall", "--yes", "pip"] in final.commands
    (version,) = re.findall(r"python:(3\.\d+)-", final.base)
    assert ["rm", "-r", f"/usr/local/lib/python{version}/ensurepip"] in final.commands  # has a wheel of pip
    installed = {word for command in final.commands if command[:1] == ["apt-get"] for word in command[2:]}
    assert installed - {"-y", "--no-install-recommends"} <= {"bubblewrap"}
    for run in final.all("RUN"):
        assert ("apt-get update" in run) == ("rm -rf /var/lib/apt/lists/*" in run)


@each_server
def test_its_environment_is_made_of_settings_and_its_ports_are_the_defaults(image):
    *_, final = read(image)
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
    *_, final = read(image)
    (made,) = [command for command in final.commands if command[0] == "install"]
    owner = made[made.index("--owner") + 1]
    assert any(command[0] == "useradd" and command[-1] == owner for command in final.commands)
    for name in ("DATA_DIR", "LOGS_DIR", "WORK_DIR", "TLS_CERT"):
        if name in final.environment:
            assert "/" + Path(final.environment[name]).parts[1] in made, name


@each
def test_its_command_is_one_of_the_packages_and_of_no_other_folder(image):
    *_, final = read(image)
    assert final.environment["PYTHONSAFEPATH"] == "1"
    module = {"runpod": "encoder.runpod.worker"}.get(image, image.removesuffix("-gpu"))
    assert final.command == ["python", "-m", module]


def test_the_worker_of_runpod_has_settings_alone_and_listens_on_nothing():
    *_, final = read("runpod")
    assert final.environment.keys() - NOT_SETTINGS <= defaults("runpod").keys()
    assert (final.all("EXPOSE"), final.one("HEALTHCHECK")) == ([], "NONE")


@each
def test_its_label_tells_of_the_gpl(image):
    *_, final = read(image)
    name, _, licence = final.one("LABEL").partition("=")
    assert name == "org.opencontainers.image.licenses"
    assert licence.strip('"') == ("MIT" if image == "gateway" else "GPL-3.0-or-later")


def test_the_image_for_cards_asks_for_video():
    *_, final = read("encoder-gpu")
    assert "video" in final.environment["NVIDIA_DRIVER_CAPABILITIES"].split(",")


def test_no_dockerfile_is_left_out():
    assert IMAGES.keys() == {path.stem for path in DEPLOY.glob("*.Dockerfile")}


@each
def test_what_it_copies_is_there_and_not_kept_out(image):
    sources = [name for stage in read(image)[:2] for names, _ in stage.copied for name in names]
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
    _, build, _ = read(image)
    (command,) = build.commands
    assert command[:3] == ["sh", "packages.sh", "install"]
    extras = set(command[3].split(","))
    assert extras == EXTRAS[image] <= PROJECT["project"]["optional-dependencies"].keys()
    known = {canonicalize_name(need.name) for lock in locks(image) for need, _ in entries(lock)}
    assert required("api-gpu", extras - {"runpod"}) | required("hatchling", set()) | {"setuptools"} <= known
    assert "runpod" in known or "runpod" not in extras


def test_a_gateway_gets_nothing_that_reads_media():
    assert required("api-gpu", EXTRAS["gateway"]).isdisjoint(OF_MEDIA)
    assert required("api-gpu", EXTRAS["encoder"]) >= OF_MEDIA


def test_packages_come_by_their_hashes_alone():
    commands = re.findall(r"^\s*(pip .*(?:\\\n.*)*)", (DEPLOY / "packages.sh").read_text(), re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        assert "--no-index" in command or "--require-hashes" in command


def test_an_unknown_machine_is_refused():
    command = ["sh", DEPLOY / "packages.sh", "fetch", "requirements.lock"]
    done = subprocess.run(command, env={"TARGETARCH": "riscv64", **os.environ}, capture_output=True, text=True)
    assert done.returncode == 2
    assert "TARGETARCH is 'riscv64'; it is amd64 or arm64" in done.stderr


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """A folder with exactly what the images copy."""
    copied = {image: read(image)[1].copied for image in IMAGES}
    assert len({str(sources) for sources in copied.values()}) == 1
    folder = tmp_path_factory.mktemp("image") / "src"
    folder.mkdir()
    for names, target in [*read("gateway")[0].copied, *copied["gateway"]]:
        for name in names:
            place = folder / target / (Path(name).name if target == "./" else "")
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / name, place)
    return folder


@pytest.fixture(scope="module")
def python(context):
    """The Python of an environment made by the steps of the gateway's image, on top of the packages of .venv."""
    made = context.parent / "api-gpu"
    (command,) = read("gateway")[1].commands
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TARGETARCH": "amd64",
        "PACKAGES": str(context.parent / "packages"),
        "ENVIRONMENT": str(made),
        "PIP_NO_DEPS": "1",
    }
    done = subprocess.run(command, cwd=context, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
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
    *_, final = read(image)
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
    *_, final = read("encoder-gpu")
    page = (ROOT / "docs" / "guides" / "nvenc.md").read_text()
    for command in re.findall(r"^sudo (install .*)$", page, re.MULTILINE):
        assert f"--owner {final.one('USER')} " in command
        subprocess.run(["sh", "-ec", command.replace("10001", str(os.getuid()))], cwd=tmp_path, check=True)
    given = {f"/certs/{path.name}" for path in (tmp_path / "encoder-certs").iterdir()}
    assert given == {value for name, value in final.environment.items() if name.startswith("TLS_")}
