"""img2vid, judged by decoding: number of frames, size, and where every pixel is."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import grpc
import numpy as np
import pytest
from PIL import Image

from apigpu.v1 import motion_pb2, video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
SIZE = (1920, 1080)
CENTER = np.array([(SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2])
POINTS = np.array([[0, 0, 1], [1919, 0, 1], [0, 1079, 1], [1919, 1079, 1], [*CENTER, 1]]).T


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
    return np.array([[scale, 0, CENTER[0] * (1 - scale)], [0, scale, CENTER[1] * (1 - scale)]])


def off(found: np.ndarray, wanted: np.ndarray) -> float:
    """The worst distance between two motions over the corners and the center, pixels."""
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


def corners(path: Path, inset: int = 30) -> str:
    """The color_tags near the corners of the first frame, by name: top left, top right, bottom left, bottom right."""
    frame = judge.pictures(path)[0]
    names = {"r": (255, 0, 0), "g": (0, 128, 0), "b": (0, 0, 255), "w": (255, 255, 255), "k": (0, 0, 0)}
    points = [frame[y, x].astype(int) for y in (inset, -inset) for x in (inset, -inset)]
    return "".join(min(names, key=lambda name: np.abs(point - names[name]).sum()) for point in points)


def quarters(path: Path, size: str = "160x160", *options: str) -> Path:
    """Red, green, blue, white: top left, top right, bottom left, bottom right. `size` is that of a quarter."""
    parts = ";".join(f"color={c}:s={size}[{c}]" for c in ("red", "green", "blue", "white"))
    graph = f"{parts};[red][green]hstack[t];[blue][white]hstack[b];[t][b]vstack"
    media.run("-filter_complex", graph, "-frames:v", "1", "-update", "1", *options, path)
    return path


def turned(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF orientation."""
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


SMALL = {"width": 320, "height": 320}
ORIENTATIONS = ["rgbw", "grwb", "wbgr", "bwrg", "rbgw", "brwg", "wgbr", "gwrb"]
"""Where the quarters come to by EXIF orientation, from 1. Source: Exif 2.32, tag 0x0112."""


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_exif_orientation_is_honoured(client: Client, tmp_path: Path, orientation: int) -> None:
    image = turned(quarters(tmp_path / "plain.jpg", "160x160", "-q:v", "2").read_bytes(), orientation)
    await client.result(tmp_path / "o.mp4", batch(0.1, **SMALL), {"images.image_url": image})
    assert corners(tmp_path / "o.mp4") == ORIENTATIONS[orientation - 1]


async def test_transparent_parts_become_black(client: Client, tmp_path: Path) -> None:
    image = tmp_path / "glass.png"
    media.run("-f", "lavfi", "-i", "color=white@0.0:s=320x180,format=rgba", "-frames:v", "1", image)
    await client.result(tmp_path / "o.mp4", batch(0.1), {"images.image_url": image})
    assert judge.pictures(tmp_path / "o.mp4")[0].max() < 16


async def test_colors_stay(client: Client, tmp_path: Path) -> None:
    image = tmp_path / "color.png"
    media.run("-f", "lavfi", "-i", "color=0xC86432:s=320x180,format=rgb24", "-frames:v", "1", image)
    await client.result(tmp_path / "o.mp4", batch(0.1), {"images.image_url": image})
    with av.open(str(tmp_path / "o.mp4")) as container:
        frame = next(container.decode(video=0))
        shown = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()[540, 960]
    assert shown == pytest.approx([0xC8, 0x64, 0x32], abs=4)


KINDS: dict[str, tuple[str, ...]] = {
    "rgb.png": ("-pix_fmt", "rgb24"),
    "palette.png": ("-pix_fmt", "pal8"),
    "deep.png": ("-pix_fmt", "rgb48be"),
    "glass.png": ("-pix_fmt", "rgba"),
    "full.jpg": ("-q:v", "2", "-pix_fmt", "yuvj444p"),
    "half.jpg": ("-q:v", "2", "-pix_fmt", "yuvj420p"),
    "lossy.webp": ("-quality", "95"),
    "lossless.webp": ("-lossless", "1"),
    "plain.bmp": (),
    "plain.tiff": (),
    "deep.tiff": ("-pix_fmt", "rgb48le"),
    "plain.gif": ("-pix_fmt", "rgb8"),
    "plain.avif": ("-c:v", "libaom-av1", "-still-picture", "1", "-cpu-used", "8", "-crf", "10"),
}


@pytest.mark.parametrize("name", KINDS)
async def test_image_formats(client: Client, tmp_path: Path, name: str) -> None:
    image = quarters(tmp_path / name, "161x161", *KINDS[name])
    await client.result(tmp_path / "o.mp4", batch(0.1, **SMALL), {"images.image_url": image})
    assert judge.facts(tmp_path / "o.mp4").frames == 2
    assert corners(tmp_path / "o.mp4") == "rgbw"


