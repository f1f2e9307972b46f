"""img2vid, judged by its colors: profiles and tags, alpha, kinds that FFmpeg does not decode right, damage."""

import struct
from pathlib import Path

import av
import grpc
import numpy as np
import pytest
from PIL import Image

from apigpu.v1 import motion_pb2, video_pb2
from tests.support import encoder_harness, still_samples
from tests.support.still_samples import LEFT, LIGHT, P3, RIGHT, avif, gray_profile, halves, png, saved

Client = encoder_harness.Client
STILL = video_pb2.Operation(
    img2vid=video_pb2.Img2VidRequest(
        images=[video_pb2.Img2VidImage(id="1", image_url="i", duracao=0.1)],
        width=128,
        height=64,
        frame_rate=10,
        motion=motion_pb2.Motion(end_zoom=1),
    )
)
INPUT = "images.image_url"


async def shown(client: Client, data: bytes, path: Path) -> tuple[np.ndarray, list[str]]:
    """The colors of both halves as a player shows them, and the reasons of warnings."""
    summary = await client.result(path, STILL, {INPUT: data})
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0)).reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    return picture[32, [32, 96]].astype(int), [warning.reason for warning in summary.warnings]


COLORED = {
    "display p3 in jpeg": (saved(halves(), "JPEG", quality=97, icc_profile=still_samples.DISPLAY_P3), P3, 15),
    "display p3 in png": (png((b"cICP", bytes([12, 13, 0, 1]))), P3, 3),
    "tags in avif": (avif(12), P3, 5),
    "a matrix that the codec does not tell": (avif(matrix=1), ((52, 145, 55), (213, 73, 37)), 5),
    "light in png": (png((b"gAMA", struct.pack(">I", 100_000))), LIGHT, 3),
    "gray by a profile": (
        saved(halves().convert("L"), "JPEG", icc_profile=gray_profile(1.0)),
        ((182,) * 3, (164,) * 3),
        4,
    ),
    "alpha of avif on black": (avif(alpha=128), (LEFT, (100, 30, 20)), 4),
    "jpeg in tiff": (saved(halves(), "TIFF", compression="jpeg"), (LEFT, RIGHT), 4),
    "inks": (saved(halves().convert("CMYK"), "JPEG", quality=97), (LEFT, RIGHT), 5),
}


@pytest.mark.parametrize("name", COLORED)
async def test_colors_are_those_that_the_file_means(client: Client, tmp_path: Path, name: str) -> None:
    data, wanted, off = COLORED[name]
    colors, warnings = await shown(client, data, tmp_path / "o.mp4")
    assert colors == pytest.approx(np.array(wanted), abs=off)
    assert warnings == []


async def test_a_profile_that_cannot_be_used_is_told(client: Client, tmp_path: Path) -> None:
    colors, warnings = await shown(client, saved(halves(), "PNG", icc_profile=b"none"), tmp_path / "o.mp4")
    assert colors == pytest.approx(np.array((LEFT, RIGHT)), abs=3)
    assert warnings == ["PROFILE_IGNORED"]


async def test_high_dynamic_range_becomes_standard(client: Client, tmp_path: Path) -> None:
    white = Image.new("RGB", (128, 64), (148, 148, 148))  # by PQ 203 cd/m², which is white
    data = png((b"cICP", bytes([9, 16, 0, 1])), picture=white)
    colors, _ = await shown(client, data, tmp_path / "o.mp4")
    assert np.ptp(colors) < 6
    assert colors.min() > 190


@pytest.mark.parametrize("progressive", [False, True])
async def test_damage_that_ffmpeg_bears_is_an_error(client: Client, progressive: bool) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (180, 320, 3), np.uint8)
    data = bytearray(saved(Image.fromarray(noise), "JPEG", quality=90, progressive=progressive))
    middle = slice(len(data) // 2, len(data) // 2 + 400)
    data[middle] = bytes(byte ^ 0x55 for byte in data[middle])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(STILL, {INPUT: bytes(data)})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(f"{INPUT}: the file is")
