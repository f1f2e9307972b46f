"""`api-gpu caption` while its gateway is killed: at whichever moment, the video is there in the end, and nothing beside
it."""

import os
import random
import signal
import subprocess
import threading
import time

import pytest

from tests.chaos.services import ServiceProcess
from tests.support.command_line import command
from tests.support.lone_gateway import KEY, LoneGateway
from tests.support.until import until_sync
from tools.media_check import footage
from tools.pair import OUTSIDE, free_ports
from tools.samples import ffmpeg

KILLS = 20
SEED = int(os.environ.get("CHAOS_SEED", "1"))
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


def captioned(gateway, folder, video, srt, name):
    """The process of a caption."""
    inherited = {key: value for key, value in os.environ.items() if key not in OUTSIDE}
    environment = {
        **inherited,
        "API_GPU_SERVER": gateway.target,
        "X_API_KEY": KEY,
        "API_GPU_CA": str(gateway.certificates / "ca.crt"),
        "API_GPU_CERT": str(gateway.certificates / "client.crt"),
        "API_GPU_CERT_KEY": str(gateway.certificates / "client.key"),
    }
    arguments = command("caption", video, srt, "-o", name)
    return subprocess.Popen(arguments, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def killed_meanwhile(gateway, running, chance, seconds):
    """Kill the gateway at some moment of a command, which is to succeed; what it had said last before."""
    told = []
    reading = threading.Thread(target=lambda: told.extend(running.stderr))
    reading.start()
    time.sleep(chance.uniform(0.0, seconds))
    gateway.end(signal.SIGKILL)
    last = told[-1].strip() if told else "nothing"
    time.sleep(chance.uniform(0.0, 1.0))
    gateway.start()
    assert running.wait(120) == 0, told
    reading.join()
    return last


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_caption_outlives_its_gateway_at_any_moment(gateway, tmp_path):
    video, srt, chance = tmp_path / "video.mp4", tmp_path / "text.srt", random.Random(SEED)
    # Of noise, so that there is something to upload and to download.
    picture = "nullsrc=size=640x360:rate=25:duration=4,geq=random(1)*255:128:128"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-qp", "24", "-pix_fmt", "yuv420p", str(video))
    srt.write_text(SRT)
    begun = time.monotonic()
    with captioned(gateway, tmp_path, video, srt, "alone.mp4") as alone:
        told = alone.communicate(timeout=120)
        assert alone.returncode == 0, told
    seconds, kills = time.monotonic() - begun, []
    for number in range(KILLS):
        with captioned(gateway, tmp_path, video, srt, f"{number}.mp4") as running:
            kills.append(killed_meanwhile(gateway, running, chance, seconds))
        assert footage(tmp_path / f"{number}.mp4").frames == footage(video).frames == 100
    print(f"killed {KILLS} times, when the command had said last: {sorted(kills)}")
    # Uploads are deleted by the command, the results by nobody; what a gateway left that was killed is deleted too.
    until_sync(lambda: gateway.http.get("/jobs", params={"page_size": 100}).json()["counts"]["COMPLETED"] == KILLS + 1)
