"""docs/licences.md and NOTICE list what is shipped, and no less."""

import re
from importlib import metadata

from api_gpu import notices
from tests.support.paths import ROOT
from tests.support.systems import required
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


def test_what_make_licences_writes_is_what_the_code_gives():
    assert (ROOT / "NOTICE").read_text() == licences.notice()
    assert licences.heeded_table() in PAGE
    assert notices.HEEDED.keys() <= listed("packages").keys()


def test_the_gateway_is_free_of_the_gpl_and_the_encoder_is_not():
    named = listed("packages")

    def under_it(extra):
        needed = required("api-gpu", {extra})
        heeded = {name: notices.HEEDED[name].licence for name in needed & notices.HEEDED.keys()}
        return {name for name in needed if "GPL" in named[name] + heeded.get(name, "")}

    assert under_it("gateway") == set()
    # faust-cchardet is offered under the MPL too, which is taken.
    assert under_it("encoder") - {"faust-cchardet"} == {"imageio-ffmpeg", "av", "opencv-python-headless", "pysrt"}


def test_the_notices_have_each_package_and_the_texts_that_packages_lack():
    names = required("api-gpu", {"gateway", "encoder"})
    text = "\n".join(notices.notices(map(metadata.distribution, names)))
    heads = re.findall(rf"^{notices.RULE}\n([a-z0-9-]+) \S+: .+$", text, re.MULTILINE)
    assert heads == sorted(names)
    for name in {name for heeded in notices.HEEDED.values() for name in heeded.texts}:
        assert f"\n{name}\n" in text
        assert notices.ADDRESSES[name] in text or (notices.TEXTS / name).read_text() in text
