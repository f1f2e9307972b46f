"""Other systems than this one: the index of packages has a file of every locked package for each of them, and its hash
is in the lock; on stand-ins the pair does without what Linux alone has, and the client without Unix."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from encoder.ffmpeg.process import bundled_binary
from tests.support.paths import ROOT
from tests.support.systems import SERVERS, WINDOWS, entries, required
from tools.media_check import footage
from tools.pair import running
from tools.samples import make_subtitles, make_video

pytestmark = pytest.mark.interop

# No wheel is published of it; it is Python alone.
SOURCE_ONLY = "pysrt"
TIMEOUT_SECONDS = 170
FOLDER = Path(__file__).resolve().parent


@pytest.mark.parametrize(
    ("system", "names"),
    [*((system, None) for system in SERVERS), (WINDOWS, required("api-gpu", set(), WINDOWS))],
    ids=str,
)
def test_each_package_can_be_had(system, names, tmp_path):
    locked = {
        canonicalize_name(need.name): (f"{need.name}{need.specifier}", hashes)
        for need, hashes in entries("requirements.lock")
        if system.applies(need) and (names is None or canonicalize_name(need.name) in names)
    }
    assert names is None or names == locked.keys()
    listed = tmp_path / "requirements.txt"
    # Of this system's own Python pip would judge the markers; and it holds no hashes where it only looks.
    listed.write_text("\n".join(line for line, _ in locked.values()))
    found = chosen(listed, system, tmp_path)
    assert found.keys() == locked.keys()
    assert {name for name, digest in found.items() if digest not in locked[name][1]} == set()


def chosen(listed, system, folder):
    """The packages that pip would take for the system, with the hash of the file of each."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--report", "-", "--quiet", "--no-deps"]
    command += ["--ignore-installed", "--target", folder / "nowhere", "--disable-pip-version-check"]
    command += ["--only-binary", ":all:", "--no-binary", SOURCE_ONLY, "--python-version", "3.11"]
    command += [word for tag in system.tags for word in ("--platform", tag)]
    done = subprocess.run([*command, "--requirement", listed], capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    assert done.returncode == 0, done.stderr
    return {canonicalize_name(item["metadata"]["name"]): digest(item) for item in json.loads(done.stdout)["install"]}


def digest(item):
    """The hash of the file, as locks write it."""
    return f"sha256:{item['download_info']['archive_info']['hashes']['sha256']}"


def test_a_pair_does_without_what_linux_alone_has(tmp_path):
    """Without the programs that shut in or limit, too."""
    video = make_video(tmp_path / "talk.mp4")
    subtitles = make_subtitles(tmp_path / "talk.srt", footage(video).seconds)
    paths = os.pathsep.join([str(FOLDER / "macos"), str(ROOT), str(ROOT / "gen")])
    settings = {"PYTHONPATH": paths, "PATH": str(tmp_path), "FFMPEG_BINARY": str(bundled_binary())}
    with running(tmp_path / "data", **settings) as pair, pair.client() as client:
        job = client.caption(video, subtitles)
        client.download(job.wait().asset, tmp_path / "captioned.mp4")
        assert footage(tmp_path / "captioned.mp4").frames == footage(video).frames
        assert not [one for one in pair.service("encoder").children() if "fork_server" in " ".join(one.cmdline())]


def test_the_client_does_without_unix():
    done = subprocess.run([sys.executable, FOLDER / "windows_client.py"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "caption" in done.stdout
