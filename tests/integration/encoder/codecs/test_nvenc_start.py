"""A start where NVENC cannot work: the exact reason in doctor, GetCapabilities and results; x264 in its place."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from apigpu.v1 import video_pb2
from tests.integration.encoder.codecs.conftest import NvencEncoder
from tests.nvdriver.build import built
from tests.nvdriver.driver import Driver
from tests.nvdriver.wheel import Job, started
from tests.support import encoder_harness
from tests.support.paths import ROOT
from tests.support.processes import workers
from tests.support.until import until_async

pytestmark = pytest.mark.nvenc

STILL = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.2, width=320, height=180))
CARD = "API-GPU stand-in (no GPU)"


def without_video(driver: Driver, folder: Path) -> Driver:
    """The driver as a container sees it that lacks NVIDIA's capability "video"."""
    return replace(driver, libraries=built(folder / "bare", encode=False))


def absent(driver: Driver, folder: Path) -> Driver:
    """No driver at all."""
    return replace(driver, libraries=folder / "nowhere")


def faulty(**settings: object) -> Callable[[Driver, Path], Driver]:
    """A driver with faults."""

    def made(driver: Driver, _: Path) -> Driver:
        driver.fault(**settings)
        return driver

    return made


# What is wrong, and what must be told: the reason and what to do.
STARTS = {
    "no driver": (absent, ("no NVIDIA driver is here", "install one of version 530 or newer")),
    "no video": (without_video, ("not its encoder", "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video")),
    "too old": (faulty(api_version="12.0"), ("has NVENC 12.0, and 12.1 is needed", "update it to version 530")),
    "no card": (faulty(devices=0), ("finds no card (CUDA error 100)", "give this machine or container a GPU")),
    "no encoder": (faulty(codecs=""), (CARD, "this chip has no encoder", "take a card with NVENC")),
    "no format": (faulty(codecs="hevc"), (CARD, "cannot make h264; it makes hevc")),
    "memory": (faulty(out_of_memory=1), (CARD, "memory is full", "end other programs that use the card")),
    "lost": (faulty(device_lost=1), ("finds no card (CUDA error 999)",)),
}


@pytest.fixture(params=STARTS)
def start(request: pytest.FixtureRequest, driver: Driver, tmp_path: Path) -> tuple[Driver, tuple[str, ...]]:
    """A driver that is of no use, and what must be told of it."""
    make, told = STARTS[request.param]
    return make(driver, tmp_path), told


def run(
    certs: Path, driver: Driver, folder: Path, *arguments: str, **settings: object
) -> "subprocess.CompletedProcess[str]":
    environ = encoder_harness.environment(certs, folder, {**driver.environment(), **settings})
    command = [sys.executable, "-P", "-m", "encoder", *arguments]
    return subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_doctor_tells_the_reason(certs: Path, tmp_path: Path, start: tuple[Driver, tuple[str, ...]]) -> None:
    driver, told = start
    done = run(certs, driver, tmp_path, "doctor")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    nvenc, x264 = report["codecs"]
    assert (nvenc["name"], nvenc["works"], x264["works"]) == ("nvenc", False, True)
    for words in told:
        assert words in nvenc["reason"]
    for card in report["gpu"]["cards"]:
        assert (card["name"], card["works"]) == (CARD, False)
        assert card["reason"] in nvenc["reason"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"devices": 0, "counts_none": 1}, ("finds no card (it counts none)", "container a GPU")),
        ({"open_status": 1}, (CARD, "no card that encodes (NVENC error 1)", "NVIDIA_DRIVER_CAPABILITIES")),
        ({"open_status": 2}, (CARD, "one card of several", "(NVENC error 2)", "CUDA_VISIBLE_DEVICES")),
        ({"open_status": 15}, (CARD, "(NVENC error 15)", "530 or newer")),
    ],
)
def test_doctor_tells_an_error_of_the_driver_with_what_to_do(
    certs: Path, tmp_path: Path, driver: Driver, fault: dict[str, int], told: tuple[str, ...]
) -> None:
    driver.fault(**fault)
    done = run(certs, driver, tmp_path, "doctor")
    for words in told:
        assert words in json.loads(done.stdout)["codecs"][0]["reason"]


def test_a_codec_that_must_be_nvenc_refuses_to_start(
    certs: Path, tmp_path: Path, start: tuple[Driver, tuple[str, ...]]
) -> None:
    driver, told = start
    done = run(certs, driver, tmp_path, CODEC="nvenc")
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    for words in ("CODEC=nvenc: ", *told):
        assert words in line


