"""Each rule of the driver broken once: refused by the status that the real one documents, and recorded."""

import subprocess
from pathlib import Path

import pytest

from tests.nvdriver.build import program
from tests.nvdriver.driver import CUDA_STATUSES, NVENC_STATUSES, Driver, State

pytestmark = pytest.mark.nvenc

# What the caller does → the status that it gets, and words of the violation.
CUDA_RULES = {
    "before_init": ("CUDA_ERROR_NOT_INITIALIZED", "before cuInit"),
    "no_context": ("CUDA_ERROR_INVALID_CONTEXT", "no context current"),
    "free_twice": ("CUDA_ERROR_INVALID_VALUE", "not allocated"),
    "copy_beyond": ("CUDA_ERROR_INVALID_VALUE", "beyond an allocation"),
    "copy_rows_beyond": ("CUDA_ERROR_INVALID_VALUE", "beyond an allocation"),
}
ENCODE_RULES = {
    "struct_version": ("NV_ENC_ERR_INVALID_VERSION", "NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS"),
    "picture_version": ("NV_ENC_ERR_INVALID_VERSION", "NV_ENC_PIC_PARAMS"),
    "encode_before_initialize": ("NV_ENC_ERR_ENCODER_NOT_INITIALIZED", "before nvEncInitializeEncoder"),
    "initialize_twice": ("NV_ENC_ERR_INVALID_CALL", "initialized twice"),
    "too_many_b_frames": ("NV_ENC_ERR_INVALID_PARAM", "5 B-frames"),
    "too_much_lookahead": ("NV_ENC_ERR_INVALID_PARAM", "a lookahead of 30 with 2 B-frames"),
    "too_small": ("NV_ENC_ERR_INVALID_PARAM", "64x64"),
    "no_device_memory": ("NV_ENC_ERR_RESOURCE_REGISTER_FAILED", "no device memory"),
    "memory_too_short": ("NV_ENC_ERR_RESOURCE_REGISTER_FAILED", "no device memory"),
    "pitch_too_small": ("NV_ENC_ERR_INVALID_PARAM", "a pitch of 319"),
    "map_twice": ("NV_ENC_ERR_MAP_FAILED", "mapped twice"),
    "unmap_twice": ("NV_ENC_ERR_RESOURCE_NOT_MAPPED", "not mapped"),
    "encode_unmapped": ("NV_ENC_ERR_RESOURCE_NOT_MAPPED", "not mapped"),
    "encode_freed": ("NV_ENC_ERR_INVALID_PARAM", "memory was freed"),
    "encode_other_pitch": ("NV_ENC_ERR_INVALID_PARAM", "a pitch of 1024"),
    "encode_other_size": ("NV_ENC_ERR_INVALID_PARAM", "a picture of 320x238"),
    "encode_other_format": ("NV_ENC_ERR_INVALID_PARAM", "encoded as format 0x100"),
    "encode_into_full_buffer": ("NV_ENC_ERR_INVALID_PARAM", "still holds"),
    "lock_before_encode": ("NV_ENC_ERR_INVALID_PARAM", "before a picture"),
    "lock_twice": ("NV_ENC_ERR_LOCK_BUSY", "locked twice"),
    "unlock_unlocked": ("NV_ENC_ERR_INVALID_PARAM", "without being locked"),
    "unregister_mapped": ("NV_ENC_SUCCESS", "while mapped"),
    "destroy_full": ("NV_ENC_SUCCESS", "1 mapped, 1 registered, 2 bitstream"),
    "use_after_destroy": ("NV_ENC_ERR_INVALID_ENCODERDEVICE", "destroyed"),
    "dead_context": ("NV_ENC_ERR_INVALID_DEVICE", "no live CUDA context"),
}


@pytest.fixture(scope="module")
def probe(nvdriver_libraries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program("probe", nvdriver_libraries, tmp_path_factory.mktemp("probe"))


def status(driver: Driver, probe: Path, case: str) -> int:
    said = subprocess.run([probe, case], env=driver.environment(), capture_output=True, text=True, check=True)
    return int(said.stdout)


def broken(state: State) -> list[str]:
    return [call.violation for call in state.violations if call.function != "exit"]


@pytest.mark.parametrize("case", CUDA_RULES)
def test_rules_of_memory(nvdriver: Driver, probe: Path, case: str) -> None:
    name, words = CUDA_RULES[case]
    assert CUDA_STATUSES[status(nvdriver, probe, case)] == name
    [violation] = broken(nvdriver.state())
    assert words in violation


@pytest.mark.parametrize("case", ENCODE_RULES)
def test_rules_of_the_encoder(nvdriver: Driver, probe: Path, case: str) -> None:
    name, words = ENCODE_RULES[case]
    assert NVENC_STATUSES[status(nvdriver, probe, case)] == name
    [violation] = broken(nvdriver.state())
    assert words in violation


def test_a_caller_of_an_old_api_that_keeps_the_rules(nvdriver: Driver, probe: Path) -> None:
    assert status(nvdriver, probe, "nothing_wrong") == 0
    state = nvdriver.state()
    assert (state.violations, state.leaks) == ((), ())


def test_a_newer_api_than_the_driver_is_refused(nvdriver: Driver, probe: Path) -> None:
    assert NVENC_STATUSES[status(nvdriver, probe, "newer_api")] == "NV_ENC_ERR_INVALID_VERSION"


def test_a_leak_is_told_at_exit(nvdriver: Driver, probe: Path) -> None:
    status(nvdriver, probe, "leak")
    [leak] = nvdriver.state().leaks
    assert "1 sessions, 1 allocations of 184320 bytes and 1 contexts" in leak
