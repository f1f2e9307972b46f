"""thumbnail, judged by decoding: which picture, how large, what kind of file, and the sheet of sprites."""

import io
import re
from pathlib import Path

import av
import grpc
import numpy as np
import numpy.typing as npt
import pytest

from apigpu.v1 import video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


async def taken(client: Client, video: Path, **options: object) -> encoder_harness.Done:
    """Run it; what came of it."""
    request = video_pb2.ThumbnailRequest(url_video="v", **options)  # type: ignore[arg-type]
    return await client.encode(video_pb2.Operation(thumbnail=request), {"url_video": video})


def decoded(data: bytes | bytearray) -> npt.NDArray[np.uint8]:
    """The picture in a file as RGB."""
    with av.open(io.BytesIO(bytes(data))) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8)


def nearest(shown: list[judge.Picture], data: bytes | bytearray) -> int:
    """Number of the picture that is most like the one in a file."""
    picture = decoded(data).astype(int)
    return min(range(len(shown)), key=lambda number: float(np.abs(shown[number] - picture).mean()))


@pytest.fixture(scope="session")
def scenes(media_dir: Path) -> Path:
    """Two seconds each of black, a blurred scene, a sharp one (4 to 6 s), white."""
    path = media_dir / "scenes.mp4"
    graph = (
        "[1:v]trim=duration=4,split[x][y];[x]trim=duration=2,boxblur=30[blurred];"
        "[y]trim=start=2,setpts=PTS-STARTPTS[sharp];[0:v][blurred][sharp][2:v]concat=n=4"
    )
    black, white = (f"color={color}:size=320x180:rate=25:duration=2" for color in ("black", "white"))
    scene = "mandelbrot=size=320x180:rate=25"
    inputs = [word for source in (black, scene, white) for word in ("-f", "lavfi", "-i", source)]
    media.run(*inputs, "-filter_complex", graph, *X264, path)
    return path


async def test_the_most_telling_picture_is_taken(client: Client, scenes: Path) -> None:
    done = await taken(client, scenes, format=video_pb2.IMAGE_FORMAT_PNG)
    assert 100 <= nearest(judge.pictures(scenes), done.data) < 150


async def test_of_a_long_video_parts_are_looked_at(client: Client, media_dir: Path) -> None:
    video = media_dir / "long.mp4"
    black = "color=black:size=160x90:rate=5:duration=50"
    scene = "mandelbrot=size=160x90:rate=5"
    graph = "[1:v]trim=duration=50[scene];[0:v][scene]concat=n=2"
    inputs = ["-f", "lavfi", "-i", black, "-f", "lavfi", "-i", scene]
    media.run(*inputs, "-filter_complex", graph, *X264, "-g", "50", video)
    assert decoded((await taken(client, video)).data).std() > 20


@pytest.mark.parametrize("at", [0, 0.5, 1.0, 1.979])
async def test_the_picture_that_is_shown_at_a_time(client: Client, clip: Path, at: float) -> None:
    done = await taken(client, clip, at_seconds=at, format=video_pb2.IMAGE_FORMAT_PNG)
    assert nearest(judge.pictures(clip), done.data) == int(at * 25 + 1e-6)


async def test_a_picture_that_stands_long_is_found(client: Client, tmp_path: Path) -> None:
    """Of 0.5 pictures a second the second one is shown from 2 s to 4 s."""
    video = media.video(tmp_path / "slow.mp4", 6, rate="0.5")
    done = await taken(client, video, at_seconds=3.9, format=video_pb2.IMAGE_FORMAT_PNG)
    assert nearest(judge.pictures(video), done.data) == 1


async def test_a_time_past_the_end(client: Client, clip: Path) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await taken(client, clip, at_seconds=2.0)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "at_seconds: 2 s is past the end; the video lasts 2.000 s."


