"""What is read of a PNG: its head alone tells what the whole file tells."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encoder.media import png
from encoder.media.containers import IMAGE_DEMUXERS, open_container
from encoder.media.info import Source
from encoder.media.probe import probe
from encoder.media.streams import describe
from tests.support import still_samples

NOISE = np.random.default_rng(7).integers(0, 256, (192, 320, 4), np.uint8)
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def noise(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(NOISE, "RGBA").convert(mode)


PICTURES = {
    **{mode: still_samples.saved(noise(mode), "PNG") for mode in MODES},
    "colors with a transparent one": still_samples.saved(noise("P"), "PNG", transparency=3),
    "one transparent color": still_samples.saved(noise("RGB"), "PNG", transparency=(1, 2, 3)),
    "pixels that are no squares": still_samples.png(
        (b"pHYs", struct.pack(">2IB", 2000, 1000, 1)), picture=noise("RGB")
    ),
    "tags": still_samples.png((b"cICP", bytes([9, 16, 0, 1])), picture=noise("RGB")),
    "gamma": still_samples.png((b"gAMA", struct.pack(">I", 100_000)), picture=noise("RGB")),
}


def source_of(folder: Path, data: bytes) -> Source:
    path = folder / "picture"
    path.write_bytes(data)
    return Source("image", path, "", False, False)


@pytest.mark.parametrize("name", PICTURES)
def test_the_head_tells_what_the_whole_tells(tmp_path: Path, name: str) -> None:
    source = source_of(tmp_path, PICTURES[name])
    assert 0 < len(png.read_head(source.path)) < source.path.stat().st_size
    with open_container(source, IMAGE_DEMUXERS) as whole:
        wanted = describe(source, whole, rotated=False, is_still=True)
    assert probe(source, IMAGE_DEMUXERS) == wanted


def animation() -> bytes:
    return still_samples.saved(noise("RGB"), "PNG", save_all=True, append_images=[noise("L").convert("RGB")])


def with_a_long_text() -> bytes:
    text = (b"tEXt", b"Comment\0" + bytes(1) * png.MAX_HEAD_BYTES)
    return still_samples.png(text, picture=noise("RGB"))


@pytest.mark.parametrize("data", [animation(), with_a_long_text(), PICTURES["RGB"][:40], b"GIF89a", b""])
def test_what_must_be_read_whole(tmp_path: Path, data: bytes) -> None:
    assert png.read_head(source_of(tmp_path, data).path) == b""


def test_chunks_are_looked_through_so_far_and_no_further() -> None:
    data = png.SIGNATURE + struct.pack(">I4sI", 0, b"tEXt", 0) * (png.MAX_CHUNKS + 5)
    assert len(list(png.iter_chunks(io.BytesIO(data)))) == png.MAX_CHUNKS
