"""JSON in, a machine rented at the emulated Vast.ai with a real encoder on it, a link that opens, and nothing left."""

import contextlib

import httpx
import psutil
import pytest

from tests.emulators.encoderhost import EncoderHost
from tests.emulators.vastemulator import KEY, VastEmulator
from tests.emulators.vastmarket import offer
from tests.support import judge
from tests.support.lone_gateway import LoneGateway
from tests.support.processes import encodes


@pytest.fixture
def vast(tmp_path):
    with VastEmulator([offer()], EncoderHost(tmp_path / "hosts"), time_scale=60) as emulator:
        yield emulator


@pytest.fixture
def gateway(tmp_path, vast):
    settings = {
        "VAST_API_KEY": KEY,
        "VAST_URL": vast.url,
        "VAST_WORKER_IMAGE": "org/encoder:1",
        "FLEET_IDLE_SECONDS": "1",
        "FLEET_GATEWAY_IPS": "127.0.0.0/8",
        "MAX_TASK_SECONDS": "1234",
        "MAX_ASSET_BYTES": "50000000",
    }
    with LoneGateway(tmp_path, **settings) as made:
        yield made


def test_a_job_rents_a_machine_and_pays_for_it_and_no_more(gateway, vast, media):
    job_id = gateway.caption(media.video, media.srt)
    job = gateway.ended(job_id)
    assert job["status"] == "COMPLETED", job
    shown = httpx.get(job["output"]["video_url"], timeout=60)
    assert shown.status_code == 200
    result = gateway.folder / "result.mp4"
    result.write_bytes(shown.content)
    assert len(judge.pictures(result)) == 50
    assert job["cost"]["usd"] > 0

    gateway.until(lambda: not [m for m in gateway.fleet()["machines"] if m["state"] != "ENDED"])
    assert not any(container.is_alive for container in vast.launch.started)
    (given,) = [instance.environment for instance in vast.ended]
    assert (given["MAX_TASK_SECONDS"], given["MAX_INPUT_BYTES"]) == ("1234.0", "50000000")
    (machine,) = gateway.fleet()["machines"]
    final = gateway.job(job_id)["cost"]
    assert final["final"]
    assert final["usd"] == pytest.approx(machine["usd"])
    costs = gateway.http.get("/fleet/costs").json()
    assert costs["usd"] == pytest.approx(machine["usd"])
    assert costs["days"][0]["tasks"] == 1
    (row,) = gateway.api_gpu("fleet", "--ended").stdout.splitlines()
    assert row.split("\t")[:3] == [machine["id"], "vast", "ENDED"]
    assert gateway.api_gpu("fleet").stdout == ""
    assert gateway.api_gpu("fleet", "--costs").stdout.split("\t")[1:5] == ["vast", f"{machine['usd']:.4f}", "1", "1"]


def encoding(vast):
    """The processes of FFmpeg that encode on the rented machines."""
    found = []
    for container in vast.launch.started:
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(container.process.pid).children(recursive=True)
            found += filter(encodes, children)
    return found


def test_a_machine_that_fails_a_task_once_costs_an_attempt_and_no_job(gateway, vast, media):
    clip = {"url_image": gateway.upload(media.image), "duration": 8, "frame_rate": 10}
    job_id = gateway.http.post("/jobs", json={"img2vid": clip}).json()["id"]
    gateway.until(lambda: encoding(vast))
    for ffmpeg in encoding(vast):
        ffmpeg.kill()
    job = gateway.ended(job_id)
    assert job["status"] == "COMPLETED", job
    assert "FFmpeg was killed" in (gateway.folder / "gateway.log").read_text()


@pytest.mark.long  # a machine that falls silent is given up after a minute
def test_a_story_whose_machine_is_lost_goes_on_with_another(gateway, vast, media):
    vast.offers.append(offer())  # the host of the lost one is avoided
    still = gateway.upload(media.image)
    scenes = [{"image_url": still, "duracao": 2}] * 2
    shape = {"width": 640, "height": 360, "frame_rate": 10, "transition": {"seconds": 1}}
    job_id = gateway.http.post("/jobs", json={"story": {"scenes": scenes, **shape}}).json()["id"]
    gateway.until(lambda: encoding(vast))
    vast.vanish(next(iter(vast.instances)))
    job = gateway.ended(job_id, 180)
    assert (job["status"], job["total"]) == ("COMPLETED", 4), job
    assert len(vast.launch.started) == 2
    film = gateway.folder / "film.mp4"
    film.write_bytes(httpx.get(job["output"]["video_url"], timeout=60).content)
    assert judge.facts(film).frames == 30
    kept = {still, job["output"]["asset"]}
    folder = gateway.folder / "data" / "assets" / "assets"
    gateway.until(lambda: {f"assets/{path.name}" for path in folder.iterdir()} == kept)


def test_a_job_that_would_cost_too_much_is_refused(gateway, media):
    given = {"url_video": gateway.upload(media.video), "url_srt": gateway.upload(media.srt), "max_cost_usd": 0.000001}
    answer = gateway.http.post("/video/caption", json=given)
    assert answer.status_code == 400, answer.text
    assert answer.json()["details"][0]["reason"] == "COST_LIMIT"
