"""img2vid, judged by decoding: number of frames, size, and where every pixel is."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import grpc
import numpy as np
import pytest

from apigpu.v1 import video_pb2
from tests import judge, media
from tests.encoder import harness

Client = harness.Client
SIZE = (1920, 1080)
CENTRE = np.array([(SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2])
POINTS = np.array([[0, 0, 1], [1919, 0, 1], [0, 1079, 1], [1919, 1079, 1], [*CENTRE, 1]]).T


def batch(seconds: float, **more: Any) -> video_pb2.Operation:
    image = video_pb2.Img2VidImage(id="1", image_url="i", duracao=seconds)
    return video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(images=[image], **more))


def single(**more: Any) -> video_pb2.Operation:
    return video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", **more))


def motion(one: judge.Picture, other: judge.Picture, guess: np.ndarray) -> np.ndarray:
    """The affine motion that takes `one` to `other`, by maximising their correlation."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-5)
    find: Any = cv2.findTransformECC  # its stub asks for a mask
    images = one.astype(np.float32), other.astype(np.float32)
    found: np.ndarray = find(*images, guess.astype(np.float32), cv2.MOTION_AFFINE, criteria, None, 5)[1]
    return found


def zoom(n: int, total: int) -> np.ndarray:
    """The motion from the picture at zoom 1 to frame n: where each of its points lies then."""
    scale = min(1 + 0.324 * n / total, 1.324)
    return np.array([[scale, 0, CENTRE[0] * (1 - scale)], [0, scale, CENTRE[1] * (1 - scale)]])


def off(found: np.ndarray, wanted: np.ndarray) -> float:
    """The worst distance between two motions over the corners and the centre, pixels."""
    return float(np.abs((found - wanted) @ POINTS).max())


@pytest.fixture(scope="module")
def detailed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return media.image(tmp_path_factory.mktemp("still") / "detailed.png", "2560x1440")


async def test_clip_has_its_frames_its_size_and_its_zoom(client: Client, detailed: Path, tmp_path: Path) -> None:
    summary = await client.result(tmp_path / "o.mp4", batch(0.5), {"images.image_url": detailed})
    facts = judge.facts(tmp_path / "o.mp4")
    assert (facts.frames, facts.width, facts.height, facts.rate) == (12, *SIZE, Fraction(24))
    assert (facts.codec, facts.profile, facts.pixel_format, facts.audio) == ("h264", "High", "yuv420p", ())
    assert (summary.frames, summary.width, summary.height, summary.codec) == (12, *SIZE, "x264")
    assert summary.duration_seconds == pytest.approx(0.5, abs=0.01)

    still = tmp_path / "scaled.png"
    media.run("-i", detailed, "-vf", "scale=1920:1080:flags=lanczos", still)
    reference = judge.pictures(still, "gray")[0]
    frames = judge.pictures(tmp_path / "o.mp4", "gray")
    assert off(motion(reference, frames[0], np.eye(2, 3)), zoom(0, 12)) < 0.15
    for number in (1, 6, 11):
        assert off(motion(reference, frames[number], zoom(number, 12)), zoom(number, 12)) < 0.25


async def test_frame_rate_and_duration_round_to_frames(client: Client, still: Path, tmp_path: Path) -> None:
    await client.result(tmp_path / "o.mp4", batch(0.33, frame_rate=12.5), {"images.image_url": still})
    facts = judge.facts(tmp_path / "o.mp4")
    assert (facts.frames, facts.rate) == (4, Fraction(25, 2))


async def test_older_form_takes_one_image(client: Client, still: Path, tmp_path: Path) -> None:
    await client.result(tmp_path / "o.mp4", single(frame_rate=10, duration=0.5), {"url_image": still})
    assert judge.facts(tmp_path / "o.mp4").frames == 5


async def test_older_form_lasts_five_seconds(client: Client, still: Path, tmp_path: Path) -> None:
    await client.result(tmp_path / "o.mp4", single(frame_rate=2), {"url_image": still})
    assert judge.facts(tmp_path / "o.mp4").frames == 10


