"""Small media, a web server that misbehaves on demand, and a pair with tight limits."""

import contextlib
import http.server
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tools.pair import running
from tools.samples import ffmpeg

SECONDS = 2.0
RATE = 25
TEXT = "CAPTIONS ARE BURNED IN HERE\nWHERE EVERYBODY CAN READ THEM"
SRT = f"1\n00:00:00,400 --> 00:00:00,800\n{TEXT}\n\n2\n00:00:01,200 --> 00:00:01,600\n{TEXT}\n"
LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Media:
    """Local files: 2 s of 320×180 at 25 fps with a tone, and what the operations need beside it."""

    folder: Path
    video: Path
    silent: Path
    srt: Path
    image: Path
    tone: Path

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path


@pytest.fixture(scope="session")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    picture = f"testsrc2=size=320x180:rate={RATE}:duration={SECONDS:g}"
    x264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    names = [folder / name for name in ("video.mp4", "silent.mp4", "captions.srt", "still.png", "tone.wav")]
    tone = f"sine=frequency=440:duration={SECONDS:g}"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, *x264, "-c:a", "aac", str(names[0]))
    ffmpeg("-f", "lavfi", "-i", picture, *x264, str(names[1]))
    names[2].write_text(SRT)
    ffmpeg("-f", "lavfi", "-i", "mandelbrot=size=640x360", "-frames:v", "1", str(names[3]))
    ffmpeg("-f", "lavfi", "-i", "sine=frequency=550:duration=1.2", str(names[4]))
    return Media(folder, *names)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the files of `folder`; /slow sends a little and stalls, /endless never ends, /inward redirects."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self):
        name = self.path.strip("/")
        if name == "slow":
            self._head(200, 1000)
            self.wfile.write(b"x" * 10)
            self.wfile.flush()
            time.sleep(8)
        elif name == "endless":
            self.send_response(200)
            self.end_headers()
            for _ in range(LIMIT_BYTES // 65536 + 64):
                self.wfile.write(b"x" * 65536)
        elif name == "huge":
            self._head(200, LIMIT_BYTES * 100)
        elif name == "inward":
            self.send_response(302)
            self.send_header("Location", "http://10.1.2.3/secret")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif name and (self.folder / name).is_file():
            data = (self.folder / name).read_bytes()
            self._head(200, len(data))
            self.wfile.write(data)
        else:
            self._head(404, 0)

    def _head(self, status, size):
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def handle(self):
        with contextlib.suppress(ConnectionError):  # the gateway has seen enough
            super().handle()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def web(media):
    """URL of the server."""
    handler = type("FolderHandler", (Handler,), {"folder": media.folder})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def strict_pair(tmp_path_factory):
    """A pair with limits that tests can reach."""
    limits = {
        "FETCH_ALLOW_CIDRS": "127.0.0.0/8",
        "FETCH_IDLE_SECONDS": "1",
        "MAX_ASSET_BYTES": str(LIMIT_BYTES),
        "MAX_DURATION_SECONDS": "30",
    }
    with running(tmp_path_factory.mktemp("strict"), **limits) as pair:
        yield pair


@pytest.fixture
def http_of():
    """An HTTP client of a pair, with its key."""
    opened = []

    def make(pair, key=None):
        headers = {"X-API-Key": pair.key if key is None else key}
        opened.append(httpx.Client(base_url=pair.http_url, headers=headers, timeout=60))
        return opened[-1]

    yield make
    for client in opened:
        client.close()
