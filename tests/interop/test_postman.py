"""The collection of requests, by newman: the first steps caption a video, and every example is one that is answered."""

import re
from pathlib import Path

import pytest

from tests.interop.contract import make_inputs
from tests.interop.toolchain import run, workplace
from tests.support import media
from tests.support.missing import need
from tests.support.paths import ROOT
from tools.pair import running

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

COLLECTION = ROOT / "docs" / "collections" / "api-gpu.postman_collection.json"
KEY = "an admin's key of these tests"
# What the examples name, by what is there for them.
HOST = re.compile(r"https://example\.com/\w+\.(\w+)")
LONG = [("duracao", 5), ("duracao", 4), ("at_seconds", 12.5), ("start", 2), ("end", 9)]
MADE_UP = "assets/ktwx5q3mzr7c2hvb6ynd4fjgle"


@pytest.fixture(scope="module")
def newman() -> Path:
    """A folder with newman."""
    need("node", "npm")
    folder = workplace("postman")
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    return folder


def test_the_first_steps_and_every_example_are_answered(newman: Path, tmp_path: Path) -> None:
    video, subtitles = make_inputs(tmp_path)
    files = {"jpg": media.image(tmp_path / "a.jpg", "64x36"), "mp3": media.tone(tmp_path / "a.mp3", 1)}
    files |= {"mp4": media.video(tmp_path / "a.mp4", 10, "64x36"), "srt": subtitles}
    with running(tmp_path / "pair", RATE_LIMIT_PER_MINUTE="0", ADMIN_API_KEY=KEY) as pair, pair.client() as client:
        assets = {ending: client.upload(file).name for ending, file in files.items()}
        talk = client.upload(video).name
        text = re.sub(HOST, lambda found: assets[found[1]], COLLECTION.read_text()).replace(MADE_UP, talk)
        for name, seconds in LONG:
            text = text.replace(f'\\"{name}\\": {seconds}', f'\\"{name}\\": {2 if name == "end" else 1}')
        (newman / "collection.json").write_text(text)
        variables = {"baseUrl": pair.http_url, "key": KEY, "video": talk, "subtitles": assets["srt"]}
        given = [each for name, value in variables.items() for each in ("--env-var", f"{name}={value}")]
        run("node_modules/.bin/newman", "run", "collection.json", *given, "--timeout-request", "120000", folder=newman)
        done = {job.operation for job in client.jobs() if job.status == "COMPLETED"}
    assert {"caption", "img2vid", "addaudio", "concat", "thumbnail", "frame", "story", "probe"} <= done
