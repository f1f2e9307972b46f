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
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.interop.test_film_players import curl, upload
from tests.interop.toolchain import SOURCES, run, workplace
from tests.support import media
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


def fetched(url: str, **headers: str) -> tuple[dict[str, str], bytes]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        return {name.lower(): value for name, value in answer.headers.items()}, answer.read()


def test_chromium_plays_a_film_while_it_is_made_and_the_whole_by_the_same_link(tmp_path: Path) -> None:
    need("chromium", "node", "npm", "curl")
    still = media.image(tmp_path / "held.png")
    with pairs.running(tmp_path / "pair", FETCH_ALLOW_CIDRS="127.0.0.0/8") as pair, site(still) as (root, page):
        job_id = submit(pair, tmp_path, f"{root}/held.png")
        until_sync(lambda: job_of(pair, job_id)["preview"]["sound"], 120)
        link = job_of(pair, job_id)["preview"]["url"]
        address = f"{root}/?url={quote(link, safe='')}"
        with browser(address, tmp_path / "browser"):
            begun = page.told.get(timeout=BROWSER_SECONDS)
            assert (begun["name"], job_of(pair, job_id)["status"]) == ("begun", "IN_PROGRESS"), begun
            page.released.set()
            ended = page.told.get(timeout=BROWSER_SECONDS)
        assert ended["name"] == "ended"
        until_sync(lambda: job_of(pair, job_id)["status"] == "COMPLETED", 120)
        job = job_of(pair, job_id)
        with browser(address, tmp_path / "again"):
            page.told.get(timeout=BROWSER_SECONDS)
            whole = page.told.get(timeout=BROWSER_SECONDS)
        print(json.dumps([begun, ended, whole, job])[:6000])