SAMPLES = Path(__file__).parent / "samples"
# 128×64: left green above red, right blue. Made for these tests by avifenc --grid and pillow-heif.
PHOTOS = {"still.heic": "gbrb", "tiles.avif": "gbrb", "tiles-turned.avif": "bbgr", "tiles-mirrored.avif": "grbb"}


@pytest.mark.parametrize("name", PHOTOS)
async def test_photos_of_telephones(client: Client, tmp_path: Path, name: str) -> None:
    operation = batch(0.1, width=320, height=320, fit=motion_pb2.FIT_STRETCH, motion=motion_pb2.Motion(end_zoom=1))
    await client.result(tmp_path / "o.mp4", operation, {"images.image_url": SAMPLES / name})
    assert corners(tmp_path / "o.mp4") == PHOTOS[name]


async def test_tiles_that_are_too_many_are_refused(client: Client) -> None:
    tiles = (SAMPLES / "tiles.avif").read_bytes()
    whole, huge = (struct.pack(">II", width, 64) for width in (128, 2**24))
    for data in (tiles.replace(b"ispe\0\0\0\0" + whole, b"ispe\0\0\0\0" + huge), tiles.replace(b"ispe", b"free")):
        assert data != tiles
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.encode(batch(0.1), {"images.image_url": data})
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(("ending", "mode"), [("jpg", "L"), ("png", "L"), ("png", "I;16"), ("png", "LA"), ("png", "1")])
async def test_grey_stills(client: Client, tmp_path: Path, ending: str, mode: str) -> None:
    image = tmp_path / f"gray.{ending}"
    with Image.open(quarters(tmp_path / "q.png")) as colored:
        gray = colored.convert("L")
    deep = Image.fromarray(np.asarray(gray, np.uint16) * 257)
    (deep if mode == "I;16" else gray.convert(mode)).save(image)
    await client.result(tmp_path / "o.mp4", batch(0.1, **SMALL), {"images.image_url": image})
    frame = judge.pictures(tmp_path / "o.mp4")[0].astype(int)
    assert frame[-30, -30].min() > 240
    assert np.ptp(frame, axis=2).max() < 6


@pytest.mark.parametrize("ending", ["gif", "webp", "apng"])
async def test_of_an_animation_the_first_frame_is_taken(client: Client, tmp_path: Path, ending: str) -> None:
    image, source = tmp_path / f"moving.{ending}", "color=red:s=64x64:d=0.2:r=10[a];color=blue:s=64x64:d=1:r=10[b]"
    form = {"gif": "rgb8", "webp": "bgra", "apng": "rgb24"}[ending]
    media.run("-filter_complex", f"{source};[a][b]concat,format={form}", image)
    await client.result(tmp_path / "o.mp4", batch(0.1, **SMALL), {"images.image_url": image})
    assert corners(tmp_path / "o.mp4") == "rrrr"


async def test_print_colors_are_turned_into_light(client: Client, tmp_path: Path) -> None:
    image = cmyk_jpeg(quarters(tmp_path / "q.png"), tmp_path / "print.jpg")
    await client.result(tmp_path / "o.mp4", batch(0.1, **SMALL), {"images.image_url": image})
    assert corners(tmp_path / "o.mp4") == "rgbw"


def cmyk_jpeg(source: Path, path: Path) -> Path:
    """The picture as a JPEG of four inks."""
    with Image.open(source) as image:
        image.convert("CMYK").save(path, quality=95)
    return path


WIDE = {"width": 320, "height": 180}


@pytest.mark.parametrize(
    ("fit", "shown"),
    [
        (motion_pb2.FIT_COVER, "rgbw"),
        (motion_pb2.FIT_CONTAIN, "kkkk"),
        (motion_pb2.FIT_STRETCH, "rgbw"),
    ],
)
async def test_a_still_of_another_shape_is_fitted(client: Client, tmp_path: Path, fit: Any, shown: str) -> None:
    image = quarters(tmp_path / "tall.png", "100x200")
    await client.result(tmp_path / "o.mp4", batch(0.1, fit=fit, **WIDE), {"images.image_url": image})
    assert corners(tmp_path / "o.mp4", 10) == shown
    frame = judge.pictures(tmp_path / "o.mp4")[0].astype(int)
    if fit == motion_pb2.FIT_CONTAIN:  # 90 of 180 pixels across, 45 at either side of the middle
        lit = np.flatnonzero(frame.max(axis=(0, 2)) > 60)
        assert (lit[0], lit[-1]) == pytest.approx((115, 204), abs=2)