async def test_auto_takes_x264_and_says_why(
    nvenc_encoder: NvencEncoder, start: tuple[Driver, tuple[str, ...]], still: Path
) -> None:
    driver, told = start
    with nvenc_encoder(driver) as encoder:
        async with encoder.client() as client:
            found = await client.capabilities()
            done = await client.encode(STILL, {"url_image": still})
        assert workers(encoder) == []
    assert [codec.name for codec in found.codecs] == ["x264"]
    [nvenc] = found.unusable_codecs
    assert done.summary is not None
    assert done.summary.codec == "x264"
    for words in told:
        assert words in nvenc.fault
        assert words in done.summary.codec_reason


async def test_a_card_whose_sessions_were_taken_at_the_start_is_used_once_they_are_free(
    nvenc_encoder: NvencEncoder, driver: Driver, still: Path
) -> None:
    driver.fault(open_status=10)
    with nvenc_encoder(driver, CODEC_RETRY_SECONDS=0.2) as encoder:
        async with encoder.client() as client:
            before = await client.encode(STILL, {"url_image": still})
            assert before.summary is not None
            assert before.summary.codec == "x264"
            assert "all sessions of the card are taken" in before.summary.codec_reason
            driver.clear()

            async def works() -> bool:
                return "nvenc" in [codec.name for codec in (await client.capabilities()).codecs]

            await until_async(works)
            after = await client.encode(STILL, {"url_image": still})
            assert after.summary is not None
            assert (after.summary.codec, after.summary.codec_reason) == ("nvenc", CARD)


async def test_a_card_that_is_lost_later_is_told(nvenc_encoder: NvencEncoder, driver: Driver, still: Path) -> None:
    with nvenc_encoder(driver) as encoder:
        async with encoder.client() as client:
            driver.fault(device_lost=1)
            for worker in workers(encoder):
                worker.kill()
            await client.encode(STILL, {"url_image": still})
            [nvenc] = (await client.capabilities()).unusable_codecs
            assert nvenc.name == "nvenc"
            assert "CUDA error 999" in nvenc.fault


def test_doctor_tells_that_all_sessions_are_taken(certs: Path, driver: Driver, tmp_path: Path) -> None:
    driver.fault(session_limit=1, encode_delay_ms=50)
    other = started(driver, Job({"gop": "30"}, frames=2000))
    try:
        while not driver.calls("nvEncEncodePicture"):
            assert other.poll() is None
        report = json.loads(run(certs, driver, tmp_path, "doctor").stdout)
    finally:
        other.kill()
        other.communicate()
    assert not report["codecs"][0]["works"]
    assert "all sessions of the card are taken; end other programs that encode" in report["codecs"][0]["reason"]


def test_doctor_tells_what_works(certs: Path, driver: Driver, tmp_path: Path) -> None:
    report = json.loads(run(certs, driver, tmp_path, "doctor").stdout)
    assert report["codecs"][0] == {"name": "nvenc", "format": "h264", "works": True, "reason": ""}
    assert report["gpu"]["cards"] == [{"name": CARD, "formats": ["h264", "hevc", "av1"], "works": True, "reason": ""}]
    assert report["gpu"]["nvdec"] == {"works": False, "reason": "NVDEC is not set"}
    # A context stays open until the process ends.
    assert [call.violation for call in driver.state().violations if call.function != "exit"] == []


def test_the_worker_runs_no_module_of_the_working_folder(certs: Path, driver: Driver, tmp_path: Path) -> None:
    for name in ("encoder.py", "queue.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('a file of the user was run')")
    report = json.loads(run(certs, driver, tmp_path, "doctor").stdout)
    assert report["codecs"][0]["works"]


@pytest.mark.parametrize("status", [1, 2, 10])
def test_a_card_that_opens_no_session_is_asked_once_and_not_for_each_format(
    certs: Path, driver: Driver, tmp_path: Path, status: int
) -> None:
    driver.fault(open_status=status)
    run(certs, driver, tmp_path, "doctor")
    assert len(driver.calls("nvEncOpenEncodeSessionEx")) == 1


# The process that probes is kept from its end until the message is there; then it tells that it could go on.
WAITING = """
import os
from encoder.codecs.nvenc import worker
gate, opening = os.pipe()
ended, ending = os.pipe()
end = os._exit
def wait(code):
    os.read(gate, 1)
    os.write(ending, b"!")
    end(code)
os._exit, worker.PROBE_SECONDS = wait, 20
with worker.described_cards(worker.Parameters()) as message:
    os.write(opening, b"!")
os.close(ending)
assert b"h264" in message and os.read(ended, 1) == b"!", message
"""


def test_the_cards_are_told_before_the_process_that_probed_them_has_ended(driver: Driver) -> None:
    command = [sys.executable, "-P", "-c", WAITING]
    done = subprocess.run(command, env=os.environ | driver.environment(), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
