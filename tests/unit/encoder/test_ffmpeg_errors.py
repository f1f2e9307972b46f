"""What FFmpeg says, and what a caller is told."""

import re
import signal

import pytest

from encoder.ffmpeg.errors import CUT_OFF, IMAGE_DAMAGE, MAX_LOG_BYTES, TABLE, cut_off, ffmpeg_error, log_end

FIELDS = ("url_video", "url_audio")


# One or more for each row of the table, as FFmpeg writes them, and what comes of each.
ROWS = [
    ("[out#0/mp4 @ 0x5] Error writing trailer: No space left on device", "DISK_FULL", "The disk"),
    ("x264 [error]: malloc failed\nCannot allocate memory", "TOO_MUCH_MEMORY", "MAX_MEMORY_BYTES"),
    ("[dec:h264 @ 0x5] Error: Resource temporarily unavailable", "TOO_MUCH_MEMORY", "MAX_MEMORY_BYTES"),
    ("[out#0/mp4 @ 0x5] Error writing: File too large", "RESULT_TOO_LARGE", "MAX_RESULT_BYTES"),
    ("[in#1/matroska @ 0x5] File ended prematurely", "BAD_INPUT", "url_audio: the file is cut off"),
    ("[asf @ 0x5] DRM protected stream detected, decoding will likely fail!", "UNSUPPORTED_INPUT", "without a key"),
    ("[mov @ 0x5] activation_bytes option is missing!", "UNSUPPORTED_INPUT", "without a key"),
    ("[in#0/matroska @ 0x5] Unable to decrypt data", "UNSUPPORTED_INPUT", "url_video: the file is protected"),
    ("[vist#0:0/xyz @ 0x5] Decoding requested, but no decoder found for: xyz", "UNSUPPORTED_INPUT", "convert it"),
    ("[dec:apac @ 0x5] No decoder found for codec apac", "UNSUPPORTED_INPUT", "convert it"),
    ('[aac @ 0x5] Unsupported channel layout "12 channels"', "UNSUPPORTED_INPUT", "“Unsupported channel layout"),
    ("[hevc @ 0x5] SCC profile is not yet implemented in hevc native decoder.", "UNSUPPORTED_INPUT", "“SCC profile"),
    ("[out#0 @ 0x5] Output file does not contain any stream", "BAD_INPUT", "lacks the stream"),
    ("[in#0/mov @ 0x5] Error opening input: Invalid data found when processing input", "BAD_INPUT", "url_video: "),
    ("[in#1/wav @ 0x5] Error opening input: Invalid data found when processing input", "BAD_INPUT", "url_audio: "),
    ("[mov @ 0x5] moov atom not found", "BAD_INPUT", "damaged"),
    ("[dec:h264 @ 0x5] Decode error rate 1 exceeds maximum 0.666667", "BAD_INPUT", "damaged"),
    (
        "[vf#0:0 @ 0x5] Width 0 is odd\n[vf#0:0 @ 0x5] Error while filtering: Invalid argument",
        "BAD_INPUT",
        "FFmpeg says “Width 0 is odd”",
    ),
    ("[out#0/mp4 @ 0x5] Nothing was written into output file", "BAD_INPUT", "FFmpeg says “Nothing was written"),
    ("/srv/work/task-1: something new", "FFMPEG_FAILED", "“…: something new”"),
    ("[out#0 @ 0x5] something \x1b[31mred\nConversion failed!", "FFMPEG_FAILED", "“something [31mred”"),
    ("strange " * 100, "FFMPEG_FAILED", "strange strange"),
    ("", "FFMPEG_FAILED", "not known"),
]


@pytest.mark.parametrize(("message", "reason", "told"), ROWS)
def test_messages_become_errors_that_say_what_ffmpeg_said(message: str, reason: str, told: str) -> None:
    error = ffmpeg_error(message.splitlines(), 1, FIELDS)
    assert error.reason == reason
    assert told in error.message
    assert "/srv" not in error.message
    assert "0x5" not in error.message
    assert len(error.message) < 400
    assert error.message.isprintable()


def test_every_row_of_the_table_is_tried() -> None:
    tried = {next((row for row in TABLE if re.search(row, message)), "") for message, *_ in ROWS}
    assert tried == {*TABLE, ""}


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGKILL, "UNAVAILABLE", "try again"),
        (signal.SIGXCPU, "FAILED_PRECONDITION", "MAX_TASK_SECONDS"),
        (signal.SIGXFSZ, "FAILED_PRECONDITION", "MAX_RESULT_BYTES"),
    ],
)
def test_a_signal_tells_which_limit_was_met(number: signal.Signals, code: str, told: str) -> None:
    for return_code in (-number, 128 + number):  # as the kernel tells it, and as bubblewrap does
        error = ffmpeg_error([], return_code, FIELDS)
        assert error.code.name == code
        assert told in error.message


def test_a_signal_that_ffmpeg_heeds_is_a_limit_too() -> None:
    assert ffmpeg_error([], 255, FIELDS).reason == "TOO_MUCH_WORK"
    denied = "[out#0/mp4 @ 0x5] Error opening output: Invalid data found"
    assert ffmpeg_error([denied], 255, FIELDS).reason == "BAD_INPUT"


def test_a_crashed_ffmpeg_is_a_fault_of_the_service() -> None:
    assert ffmpeg_error([], -11, FIELDS).code.name == "INTERNAL"


def test_a_run_that_went_well_may_still_have_met_a_cut_off_file() -> None:
    error = cut_off(["[in#0/mov @ 0x5] stream 0, offset 0x3aa0: partial file"], CUT_OFF, FIELDS)
    assert error is not None
    assert error.message.startswith("url_video: ")


def test_a_damaged_frame_is_borne_in_a_video_and_a_fault_in_an_image() -> None:
    assert cut_off(["[mjpeg @ 0x5] overread 8"], CUT_OFF, FIELDS) is None
    for message, words in {
        "[mjpeg @ 0x5] overread 8": "cut off",
        "[mjpeg @ 0x5] error y=10 x=18": "damaged",
        "[webp @ 0x5] something new": "damaged",
    }.items():
        error = cut_off([message], IMAGE_DAMAGE, ("url_image",))
        assert error is not None
        assert error.message.startswith("url_image: ")
        assert words in error.message
    for message in ("", "[png @ 0x5] invalid iCCP", "[mjpeg @ 0x5] Exif cannot be read", "bwrap: a note"):
        assert cut_off([message], IMAGE_DAMAGE, ("url_image",)) is None


def test_the_end_of_the_log_is_bounded_and_has_nothing_of_the_encoder_alone() -> None:
    said = ["[mov @ 0x55d0] /srv/work/task-1/in.mp4: \x1b[31mmoov atom not found\x00", "", "file:/etc/passwd: denied"]
    assert log_end(said) == "[mov @ …] …: [31mmoov atom not found\n…: denied"
    assert log_end([]) == ""
    usual = (
        "Fontconfig error: Cannot load default config file: File not found",
        "[x @ 0x5] Failed to load fontconfig fonts!",
    )
    assert log_end(usual) == ""
    long = log_end([f"first {'ä' * 9000}", *(f"{number} {'ü' * 70}" for number in range(1000))])
    assert long.splitlines()[-1].startswith("999 ")
    assert MAX_LOG_BYTES - 200 < len(long.encode()) <= MAX_LOG_BYTES
    assert len(log_end(["x" * 100_000])) == 500