async def test_bars_have_the_background_color(client: Client, tmp_path: Path) -> None:
    operation = batch(0.1, fit=motion_pb2.FIT_CONTAIN, background="#0000ff", **WIDE)
    image = quarters(tmp_path / "tall.png", "100x200")
    await client.result(tmp_path / "o.mp4", operation, {"images.image_url": image})
    assert corners(tmp_path / "o.mp4", 10) == "bbbb"


async def test_a_blurred_copy_fills_the_rest(client: Client, tmp_path: Path) -> None:
    operation = batch(0.1, fit=motion_pb2.FIT_BLUR, **WIDE)
    image = quarters(tmp_path / "tall.png", "100x200")
    await client.result(tmp_path / "o.mp4", operation, {"images.image_url": image})
    frame = judge.pictures(tmp_path / "o.mp4")[0].astype(int)
    assert frame[20, 20].argmax() == 0  # red, out of focus
    assert frame[160, 20].argmax() == 2
    down = np.abs(np.diff(frame[:, 20], axis=0)).max()
    assert down < 40 < np.abs(np.diff(frame[:, 130], axis=0)).max()  # soft at the side, sharp in the middle


@pytest.mark.parametrize(("width", "height"), [(1080, 1920), (1080, 1080), (3840, 2160), (16, 16), (854, 480)])
async def test_any_even_size(client: Client, detailed: Path, tmp_path: Path, width: int, height: int) -> None:
    operation = batch(0.1, frame_rate=10, width=width, height=height)
    summary = await client.result(tmp_path / "o.mp4", operation, {"images.image_url": detailed})
    facts = judge.facts(tmp_path / "o.mp4")
    assert (facts.frames, facts.width, facts.height) == (1, width, height) == (1, summary.width, summary.height)


async def test_circles_stay_round(client: Client, tmp_path: Path) -> None:
    image = tmp_path / "disc.png"
    disc = "geq=lum='if(lt(hypot(X-500,Y-300),120),255,0)':cb=128:cr=128"
    media.run("-f", "lavfi", "-i", f"color=black:s=1000x600,format=yuv444p,{disc}", "-frames:v", "1", image)
    for width, height in ((640, 360), (360, 640), (482, 274)):
        operation = batch(0.1, width=width, height=height)
        await client.result(tmp_path / "o.mp4", operation, {"images.image_url": image})
        frame = judge.pictures(tmp_path / "o.mp4", "gray")[0] / 255
        assert frame[height // 2].sum() == pytest.approx(frame[:, width // 2].sum(), rel=0.01)


async def test_the_camera_follows_its_motion(client: Client, detailed: Path, tmp_path: Path) -> None:
    motion_ = motion_pb2.Motion(start_zoom=1.5, end_zoom=1.5, pan=motion_pb2.Motion.PAN_UP_RIGHT)
    operation = batch(1, frame_rate=12, motion=motion_, width=640, height=360)
    await client.result(tmp_path / "o.mp4", operation, {"images.image_url": detailed})
    frames = judge.pictures(tmp_path / "o.mp4", "gray")
    found = motion(frames[3], frames[4], np.eye(2, 3))
    # The room is 640 · 1.5 − 640 pixels across, a twelfth a frame; the picture goes left and down.
    assert found[0, 2] == pytest.approx(-320 / 12, abs=0.2)
    assert found[1, 2] == pytest.approx(180 / 12, abs=0.2)


async def test_a_still_may_have_a_motion_of_its_own(client: Client, detailed: Path, tmp_path: Path) -> None:
    operation = batch(0.5, width=320, height=180, motion=motion_pb2.Motion(end_zoom=2))
    operation.img2vid.images[0].motion.end_zoom = 1.0
    await client.result(tmp_path / "o.mp4", operation, {"images.image_url": detailed})
    frames = judge.pictures(tmp_path / "o.mp4", "gray")
    assert not judge.differing(frames[0], frames[-1], 24).any()


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
        (batch(1, width=321), "width"),
        (batch(1, height=14), "height"),
        (batch(1, width=3840, height=3840), "width"),
        (batch(1, background="blue"), "background"),
        (batch(1, fit=9), "fit"),
        (batch(1, motion=motion_pb2.Motion(end_zoom=11)), "motion.end_zoom"),
        (batch(1, motion=motion_pb2.Motion(focus_x=float("nan"))), "motion.focus_x"),
        (batch(1, motion=motion_pb2.Motion(pan=99)), "motion.pan"),  # type: ignore[arg-type]
    ],
)
async def test_what_cannot_be_is_refused(
    client: Client, still: Path, operation: video_pb2.Operation, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(operation, {"images.image_url": still})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(f"{field}: ")
