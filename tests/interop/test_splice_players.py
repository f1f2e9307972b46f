"""A film of which only some frames were encoded, as others read it: Chromium's player, Cisco's decoder and
GPAC's reader of MP4. Nothing is to be seen of the places at which it was put together."""

import json
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from api_gpu import Client, Job, Scene
from tests.interop.test_film_players import means, played
from tests.interop.toolchain import run, workplace
from tests.support import judge, media
from tests.support.missing import need
from tools.pair import Pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

RATE, SIZE, SECONDS = 25, (320, 180), 12
CUES = ((3.3, 3.9), (8.1, 8.4))
NEAR = 6.0
HD = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
KINDS = {
    "high": ("-preset", "medium", "-g", "50", "-x264-params", "bframes=3:b-pyramid=normal:ref=4"),
    "baseline": ("-profile:v", "baseline", "-g", "40"),
    "full-range": ("-g", "50", "-vf", "scale=out_range=pc,format=yuvj420p", "-pix_fmt", "yuvj420p"),
}


@dataclass(frozen=True)
class Spliced:
    """A source, what was made of it, and which of its frames are the source's own, in the order of the film."""

    source: Path
    path: Path
    copied: list[bool]

    @property
    def joints(self) -> list[int]:
        """The frames at which copied ones go on as encoded ones, or the other way."""
        return [n for n in range(1, len(self.copied)) if self.copied[n] != self.copied[n - 1]]


def packets(path: Path) -> list[bytes]:
    """The packets of a video in the order in which they are shown."""
    with av.open(str(path)) as container:
        found = [(packet.pts or 0, bytes(packet)) for packet in container.demux(video=0) if packet.size]
    return [data for _, data in sorted(found)]


def caption(client: Client, source: Path, folder: Path) -> Job:
    cues = media.srt(folder / "s.srt", [(start, end, "Words between") for start, end in CUES])
    return client.caption(source, cues).wait()


def join(client: Client, source: Path, folder: Path) -> Job:
    """Put three parts of the source together again, of which the one between is of another codec meanwhile."""
    first, second, third = folder / "1.mp4", folder / "2.mkv", folder / "3.mp4"
    media.run("-i", source, "-frames:v", "100", "-c", "copy", first)
    media.run("-ss", "4", "-t", "2", "-i", source, "-c:v", "ffv1", "-c:a", "flac", second)
    media.run("-ss", "6", "-i", source, "-c", "copy", third)
    return client.concat([first, second, third]).wait()


def tell(client: Client, source: Path, folder: Path) -> Job:
    """Make a story of two scenes, which are the source up to a place between keyframes, and from there on."""
    scenes = [Scene(video=source, end=5), Scene(video=source, start=5)]
    return client.story(scenes, width=SIZE[0], height=SIZE[1], fps=RATE).wait()


@pytest.fixture(
    scope="module",
    params=[("high", caption), ("baseline", caption), ("full-range", caption), ("high", join), ("high", tell)],
    ids=["high", "baseline", "full-range", "joined", "story"],
)
def spliced(request: pytest.FixtureRequest, pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Spliced:
    kind, make = request.param
    folder = tmp_path_factory.mktemp("splice")
    size = f"{SIZE[0]}x{SIZE[1]}"
    source = media.video(folder / "source.mp4", SECONDS, size, RATE, True, *KINDS[kind], *HD)
    with pair.client() as client:
        job = make(client, source, folder)
        client.download(job.asset, folder / "out.mp4")
    copied = [one == other for one, other in zip(packets(source), packets(folder / "out.mp4"), strict=True)]
    assert sum(copied) > SECONDS * RATE // 2
    return Spliced(source, folder / "out.mp4", copied)


def test_a_reader_of_mp4_has_no_complaints(spliced: Spliced) -> None:
    need("node", "npm")
    folder = workplace("players")
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    done = subprocess.run(["node", "check.js", spliced.path], cwd=folder, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["complaints"] == []
    for track in told["tracks"]:
        assert (track["gaps"], track["outside"], track["descriptions"]) == (0, 0, 1)
    (video,) = (track for track in told["tracks"] if track["kind"] == "video")
    step = video["timescale"] // RATE
    begin = video["edits"][0]["media_time"]
    assert video["times"] == [begin + step * number for number in range(SECONDS * RATE)]
    assert {number for number in spliced.joints if spliced.copied[number]} <= set(video["syncs"])
    assert {number for number in spliced.joints if not spliced.copied[number]} <= set(video["syncs"])


def test_chromium_plays_over_the_joints_and_seeks_to_any_place(spliced: Spliced, tmp_path: Path) -> None:
    need("chromium")
    frames = judge.pictures(spliced.path)
    near = {joint + by for joint in spliced.joints for by in range(-6, 6)}
    chance = random.Random(7)
    looked_at = [*sorted({0, len(frames) - 1, *near}), *(chance.randrange(len(frames)) for _ in range(100))]
    told = played(spliced.path, [(number + 0.5) / RATE for number in looked_at], tmp_path / "browser")
    assert "error" not in told, told
    ours = np.array([means(frame) for frame in frames])
    for number, seen in zip(looked_at, told["frames"], strict=True):
        assert seen["at"] is None or round(seen["at"] * RATE) == number
        gaps = np.abs(ours - np.array(seen["columns"])).mean(axis=(1, 2))
        assert gaps[number] < NEAR, number
        assert gaps[number] < gaps.min() + 1, (number, int(gaps.argmin()))
    assert len(told["ranges"]) == 1
    assert (told["played"]["events"], told["played"]["corrupted"]) == ([], 0)
    shown = told["played"]["shown"]
    assert shown == sorted(shown)


def by_cisco(path: Path) -> "np.ndarray[tuple[int, int], np.dtype[np.int16]]":
    """The frames of a video as openh264 decodes them, each as the bytes of yuv420p."""
    out = path.with_suffix(".yuv")
    words = ["filesrc", f"location={path}", "!", "qtdemux", "!", "h264parse", "!", "openh264dec", "!"]
    words += ["videoconvert", "!", "video/x-raw,format=I420", "!", "filesink", f"location={out}"]
    subprocess.run(["gst-launch-1.0", "-q", *words], check=True, timeout=60)
    return np.fromfile(out, np.uint8).reshape(-1, SIZE[0] * SIZE[1] * 3 // 2).astype(np.int16)


def test_ciscos_decoder_shows_what_it_shows_of_the_source(spliced: Spliced) -> None:
    need("gst-launch-1.0")
    theirs, ours = by_cisco(spliced.source), by_cisco(spliced.path)
    assert len(theirs) == len(ours) == len(spliced.copied)
    gaps = np.abs(theirs - ours).mean(axis=1)
    other = {number for number, gap in enumerate(gaps) if gap and spliced.copied[number]}
    # With B-frames it takes pictures beside an IDR for each other, those of x264 alone too.
    assert other <= {joint + by for joint in spliced.joints for by in range(-3, 3)}
    decoded = np.array([frame.ravel() for frame in judge.pictures(spliced.path, "yuv420p")], np.int16)
    for number, frame in enumerate(ours):
        near = decoded[max(number - 6, 0) : number + 7]
        assert np.abs(near - frame).mean(axis=1).min() < 3, number
