"""A film as others read it: asked for by curl, played by Chromium, and held against GPAC's reader of MP4. Nothing is to
be seen or heard of the joints between its scenes."""

import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.interop.toolchain import SOURCES, run, workplace
from tests.support import judge, media
from tests.support.missing import need
from tools.pair import Pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

BROWSER_SECONDS = 240
RATE, SIZE = 25, (320, 180)
PRIMING = 1024
# Pictures of the browser's are ours, but for the rounding of colors.
NEAR, COLUMNS = 6.0, 8


@dataclass(frozen=True)
class Made:
    """A film, and the answer that told of it."""

    path: Path
    answer: dict[str, Any]

    @property
    def is_fragmented(self) -> bool:
        """Whether it came while it was made."""
        return b"moof" in self.path.read_bytes()

    @property
    def joints(self) -> list[int]:
        """The first frames of all scenes but the first one."""
        return [round(scene["start"] * RATE) for scene in self.answer["scenes"][1:]]


def curl(pair: Pair, *arguments: str | Path) -> str:
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", "-H", f"X-API-Key: {pair.key}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def upload(pair: Pair, path: Path) -> str:
    return str(json.loads(curl(pair, "-T", path, f"{pair.http_url}/assets/"))["name"])


@pytest.fixture(scope="module", params=["mp4", "fragmented-mp4"])
def film(request: pytest.FixtureRequest, pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Stills and a video, all kinds of joints, narration, captions and music, asked for by curl."""
    need("curl")
    folder = tmp_path_factory.mktemp("film")
    still, clip = media.image(folder / "still.png"), media.video(folder / "clip.mp4", 2, "320x180", 30, True)
    names = {path: upload(pair, path) for path in (still, clip, media.tone(folder / "voice.wav", 4))}
    voice = names[folder / "voice.wav"]
    scenes = [
        {"image_url": names[still], "duracao": 1.3, "motion": {"pan": "left"}},
        {"url_video": names[clip], "end": 1.5},
        {"image_url": names[still], "duracao": 1.2, "transition": {"kind": "cut"}},
        {"image_url": names[still], "duracao": 1, "motion": {"zoom_out": True}},
    ]
    srt = "1\n00:00:00,500 --> 00:00:02,000\nOver the first joint\n\n2\n00:00:02,000 --> 00:00:04,000\nAnd more\n"
    more = {"url_audio": voice, "srt_text": srt, "transition": {"kind": "crossfade", "seconds": 0.4}}
    shape = {"width": SIZE[0], "height": SIZE[1], "frame_rate": RATE, "container": request.param}
    body = folder / "story.json"
    body.write_text(json.dumps({"scenes": scenes, **more, **shape}))
    answer = json.loads(curl(pair, "-d", f"@{body}", f"{pair.http_url}/video/story"))
    curl(pair, "-o", folder / "film.mp4", answer["video_url"])
    return Made(folder / "film.mp4", answer)


# Of fragments each has a table of its own.
@pytest.mark.parametrize("film", ["mp4"], indirect=True)
def test_every_frame_and_sample_of_it_is_there_once(film: Made) -> None:
    need("node", "npm")
    folder = workplace("players")
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    done = subprocess.run(["node", "check.js", film.path], cwd=folder, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["complaints"] == []
    assert told["boxes"] in (["ftyp", "moov", "mdat"], ["ftyp", "moov", "free", "mdat"])
    tracks = {track["kind"]: track for track in told["tracks"]}
    assert set(tracks) == {"video", "audio"}
    seconds, frames = film.answer["duration"], round(film.answer["duration"] * RATE)
    assert told["movie_duration"] / told["movie_timescale"] == pytest.approx(seconds, abs=1e-6)
    for track in tracks.values():
        assert (track["gaps"], track["outside"], track["descriptions"]) == (0, 0, 1)
        assert track["length"] == track["media_duration"]
        assert track["track_duration"] / told["movie_timescale"] == pytest.approx(seconds, abs=1e-6)
        (edit,) = track["edits"]
        assert (edit["rate"], edit["duration"]) == (1, track["track_duration"])
    video, audio = tracks["video"], tracks["audio"]
    step = video["timescale"] // RATE
    begin = video["edits"][0]["media_time"]
    assert video["times"] == [begin + step * number for number in range(frames)]
    # Each piece begins with a picture that needs no other: at the end of the transition before it.
    assert {0, *film.joints} - set(video["syncs"]) <= {film.joints[0], film.joints[1]}
    assert len(video["syncs"]) >= len(film.joints) + 1
    assert audio["edits"][0]["media_time"] == PRIMING
    assert audio["length"] - PRIMING - seconds * audio["timescale"] in range(1024)


class Site(BaseHTTPRequestHandler):
    """Serves the page, the film by ranges, and what is wanted of it; takes what the page tells."""

    film: Path
    wanted: list[float]
    told: "queue.Queue[dict[str, Any]]"

    def do_GET(self) -> None:
        if self.path == "/film.mp4":
            self._send_film()
        elif self.path == "/wanted":
            self._send(json.dumps(self.wanted).encode(), "application/json")
        elif self.path == "/":
            self._send((SOURCES / "players" / "page.html").read_bytes(), "text/html")
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        self.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send(b"", "text/plain")

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_film(self) -> None:
        content = self.film.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:])


@contextmanager
def site(film: Path, wanted: list[float]) -> Iterator[tuple[str, "queue.Queue[dict[str, Any]]"]]:
    told: queue.Queue[dict[str, Any]] = queue.Queue()
    handler = type("FilmSite", (Site,), {"film": film, "wanted": wanted, "told": told})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", told
        server.shutdown()


def played(film: Path, wanted: list[float], folder: Path) -> dict[str, Any]:
    """What Chromium tells of a film, and of its frames at the wanted times."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run"]
    options += ["--autoplay-policy=no-user-gesture-required", f"--user-data-dir={folder}"]
    with site(film, wanted) as (url, told):
        browser = subprocess.Popen(
            ["chromium", *options, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return told.get(timeout=BROWSER_SECONDS)
        finally:
            browser.terminate()
            browser.wait()


def means(frame: judge.Picture) -> list[Any]:
    """The mean color of each column, as the page tells it."""
    return [part.reshape(-1, 3).mean(axis=0) for part in np.array_split(frame, COLUMNS, axis=1)]


def test_chromium_plays_it_without_a_glitch(film: Made, tmp_path: Path) -> None:
    need("chromium")
    frames = judge.pictures(film.path)
    looked_at = sorted({0, len(frames) - 1, *(joint + by for joint in film.joints for by in range(-8, 8))})
    told = played(film.path, [(number + 0.5) / RATE for number in looked_at], tmp_path / "browser")
    assert "error" not in told, told
    # Fragments have no list that ends the last packet of sound where the film does.
    spare = 1024 / 48_000 if film.is_fragmented else 0.001
    assert told["seconds"] == pytest.approx(film.answer["duration"], abs=spare + 1e-6)
    ours = np.array([means(frame) for frame in frames])
    for number, seen in zip(looked_at, told["frames"], strict=True):
        assert seen["at"] is None or round(seen["at"] * RATE) == number
        gaps = np.abs(ours - np.array(seen["columns"])).mean(axis=(1, 2))
        assert gaps[number] < NEAR, number
        # No other frame is more like it, as far as frames differ at all.
        assert gaps[number] < gaps.min() + 1, (number, int(gaps.argmin()))
    # One stretch, from one end to the other; every frame that was shown stands on the clock of the film.
    ((begin, end),) = told["ranges"]
    assert (begin, end) == (0, pytest.approx(told["seconds"], abs=0.05))
    shown = told["played"]["shown"]
    assert (told["played"]["events"], told["played"]["corrupted"]) == ([], 0)
    assert shown == sorted(shown)
    assert [round(time * RATE) / RATE for time in shown] == pytest.approx(shown, abs=1e-4)
    # The sound is as long as the film, and as loud at each moment as ours: none of it is shifted or missing.
    sound = judge.samples(film.path)
    levels = np.sqrt((sound[: len(sound) // 48 * 48].reshape(-1, 48) ** 2).mean(axis=1))
    theirs = np.array(told["sound"]["levels"])
    assert told["sound"]["samples"] == pytest.approx(film.answer["duration"] * 48_000, abs=1024)
    count = min(len(levels), len(theirs))
    # A browser mixes two channels down by half, others by their power.
    theirs *= levels[:count].sum() / theirs[:count].sum()
    assert np.abs(levels[:count] - theirs[:count]).mean() < 0.03 * levels.max()
