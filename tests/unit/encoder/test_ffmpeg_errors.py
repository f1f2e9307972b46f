"""What FFmpeg says, and what a caller is told."""

import signal

import pytest

from encoder.ffmpeg.errors import CUT_OFF, IMAGE_DAMAGE, cut_off, ffmpeg_error

FIELDS = ("url_video", "url_audio")


@pytest.mark.parametrize(
    ("message", "code", "told"),
    [
        (
            "[in#0/mov @ 0x5] Error opening input: Invalid data found when processing input",
            "INVALID_ARGUMENT",
            "url_video",
        ),
        (
            "[in#1/wav @ 0x5] Error opening input: Invalid data found when processing input",
            "INVALID_ARGUMENT",
            "url_audio",
        ),
        ("[in#1/matroska @ 0x5] File ended prematurely", "INVALID_ARGUMENT", "url_audio: the file is cut off"),
        ("[vist#0:0/xyz @ 0x5] Decoding requested, but no decoder found for: xyz", "FAILED_PRECONDITION", "url_video"),
        ("[out#0/mp4 @ 0x5] Error writing trailer: No space left on device", "RESOURCE_EXHAUSTED", "The disk"),
        ("x264 [error]: malloc failed\nCannot allocate memory", "FAILED_PRECONDITION", "MAX_MEMORY_BYTES"),
        ("[out#0/mp4 @ 0x5] Error writing: File too large", "FAILED_PRECONDITION", "MAX_RESULT_BYTES"),
        ("/srv/work/task-1: something new", "INTERNAL", "not known"),
    ],
)
def test_messages_become_errors_without_their_words(message: str, code: str, told: str) -> None:
    error = ffmpeg_error(message.splitlines(), 1, FIELDS)
    assert error.code.name == code
    assert told in error.message
    assert "/srv" not in error.message
    assert "0x5" not in error.message


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
