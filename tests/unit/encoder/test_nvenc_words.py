"""What the driver's errors are told as: a cause and what to do, for each status of NVENC, and of CUDA at the start."""

import pytest

from encoder.codecs.nvenc import driver
from encoder.codecs.nvenc.driver import explain, no_card
from tests.nvdriver.driver import NVENC_STATUSES
from tests.support.paths import ROOT

OPEN = "m_nvenc.nvEncOpenEncodeSessionEx(&encodeSessionExParams, &hEncoder) returned error {} at NvEncoder.cpp:123"
INIT = "m_nvenc.nvEncInitializeEncoder(m_hEncoder, &m_initializeParams) returned error {} at NvEncoder.cpp:456"
ENCODE = "m_nvenc.nvEncEncodePicture(m_hEncoder, &picParams) returned error {} at NvEncoder.cpp:789"
# A word or two of the cause and of what to do, by nvEncodeAPI.h.
ROWS = {
    1: ("finds no card that encodes", "NVIDIA_DRIVER_CAPABILITIES"),
    2: ("one card of several", "CUDA_VISIBLE_DEVICES"),
    3: ("none that the driver can use", "restart the encoder"),
    4: ("none that the driver can use", "restart the encoder"),
    5: ("is lost", "restart the machine"),
    6: ("PyNvVideoCodec asked", "report it"),
    7: ("PyNvVideoCodec asked", "report it"),
    8: ("does not take these settings", "NVENC_B_FRAMES=0"),
    9: ("PyNvVideoCodec asked", "report it"),
    10: ("memory is full", "BATCH_SIZE"),
    11: ("PyNvVideoCodec asked", "report it"),
    12: ("does not take these settings", "NVENC_FORMAT"),
    13: ("busy", "BATCH_SIZE"),
    14: ("larger than its buffer", "NVENC_CQ"),
    15: ("older than", "530 or newer"),
    16: ("could not be brought to the card", "dmesg"),
    17: ("PyNvVideoCodec asked", "report it"),
    18: ("busy", "BATCH_SIZE"),
    19: ("PyNvVideoCodec asked", "report it"),
    20: ("a reason of its own", "update the driver"),
    21: ("license", "take another card"),
    22: ("older than", "530 or newer"),
    23: ("could not be brought to the card", "dmesg"),
    24: ("could not be brought to the card", "dmesg"),
    25: ("could not be brought to the card", "dmesg"),
}


def test_every_status_has_its_row():
    assert driver.STATUSES.keys() == ROWS.keys()
    assert NVENC_STATUSES.keys() - {0} <= ROWS.keys()


@pytest.mark.parametrize(("status", "words"), ROWS.items())
def test_a_status_is_told_with_its_cause_and_what_to_do(status, words):
    text = explain(INIT.format(status))
    assert all(word in text for word in words)
    assert f"(NVENC error {status})" in text
    assert "nvEnc" not in text


@pytest.mark.parametrize("status", ROWS.keys() - {10, 21})
def test_a_session_that_does_not_open_is_told_alike(status):
    assert explain(OPEN.format(status)) == explain(INIT.format(status))


@pytest.mark.parametrize("status", [10, 21])
def test_a_session_too_many_is_told_as_the_limit(status):
    assert explain(OPEN.format(status)) == driver.FULL


def test_no_encode_device_is_not_told_as_a_lost_card():
    assert "lost" not in explain(OPEN.format(1))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("nvEncEncodePicture API failed", driver.NOT_ENCODED),
        (ENCODE.format(20), driver.NOT_ENCODED),
        (ENCODE.format(8), driver.NOT_ENCODED),
        ("CUDA_ERROR_OUT_OF_MEMORY (out of memory)", driver.OUT_OF_MEMORY),
        ("CUDA_ERROR_ECC_UNCORRECTABLE", driver.LOST),
        ("something else", driver.UNKNOWN),
    ],
)
def test_what_a_status_alone_does_not_tell(words, text):
    assert explain(words) == text


def test_a_status_of_a_later_version_is_told_by_its_number():
    assert "(NVENC error 99)" in explain(INIT.format(99))


@pytest.mark.parametrize("code", [*driver.INITIALIZING, 7])
def test_an_error_of_cuda_at_the_start_says_what_to_do(code):
    cause, _, what_to_do = no_card(code).partition("; ")
    assert (cause, what_to_do != "") == (f"the driver finds no card (CUDA error {code})", True)


def test_the_guide_has_the_same_table():
    page = (ROOT / "docs" / "guides" / "nvenc.md").read_text().replace("`", "")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line[:3].strip("| ").isdecimal()]
    told = {int(number): "; ".join(words) for numbers, *words in rows for number in numbers.split(", ")}
    assert told == driver.STATUSES