@pytest.mark.parametrize(
    ("form", "content_type", "magic"),
    [
        (video_pb2.IMAGE_FORMAT_UNSPECIFIED, "image/jpeg", b"\xff\xd8\xff"),
        (video_pb2.IMAGE_FORMAT_JPEG, "image/jpeg", b"\xff\xd8\xff"),
        (video_pb2.IMAGE_FORMAT_PNG, "image/png", b"\x89PNG"),
        (video_pb2.IMAGE_FORMAT_WEBP, "image/webp", b"RIFF"),
    ],
)
async def test_kinds_and_sizes(client: Client, clip: Path, form: int, content_type: str, magic: bytes) -> None:
    done = await taken(client, clip, at_seconds=1, format=form, width=200)
    summary = done.summary
    assert summary is not None
    assert (summary.content_type, summary.width, summary.height, summary.codec) == (content_type, 200, 112, "")
    assert done.data.startswith(magic)
    assert decoded(done.data).shape == (112, 200, 3)
    reference = judge.pictures(clip)[25].reshape(-1, 3).mean(axis=0)
    assert decoded(done.data).reshape(-1, 3).mean(axis=0) == pytest.approx(reference, abs=6)


async def test_turned_and_wide_pixels_are_shown_as_players_do(client: Client, clip: Path, tmp_path: Path) -> None:
    turned, wide = tmp_path / "turned.mp4", tmp_path / "wide.mp4"
    media.run("-display_rotation", "90", "-i", clip, "-c", "copy", turned)
    media.run("-i", clip, "-vf", "scale=160:180,setsar=2", *X264, wide)
    assert decoded((await taken(client, turned, at_seconds=0)).data).shape == (320, 180, 3)
    assert decoded((await taken(client, wide, at_seconds=0)).data).shape == (180, 320, 3)


async def test_a_video_without_anything_to_see_gives_a_picture(client: Client, gray: Path) -> None:
    assert decoded((await taken(client, gray)).data).mean() == pytest.approx(64, abs=3)


async def test_a_sheet_of_sprites_and_its_cues(client: Client, tmp_path: Path) -> None:
    clip = tmp_path / "colors.mp4"
    colors = [(255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255)]
    names = ("red", "green", "blue", "white")
    inputs = [w for name in names for w in ("-f", "lavfi", "-i", f"color={name}:size=320x180:rate=25:duration=0.48")]
    media.run(*inputs, "-filter_complex", "concat=n=4", *X264, clip)
    wanted = video_pb2.Sprites(interval_seconds=0.48, columns=3, width=64)
    done = await taken(client, clip, at_seconds=0, sprites=wanted)
    assert done.summary is not None
    types = {file.name: file.content_type for file in done.summary.files}
    assert types == {"sprites.jpg": "image/jpeg", "sprites.vtt": "text/vtt"}
    sheet, cues = decoded(done.files["sprites.jpg"]), done.files["sprites.vtt"].decode()
    assert sheet.shape == (72, 192, 3)
    found = re.findall(r"(\S+) --> (\S+)\nsprites\.jpg#xywh=(\d+),(\d+),(\d+),(\d+)", cues)
    assert [entry[:2] for entry in found[-2:]] == [
        ("00:00:00.960", "00:00:01.440"),
        ("00:00:01.440", "00:00:01.920"),
    ]
    assert cues.startswith("WEBVTT\n\n")
    for number, (x, y, width, height) in enumerate(tuple(map(int, entry[2:])) for entry in found):
        sprite = sheet[y : y + height, x : x + width]
        assert sprite[2:-2, 2:-2].mean(axis=(0, 1)) == pytest.approx(colors[number], abs=16)
    assert len(found) == 4


async def test_too_many_sprites(client: Client, tmp_path: Path) -> None:
    video = media.grey_video(tmp_path / "v.mp4", 50, "64x64", 2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await taken(client, video, sprites=video_pb2.Sprites(interval_seconds=0.1))
    assert str(caught.value.details()).startswith("sprites.interval_seconds: 500 pictures are too many; 400 are the")