async def test_a_portrait_still_fills_the_picture(client: Client, tmp_path: Path) -> None:
    tall = tmp_path / "tall.png"
    media.run("-f", "lavfi", "-i", "color=red:s=200x600", "-frames:v", "1", tall)
    await client.result(tmp_path / "o.mp4", batch(0.1), {"images.image_url": tall})
    frame = judge.pictures(tmp_path / "o.mp4")[0]
    assert frame.shape == (1080, 1920, 3)
    assert (frame[..., 0] > 230).all()


async def test_exif_orientation_is_honoured(client: Client, tmp_path: Path) -> None:
    plain, turned = tmp_path / "plain.jpg", tmp_path / "turned.jpg"
    halves = "color=red:s=160x180[l];color=blue:s=160x180[r];[l][r]hstack"
    media.run("-filter_complex", halves, "-frames:v", "1", "-update", "1", "-q:v", "2", plain)
    data = plain.read_bytes()
    # Orientation 6: to be turned a quarter clockwise, so red, on the left, comes to the top.
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    turned.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    await client.result(tmp_path / "o.mp4", batch(0.1), {"images.image_url": turned})
    frame = judge.pictures(tmp_path / "o.mp4")[0]
    assert frame[100, 960, 0] > 200 > 60 > frame[100, 960, 2]
    assert frame[980, 960, 2] > 200 > 60 > frame[980, 960, 0]


async def test_transparent_parts_become_black(client: Client, tmp_path: Path) -> None:
    image = tmp_path / "glass.png"
    media.run("-f", "lavfi", "-i", "color=white@0.0:s=320x180,format=rgba", "-frames:v", "1", image)
    await client.result(tmp_path / "o.mp4", batch(0.1), {"images.image_url": image})
    assert judge.pictures(tmp_path / "o.mp4")[0].max() < 16


async def test_colours_stay(client: Client, tmp_path: Path) -> None:
    image = tmp_path / "colour.png"
    media.run("-f", "lavfi", "-i", "color=0xC86432:s=320x180,format=rgb24", "-frames:v", "1", image)
    await client.result(tmp_path / "o.mp4", batch(0.1), {"images.image_url": image})
    with av.open(str(tmp_path / "o.mp4")) as container:
        frame = next(container.decode(video=0))
        shown = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()[540, 960]
    assert shown == pytest.approx([0xC8, 0x64, 0x32], abs=4)


@pytest.mark.parametrize("ending", ["jpg", "webp", "bmp", "tiff", "gif"])
async def test_image_formats(client: Client, tmp_path: Path, ending: str) -> None:
    image = media.image(tmp_path / f"i.{ending}", "161x90")
    await client.result(tmp_path / "o.mp4", batch(0.1), {"images.image_url": image})
    assert judge.facts(tmp_path / "o.mp4").frames == 2


async def test_what_is_no_image_is_refused(client: Client, clip: Path) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>'
    for data in (b"no image", b"", clip.read_bytes(), svg):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.encode(batch(0.1), {"images.image_url": data})
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (caught.value.details() or "").startswith("images.image_url: ")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
async def test_half_an_image_is_refused(client: Client, tmp_path: Path, ending: str) -> None:
    whole = media.image(tmp_path / f"i.{ending}", "320x180").read_bytes()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(batch(0.1), {"images.image_url": whole[: len(whole) // 2]})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith("images.image_url: ")


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        (batch(0.01), "images.duracao"),
        (batch(float("nan")), "images.duracao"),
        (batch(601), "images.duracao"),
        (batch(1, frame_rate=0.5), "frame_rate"),
        (batch(1, frame_rate=61), "frame_rate"),
    ],
)
async def test_numbers_out_of_range_are_refused(
    client: Client, still: Path, operation: video_pb2.Operation, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(operation, {"images.image_url": still})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(f"{field}: ")
