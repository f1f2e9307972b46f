"""A film that is watched while it is made: by Chromium with hls.js, from its first piece on, and by the same link to
its end; and its playlists as a library reads them that was made for them."""

import json
import queue
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import m3u8
import pytest

from tests.interop.test_film_players import curl, upload
from tests.interop.toolchain import SOURCES, run, workplace
from tests.support import judge, media
from tests.support.missing import need
from tests.support.until import until_sync
from tools import pair as pairs
from tools.pair import Pair

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

BROWSER_SECONDS = 240
RATE, SIZE = 25, (320, 180)
SECONDS, FADE, SCENES = 2.4, 0.4, 4
LENGTH = SCENES * SECONDS - (SCENES - 1) * FADE
HELD = 2


class Site(BaseHTTPRequestHandler):
    """Serves the page and hls.js, and a picture that an encoder gets to plan with, and to encode once it is released;
    takes what the page tells."""

    folder: Path
    picture: bytes
    asked: list[str]
    released: threading.Event
    told: "queue.Queue[dict[str, Any]]"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/held.png":
            self.asked.append(path)
            if len(self.asked) > 1:
                self.released.wait(BROWSER_SECONDS)
            self._send(self.picture, "image/png")
        elif path == "/hls.js":
            self._send((self.folder / "node_modules/hls.js/dist/hls.min.js").read_bytes(), "text/javascript")
        elif path == "/":
            self._send((SOURCES / "players" / "preview.html").read_bytes(), "text/html")
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


@contextmanager
def site(picture: Path) -> Iterator[tuple[str, type[Site]]]:
    folder = workplace("players")
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    values = {"folder": folder, "picture": picture.read_bytes(), "asked": [], "released": threading.Event()}
    handler = type("PreviewSite", (Site,), {**values, "told": queue.Queue()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", handler
        finally:
            handler.released.set()
            server.shutdown()


@contextmanager
def browser(url: str, folder: Path) -> Iterator[None]:
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run"]
    options += ["--autoplay-policy=no-user-gesture-required", f"--user-data-dir={folder}"]
    running = subprocess.Popen(
        ["chromium", *options, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        running.terminate()
        running.wait()


def submit(pair: Pair, folder: Path, held: str) -> str:
    """A story of four stills with a narration, of which one picture is not there yet; the id of its job."""
    names = [upload(pair, media.image(folder / f"still{number}.png")) for number in range(SCENES)]
    voice = upload(pair, media.tone(folder / "voice.wav", 4))
    scenes = [{"image_url": name, "duracao": SECONDS} for name in names]
    scenes[HELD]["image_url"] = held
    shape = {"width": SIZE[0], "height": SIZE[1], "frame_rate": RATE, "transition": {"seconds": FADE}}
    body = folder / "story.json"
    body.write_text(json.dumps({"scenes": scenes, "url_audio": voice, "preview": True, **shape}))
    wanted = ["-H", "Prefer: respond-async", "-d", f"@{body}"]
    return str(json.loads(curl(pair, *wanted, f"{pair.http_url}/video/story"))["id"])


def job_of(pair: Pair, job_id: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(curl(pair, f"{pair.http_url}/job/{job_id}"))
    return told


def fetched(url: str, part: str = "") -> Any:
    """An answer to a page of another origin: its head, and its body; of a `part`, "size@offset", alone."""
    size, _, offset = part.partition("@")
    headers = {"Origin": "https://page.example"}
    if part:
        headers["Range"] = f"bytes={offset}-{int(offset) + int(size) - 1}"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        assert answer.headers["access-control-allow-origin"] == "*"
        return answer.headers, answer.read()


def put_together(url: str, path: Path) -> m3u8.M3U8:
    """Write what a playlist consists of to a file, and return it."""
    _, text = fetched(url)
    found = m3u8.loads(text.decode(), uri=url)
    (header,) = found.segment_map
    parts = [(header.absolute_uri, header.byterange), *((one.absolute_uri, one.byterange) for one in found.segments)]
    path.write_bytes(b"".join(fetched(uri, part)[1] for uri, part in parts))
    return found


def check_playlists(link: str, folder: Path) -> None:
    head, text = fetched(link)
    assert head["content-type"] == "application/vnd.apple.mpegurl"
    master = m3u8.loads(text.decode(), uri=link)
    (stream,), (heard,) = master.playlists, master.media
    assert stream.stream_info.resolution == SIZE
    for uri, path in ((stream.absolute_uri, folder / "picture.mp4"), (heard.absolute_uri, folder / "sound.mp4")):
        found = put_together(uri, path)
        assert (found.is_endlist, found.playlist_type) == (True, "event")
        lengths = [segment.duration for segment in found.segments]
        assert sum(lengths) == pytest.approx(LENGTH, abs=0.03)
        assert max(map(round, lengths)) <= found.target_duration
    assert judge.facts(folder / "picture.mp4").frames == round(LENGTH * RATE)
    assert len(judge.samples(folder / "sound.mp4")) / judge.RATE == pytest.approx(LENGTH, abs=0.03)


def check_played(told: dict[str, Any]) -> None:
    """It played from one end to the other, and stood still for want of pieces alone."""
    assert (told["name"], told["size"], told["sounds"]) == ("ended", list(SIZE), 1), told
    ((begin, end),) = told["ranges"]
    assert (begin, end) == (0, pytest.approx(LENGTH, abs=0.05))
    assert {event["name"] for event in told["events"]} <= {"waiting", "bufferStalledError"}, told["events"]
    steps = [later - earlier for earlier, later in pairwise(told["shown"])]
    assert min(steps) > 0
    assert max(steps) < FADE  # not a piece was left out, however slow the machine
    assert told["heard"] > 0


def test_chromium_plays_a_film_while_it_is_made_and_the_whole_by_the_same_link(tmp_path: Path) -> None:
    need("chromium", "node", "npm", "curl")
    still = media.image(tmp_path / "held.png")
    with pairs.running(tmp_path / "pair", FETCH_ALLOW_CIDRS="127.0.0.0/8") as pair, site(still) as (root, page):
        job_id = submit(pair, tmp_path, f"{root}/held.png")
        until_sync(lambda: job_of(pair, job_id)["preview"]["sound"], 120)
        preview = job_of(pair, job_id)["preview"]
        assert (preview["seconds"], preview["complete"]) == (SECONDS, False)
        address = f"{root}/?url={quote(preview['url'], safe='')}"
        with browser(address, tmp_path / "browser"):
            begun = page.told.get(timeout=BROWSER_SECONDS)
            assert (begun["name"], job_of(pair, job_id)["status"]) == ("begun", "IN_PROGRESS"), begun
            assert max(end for _, end in begun["ranges"]) <= SECONDS
            page.released.set()
            check_played(page.told.get(timeout=BROWSER_SECONDS))
        until_sync(lambda: job_of(pair, job_id)["status"] == "COMPLETED", 120)
        assert job_of(pair, job_id)["preview"]["complete"]
        assert job_of(pair, job_id)["output"]["warnings"] == []
        with browser(address, tmp_path / "again"):
            assert page.told.get(timeout=BROWSER_SECONDS)["name"] == "begun"
            again = page.told.get(timeout=BROWSER_SECONDS)
        check_played(again)
        # Once all is there, nothing is waited for at the joints.
        assert [event for event in again["events"] if event["at"] > 0] == []
        check_playlists(preview["url"], tmp_path)
