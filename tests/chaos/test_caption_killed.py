"""`api-gpu caption` while its gateway is killed: while it uploads, submits, waits or downloads, at whichever moment,
the video is there in the end, and nothing beside it."""

import os
import random
import signal
import struct
import subprocess
import time
from collections import Counter

import pytest

from tests.chaos.services import ServiceProcess
from tests.support.command_line import command
from tests.support.lone_gateway import KEY, LoneGateway
from tests.support.relay import Relay
from tests.support.until import until_sync
from tools.media_check import footage
from tools.pair import OUTSIDE, free_ports
from tools.samples import ffmpeg

KILLS = 20
PHASES = ("upload", "submit", "wait", "download")
SEED = int(os.environ.get("CHAOS_SEED", "1"))
# Of the line between command and gateway, so that uploads and downloads have moments to be killed at.
BYTES_PER_SECOND = 12 * 1024 * 1024
LOOK_SECONDS = 0.002
SRT = "1\n00:00:00,100 --> 00:00:03,900\nHello\n"


@pytest.fixture
def gateway(tmp_path):
    port, health = free_ports(2)
    for name in ("gateway", "encoder"):
        (tmp_path / name).mkdir()
    served = LoneGateway(tmp_path / "gateway", ENCODERS=f"localhost:{port}")
    files = {f"TLS_{name.upper()}": str(served.certificates / f"encoder.{name}") for name in ("crt", "key")}
    settings = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "HEALTH_PORT": str(health),
        "WORK_DIR": str(tmp_path / "encoder" / "work"),
        "LOGS_DIR": str(tmp_path / "encoder" / "logs"),
        "CODEC": "x264",
        "TLS_CERT": files["TLS_CRT"],
        "TLS_KEY": files["TLS_KEY"],
        "TLS_CA": str(served.certificates / "ca.crt"),
    }
    encoder = ServiceProcess("encoder", tmp_path / "encoder", settings)
    encoder.start()
    try:
        with served:
            until_sync(lambda: served.http.get("/health").json()["encoders"].get("ready") == 1)
            yield served
    finally:
        encoder.end(signal.SIGTERM)


@pytest.fixture
def line(gateway):
    with Relay(gateway.target) as between:
        between.bytes_per_second = BYTES_PER_SECOND
        yield between


class Captioned:
    """A caption over a line, with what can be seen of it from outside."""

    def __init__(self, gateway, line, video, srt, target):
        self.gateway, self.line, self.video, self.target = gateway, line, video, target
        self.before = (line.sent_bytes, len(self.records()), self.open_jobs())
        inherited = {key: value for key, value in os.environ.items() if key not in OUTSIDE}
        environment = {
            **inherited,
            "API_GPU_SERVER": line.address,
            "X_API_KEY": KEY,
            "API_GPU_CA": str(gateway.certificates / "ca.crt"),
            "API_GPU_CERT": str(gateway.certificates / "client.crt"),
            "API_GPU_CERT_KEY": str(gateway.certificates / "client.key"),
        }
        arguments = command("caption", video, srt, "-o", target.name)
        self.process = subprocess.Popen(arguments, cwd=target.parent, env=environment, stderr=-1, text=True)

    def records(self):
        return list((self.gateway.folder / "data" / "assets" / "records").glob("*.json"))

    def open_jobs(self):
        counts = self.gateway.http.get("/jobs").json()["counts"]
        return counts.get("IN_QUEUE", 0) + counts.get("IN_PROGRESS", 0)

    def has_sent(self, share):
        return self.line.sent_bytes - self.before[0] >= share * self.video.stat().st_size

    def is_uploaded(self):
        return len(self.records()) > self.before[1]

    def is_downloading(self):
        parts = self.target.parent.glob(f".{self.target.name[:-4]}*.part")
        return any(part.stat().st_size for part in parts)

    def end(self):
        _, told = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, told


def other_file(video, path):
    """The same film as another file, as one that is stored already would not be uploaded again."""
    path.write_bytes(video.read_bytes() + struct.pack(">I4s", 24, b"free") + os.urandom(16))
    return path


def reach(caption, phase, chance):
    """Wait for some moment of a phase of a caption."""
    share = chance.uniform(0.05, 0.95)
    begun, seconds = {
        "upload": (lambda: caption.has_sent(share), 0.0),
        "submit": (caption.is_uploaded, 0.03),
        "wait": (caption.open_jobs, 0.3),
        "download": (caption.is_downloading, 0.3),
    }[phase]
    while not begun():
        assert caption.process.poll() is None, f"the command has ended before its {phase} was seen"
        time.sleep(LOOK_SECONDS)
    time.sleep(chance.uniform(0.0, seconds))


def is_in(caption, phase):
    """Return True where the gateway was killed in that phase."""
    if phase == "upload":
        return not caption.is_uploaded()
    return (phase == "download") == caption.is_downloading() and not caption.target.exists()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_caption_outlives_its_gateway_at_any_moment(gateway, line, tmp_path):
    video, srt, chance, hit = tmp_path / "video.mp4", tmp_path / "text.srt", random.Random(SEED), Counter()
    # Of noise, so that there is something to upload and to download.
    picture = "nullsrc=size=640x360:rate=25:duration=4,geq=random(1)*255:128:128"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-qp", "24", "-pix_fmt", "yuv420p", str(video))
    srt.write_text(SRT)
    Captioned(gateway, line, video, srt, tmp_path / "alone.mp4").end()
    for number in range(KILLS):
        phase = PHASES[number % len(PHASES)]
        another = other_file(video, tmp_path / f"source-{number}.mp4")
        caption = Captioned(gateway, line, another, srt, tmp_path / f"{number}.mp4")
        reach(caption, phase, chance)
        gateway.end(signal.SIGKILL)
        hit[phase] += is_in(caption, phase)
        time.sleep(chance.uniform(0.0, 1.0))
        gateway.start()
        caption.end()
        assert footage(caption.target).frames == footage(video).frames == 100
        assert list(tmp_path.glob(".*.part")) == []
    print(f"killed {KILLS} times, surely in these phases: {dict(hit)}")
    # One or the other may have been over by the time that it was killed.
    assert all(hit[phase] >= KILLS // len(PHASES) - 2 for phase in PHASES), hit
    # Uploads and results stay with their jobs; what a gateway left that was killed is deleted too.
    until_sync(lambda: gateway.http.get("/jobs", params={"page_size": 100}).json()["counts"]["COMPLETED"] == KILLS + 1)
