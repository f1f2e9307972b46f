"""The packages of the gateway's image, fetched for another machine than this one and put together as the image does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.integration.deploy.dockerfile import stages
from tests.support.missing import need
from tests.support.paths import ROOT
from tests.support.systems import LINUX_ARM, entries, required

pytestmark = pytest.mark.interop

MACHINE_OF_ELF = slice(18, 20)
AARCH64 = (183).to_bytes(2, "little")
TIMEOUT_SECONDS = 600


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The folder that the image has as /opt/api-gpu, for arm64; made by a fresh Python, as that of the image is."""
    need("sh", "awk", "sed")
    folder = tmp_path_factory.mktemp("image")
    source, made, builder = folder / "src", folder / "api-gpu", folder / "builder"
    source.mkdir()
    subprocess.run([sys.executable, "-m", "venv", builder], check=True)
    for names in (names for stage in stages(ROOT / "deploy" / "gateway.Dockerfile") for names, _ in stage.copied):
        for name in names:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            copy(ROOT / name, source / Path(name).name)
    settings = {"TARGETARCH": "arm64", "PACKAGES": str(folder / "packages"), "ENVIRONMENT": str(made)}
    settings["PATH"] = f"{builder / 'bin'}:{os.environ['PATH']}"
    for words in (["fetch", ROOT / "requirements.lock"], ["install", "gateway"]):
        command = ["sh", ROOT / "deploy" / "packages.sh", *words]
        done = subprocess.run(
            command, cwd=source, env=os.environ | settings, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
        assert done.returncode == 0, done.stderr
    return made


@pytest.mark.timeout(2 * TIMEOUT_SECONDS)
def test_it_has_the_packages_of_the_gateway_alone(environment):
    (site,) = environment.glob("lib/python*/site-packages")
    versions = {canonicalize_name(need.name): str(need.specifier)[2:] for need, _ in entries("requirements.lock")}
    found = dict(path.stem.rsplit("-", 1) for path in site.glob("*.dist-info"))
    found = {canonicalize_name(name): version for name, version in found.items() if name != "api_gpu"}
    needed = required("api-gpu", {"gateway"}, LINUX_ARM)
    assert found == {name: versions[name] for name in needed}


@pytest.mark.timeout(2 * TIMEOUT_SECONDS)
def test_all_that_is_compiled_is_for_that_machine(environment):
    # Python itself is a link to that of the machine that builds, which stands at the same place in the image.
    files = [path for path in environment.rglob("*") if path.is_file() and not path.is_symlink()]
    heads = {path: head_of(path) for path in files}
    compiled = {path: head[MACHINE_OF_ELF] for path, head in heads.items() if head[:4] == b"\x7fELF"}
    assert len(compiled) > 5
    assert environment / "bin" / "nats-server" in compiled
    assert set(compiled.values()) == {AARCH64}


def head_of(path):
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(20)


@pytest.mark.timeout(2 * TIMEOUT_SECONDS)
def test_its_programs_start_by_its_own_python_and_its_notices_name_its_packages(environment):
    assert not list(environment.glob("bin/pip*"))
    program = environment / "bin" / "api-gpu"
    assert program.read_text().startswith(f"#!{environment}/bin/python\n")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    assert "grpc" in done.stderr or done.returncode == 0  # what is compiled is not for this machine
    text = (environment / "NOTICES").read_text()
    for name in required("api-gpu", {"gateway"}, LINUX_ARM):
        assert f"\n{name} " in text
    assert "GNU GENERAL PUBLIC LICENSE" not in text
