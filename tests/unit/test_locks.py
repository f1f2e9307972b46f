"""The locks: every package by version and hash, for every supported system, installed as such."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT

LOCKS = ["requirements.lock", "deploy/runpod.lock", "tests/emulators/vastai.lock", "tests/interop/interop.lock"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SYSTEMS = [
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
]


def entries(lock):
    """The entries of a lock: a requirement, and the hashes of its files."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in text.splitlines():
        requirement, *hashes = line.split(" --hash=")
        yield Requirement(requirement), [found.strip() for found in hashes]


@pytest.mark.parametrize("lock", LOCKS)
def test_each_package_has_one_version_and_its_hashes(lock):
    found = list(entries(lock))
    assert found
    for requirement, hashes in found:
        assert [specifier.operator for specifier in requirement.specifier] == ["=="]
        assert hashes
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", known) for known in hashes)


@pytest.mark.parametrize("lock", LOCKS)
def test_no_index_is_written_down(lock):
    assert "://" not in (ROOT / lock).read_text()


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: "-".join(system.values()))
def test_the_lock_holds_what_each_system_needs(system):
    def applies(requirement):
        return requirement.marker is None or requirement.marker.evaluate({**system, "extra": ""})

    locked = {canonicalize_name(need.name): need for need, _ in entries("requirements.lock") if applies(need)}
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in ("server", "dev"))]
    for need in [need for group in groups for need in map(Requirement, group) if applies(need)]:
        if canonicalize_name(need.name) != PROJECT["name"]:
            (version,) = [each.version for each in locked[canonicalize_name(need.name)].specifier]
            assert version in need.specifier
    assert ("pynvvideocodec" in locked) == (system["sys_platform"] == "linux")  # NVIDIA has no wheels for macOS


def test_all_installs_hold_packages_to_their_hashes():
    makefile = (ROOT / "Makefile").read_text()
    for line in re.findall(r"pip install .*(?: -r | --requirement ).*", makefile):
        assert "--require-hashes" in line
