"""Faults on demand, as the real wheel reports them, and what is left behind afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.nvdriver.build import built
from tests.nvdriver.driver import Driver, Live
from tests.nvdriver.wheel import Job, encoded, finished, started
from tests.support.until import until_sync

pytestmark = pytest.mark.nvenc

SHORT = Job({"gop": "30", "bf": "2"}, frames=20)


def imported(driver: Driver) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import PyNvVideoCodec"],
        env=driver.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def left(driver: Driver) -> Live:
    [held] = driver.state().ended.values()
    return held


def await_pictures(driver: Driver, count: int) -> None:
    until_sync(lambda: len(driver.calls("nvEncEncodePicture")) >= count)


def test_a_limit_of_sessions(nvdriver: Driver) -> None:
    nvdriver.fault(session_limit=2, encode_delay_ms=20)
    result = encoded(nvdriver, Job(SHORT.keywords, frames=20, threads=6))
    assert "nvEncOpenEncodeSessionEx" in result.error
    refused = [call for call in nvdriver.calls("nvEncOpenEncodeSessionEx") if call.result]
    assert refused
    assert {call.status for call in refused} == {"NV_ENC_ERR_OUT_OF_MEMORY"}
    assert max(call.live.sessions for call in nvdriver.calls()) == 2
    assert left(nvdriver).sessions == left(nvdriver).bytes == 0


def test_a_limit_over_processes(nvdriver: Driver) -> None:
    nvdriver.fault(session_limit=1, encode_delay_ms=50)
    first = started(nvdriver, Job(SHORT.keywords, frames=300))
    await_pictures(nvdriver, 1)
    assert "nvEncOpenEncodeSessionEx" in encoded(nvdriver, SHORT).error
    first.kill()
    first.communicate()
    nvdriver.fault(encode_delay_ms=0)
    assert encoded(nvdriver, SHORT).error == ""


def test_the_other_status_of_a_limit(nvdriver: Driver) -> None:
    nvdriver.fault(session_limit=1, session_limit_status=21, encode_delay_ms=20)
    encoded(nvdriver, Job(SHORT.keywords, frames=20, threads=4))
    statuses = {call.status for call in nvdriver.calls("nvEncOpenEncodeSessionEx")}
    assert statuses == {"NV_ENC_SUCCESS", "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY"}


@pytest.mark.parametrize("always", [False, True])
def test_an_error_in_mid_stream(nvdriver: Driver, always: bool) -> None:
    nvdriver.fault(encode_fails_at=9, encode_fails_always=always)
    result = encoded(nvdriver, SHORT)
    assert "nvEncEncodePicture API failed" in result.error
    failed = [call for call in nvdriver.calls("nvEncEncodePicture") if call.status == "NV_ENC_ERR_GENERIC"]
    assert len(failed) == 1
    assert left(nvdriver) == Live(streams=1)  # the wheel never destroys its stream


def test_out_of_memory(nvdriver: Driver) -> None:
    nvdriver.fault(out_of_memory=1)
    result = encoded(nvdriver, SHORT)
    assert "nvEncCreateBitstreamBuffer" in result.error
    assert nvdriver.calls("nvEncCreateBitstreamBuffer")[0].status == "NV_ENC_ERR_OUT_OF_MEMORY"
    assert left(nvdriver).sessions == left(nvdriver).bytes == 0


def test_a_card_that_fills_up(nvdriver: Driver) -> None:
    """The wheel forgets the buffers of an encoder that could not get all: they stay until the process ends."""
    nvdriver.fault(memory_bytes=1_000_000)
    assert "CUDA_ERROR_OUT_OF_MEMORY" in encoded(nvdriver, SHORT).error
    assert left(nvdriver).sessions == 0
    assert left(nvdriver).allocations == len([c for c in nvdriver.calls("cuMemAllocPitch_v2") if not c.result]) == 5


@pytest.mark.parametrize("api", ["12.0", "11.1"])
def test_a_driver_too_old(nvdriver: Driver, api: str) -> None:
    nvdriver.fault(api_version=api)
    assert "Driver version is too old" in imported(nvdriver).stderr


def test_a_lost_device(nvdriver: Driver) -> None:
    """The wheel itself ends the process when it lets go of an encoder whose card is gone."""
    nvdriver.fault(encode_delay_ms=10)
    child = started(nvdriver, Job(SHORT.keywords, frames=300))
    await_pictures(nvdriver, 5)
    assert nvdriver.state().sessions == 1
    nvdriver.fault(device_lost=1)
    said, _ = child.communicate(timeout=60)
    assert (child.returncode, b"[FATAL]" in said, b"CUDA_ERROR_UNKNOWN" in said) == (1, True, True)
    last = nvdriver.calls()[-6:-1]
    assert {call.status for call in last} <= {"NV_ENC_ERR_DEVICE_NOT_EXIST", "CUDA_ERROR_UNKNOWN"}
    assert left(nvdriver).sessions == left(nvdriver).bytes == 0


def test_no_device(nvdriver: Driver) -> None:
    nvdriver.fault(devices=0)
    assert "CUDA_ERROR_NO_DEVICE" in encoded(nvdriver, SHORT).error


def test_a_chip_without_an_encoder(nvdriver: Driver) -> None:
    nvdriver.fault(codecs="")
    assert encoded(nvdriver, SHORT).error
    [call] = nvdriver.calls("nvEncOpenEncodeSessionEx")
    assert call.status == "NV_ENC_ERR_UNSUPPORTED_DEVICE"


def test_a_chip_without_the_codec(nvdriver: Driver) -> None:
    nvdriver.fault(codecs="h264")
    assert "nvEncGetEncodeCaps" in encoded(nvdriver, Job({"codec": "hevc"}, frames=2)).error
    assert encoded(nvdriver, SHORT).error == ""


def test_no_video_capability(nvdriver: Driver, tmp_path: Path) -> None:
    bare = Driver(built(tmp_path / "bare", encode=False), nvdriver.log, nvdriver.control)
    assert "libnvidia-encode.so.1" in imported(bare).stderr


def test_faults_come_and_go(nvdriver: Driver) -> None:
    nvdriver.fault(devices=0)
    assert encoded(nvdriver, SHORT).error
    nvdriver.clear("devices")
    assert encoded(nvdriver, SHORT).error == ""
    with pytest.raises(ValueError, match="session_limt"):
        nvdriver.fault(session_limt=2)


def test_a_killed_process_holds_nothing(nvdriver: Driver) -> None:
    nvdriver.fault(encode_delay_ms=50)
    child = started(nvdriver, Job(SHORT.keywords, frames=300))
    await_pictures(nvdriver, 1)
    assert (nvdriver.state().sessions, nvdriver.state().bytes > 0) == (1, True)
    child.kill()
    child.communicate()
    assert nvdriver.state().live == Live()


def test_encoders_in_parallel_and_in_turn(nvdriver: Driver) -> None:
    result = encoded(nvdriver, Job({"gop": "30", "bf": "2", "rc": "vbr", "cq": "25"}, frames=15, threads=8, rounds=4))
    assert (result.error, result.alike) == ("", True)
    state = nvdriver.state()
    assert state.violations == ()
    assert left(nvdriver) == Live(streams=32)
    assert len({call.session for call in nvdriver.calls("nvEncInitializeEncoder")}) == 32


def test_dropped_encoders_give_all_back(nvdriver: Driver) -> None:
    result = encoded(nvdriver, Job({"gop": "30", "bf": "3", "lookahead": "8"}, frames=30, stop_after=11, threads=4))
    assert result.error == ""
    assert left(nvdriver) == Live(streams=4)
    assert nvdriver.state().violations == ()


def test_two_hundred_encoders_with_stops_and_faults(nvdriver: Driver) -> None:
    """Eight at once; a third is dropped in mid-stream, and every encoder's seventh picture fails for a while."""
    job = Job({"gop": "30", "bf": "2"}, frames=12, width=160, height=64, threads=8, rounds=25, stop_sometimes=True)
    nvdriver.fault(encode_delay_ms=1)
    child = started(nvdriver, job)
    await_pictures(nvdriver, 200)
    nvdriver.fault(encode_fails_at=7, encode_fails_always=True)
    await_pictures(nvdriver, 700)
    nvdriver.clear("encode_fails_at")
    assert "nvEncEncodePicture API failed" in finished(child).error
    opened = nvdriver.calls("nvEncInitializeEncoder")
    assert len({call.session for call in opened}) == 200
    assert max(call.live.sessions for call in opened) > 4
    assert left(nvdriver) == Live(streams=200)
    assert nvdriver.state().violations == ()
