"""The locks: every package by version and hash, for every supported system, installed as such."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT
from tests.support.systems import SERVERS, entries

LOCKS = ["requirements.lock", "deploy/runpod.lock", "tests/emulators/vastai.lock", "tests/interop/interop.lock"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


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


@pytest.mark.parametrize("system", SERVERS, ids=str)
def test_the_lock_holds_what_each_system_needs(system):
    locked = {canonicalize_name(need.name): need for need, _ in entries("requirements.lock") if system.applies(need)}
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in ("server", "dev"))]
    for need in [need for group in groups for need in map(Requirement, group) if system.applies(need)]:
        if canonicalize_name(need.name) != PROJECT["name"]:
            (version,) = [each.version for each in locked[canonicalize_name(need.name)].specifier]
            assert version in need.specifier
    assert ("pynvvideocodec" in locked) == (system.markers["sys_platform"] == "linux")  # NVIDIA has no wheels for macOS


def test_all_installs_hold_packages_to_their_hashes():
    makefile = (ROOT / "Makefile").read_text()
    for line in re.findall(r"pip install .*(?: -r | --requirement ).*", makefile):
        assert "--require-hashes" in line
