"""Animated WebP by its chunks."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from encoder.media import webp
from tests.support.growth import assert_grows_gently


@pytest.fixture
def animation(tmp_path):
    frames = [Image.fromarray(np.full((30, 40, 4), shade, np.uint8)) for shade in (0, 90, 255)]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=[100, 250, 650], lossless=True)
    path = tmp_path / "a.webp"
    path.write_bytes(file.getvalue())
    return path


def test_size_and_times(animation):
    assert webp.describe(animation.read_bytes()[:30]) == webp.Animation(40, 30, True)
    assert list(webp.frame_times(animation)) == [(0, 0.1), (0.1, 0.35), (0.35, 1.0)]


def test_of_a_file_that_is_cut_off_the_frames_that_are_there(animation):
    os.truncate(animation, animation.stat().st_size - 30)
    assert list(webp.frame_times(animation)) == [(0, 0.1), (0.1, 0.35)]


def test_what_is_no_animation(tmp_path):
    still = io.BytesIO()
    Image.new("RGBA", (4, 4)).save(still, "WEBP")
    for head in (still.getvalue()[:30], b"", b"RIFF" + bytes(26)):
        assert webp.describe(head) is None


@pytest.mark.parametrize("part", [b"ANMF\x10\0\0\0" + bytes(16), b"ANMF\0\0\0\0", b"ANMF\xff\xff\xff\xff"])
def test_time_grows_with_the_file(tmp_path, part):
    def written(count):
        path = tmp_path / f"{count}.webp"
        path.write_bytes(b"RIFF....WEBP" + part * count)
        return path

    assert_grows_gently(written, lambda path: list(webp.frame_times(path)), 300)
