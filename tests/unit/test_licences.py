"""docs/licences.md lists what is shipped, and no less."""

import re

from tests.support.paths import ROOT
from tools import licences

PAGE = (ROOT / "docs" / "licences.md").read_text()


def listed(table):
    body = PAGE.partition(licences.BEGIN.format(table))[2].partition(licences.END)[0]
    return dict(re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", body.partition("|---|---|")[2], re.MULTILINE))


def test_every_package_that_is_shipped_is_listed_with_its_licence():
    needed = licences.shipped() & set(licences.locked(ROOT / "requirements.lock"))
    assert {"grpcio", "pysrt", "imageio-ffmpeg", "manimgx-fonts-cjk", "cryptography"} <= needed
    assert not {"pytest", "mypy", "hypothesis"} & needed
    assert listed("packages").keys() == needed


def test_every_package_of_the_worker_of_runpod_is_listed():
    assert listed("runpod").keys() == set(licences.locked(ROOT / "deploy" / "runpod.lock"))


def test_what_binds_who_passes_a_copy_on_is_named():
    copyleft = {name for name, licence in listed("packages").items() if "GPL" in licence or "OFL" in licence}
    heeded = PAGE.partition("## What to heed")[2].partition("## Packages")[0]
    assert copyleft
    for name in copyleft | {"imageio-ffmpeg", "av"}:
        assert f"| {name} |" in heeded
