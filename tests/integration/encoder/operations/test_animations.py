"""GIF, APNG and animated WebP where a video is meant; and videos in colors that HD does not have."""

from pathlib import Path

import av
import grpc
import numpy as np
import pytest

from apigpu.v1 import video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
CONCAT = video_pb2.Operation(concat=video_pb2.ConcatRequest(url_videos=["a", "b"], width=64, height=64, frame_rate=10))
FORMS = {"gif": "rgb8", "apng": "rgb24", "webp": "bgra"}
CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))


@pytest.fixture(scope="module")
def moving(media_dir: Path) -> dict[str, Path]:
    """Five frames of red, then five of blue, at 10 a second."""
    made = {}
    for ending, form in FORMS.items():
        made[ending] = media_dir / f"moving.{ending}"
        parts = "color=0xE00000:s=64x64:d=0.5:r=10[a];color=0x0000E0:s=64x64:d=0.5:r=10[b]"
        options = ["-lossless", "1"] if ending == "webp" else []
        media.run("-filter_complex", f"{parts};[a][b]concat,format={form}", *options, made[ending])
    return made


def shown(path: Path) -> list[np.ndarray]:
    """The color in the upper middle of each frame, above captions."""
    with av.open(str(path)) as container:
        frames = [frame.reformat(format="rgb24", src_colorspace="ITU709") for frame in container.decode(video=0)]
        return [frame.to_ndarray()[16, 32].astype(int) for frame in frames]


@pytest.mark.parametrize("ending", FORMS)
async def test_an_animation_is_a_video(client: Client, moving: dict[str, Path], tmp_path: Path, ending: str) -> None:
    words = media.srt(tmp_path / "s.srt", [(0.1, 0.4, "a")])
    await client.result(tmp_path / "o.mp4", CAPTION, {"url_video": moving[ending], "url_srt": words})
    facts = judge.facts(tmp_path / "o.mp4")
    assert facts.seconds == pytest.approx(1.0, abs=0.15)
    colors = shown(tmp_path / "o.mp4")
    assert colors[0] == pytest.approx([224, 0, 0], abs=40)
    assert colors[-1] == pytest.approx([0, 0, 224], abs=40)
    at = video_pb2.Operation(
        thumbnail=video_pb2.ThumbnailRequest(url_video="v", at_seconds=0.75, format="IMAGE_FORMAT_PNG")
    )
    await client.result(tmp_path / "t.png", at, {"url_video": moving[ending]})
    assert judge.pictures(tmp_path / "t.png")[0][16, 32].argmax() == 2


async def test_animations_are_joined(client: Client, moving: dict[str, Path], tmp_path: Path) -> None:
    files = {"url_videos[0]": moving["webp"], "url_videos[1]": moving["gif"]}
    await client.result(tmp_path / "o.mp4", CONCAT, files)
    colors = shown(tmp_path / "o.mp4")
    assert len(colors) == pytest.approx(20, abs=1)
    assert [color.argmax() for color in (colors[2], colors[7], colors[12], colors[17])] == [0, 2, 0, 2]


async def test_a_picture_that_does_not_move_is_no_video(client: Client, tmp_path: Path) -> None:
    image = tmp_path / "still.gif"
    media.run("-f", "lavfi", "-i", "color=red:s=64x64,format=rgb8", "-frames:v", "1", image)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(CAPTION, {"url_video": image, "url_srt": b"1\n00:00:00,000 --> 00:00:01,000\na\n"})
    assert "img2vid" in (caught.value.details() or "")


async def test_wide_colors_become_those_of_hd(client: Client, tmp_path: Path) -> None:
    """Of a thumbnail nothing tells the colors, and joined videos are tagged as HD."""
    plain, wide = tmp_path / "plain.mp4", tmp_path / "wide.mp4"
    color = "color=0xB06030:s=64x64:d=0.3:r=10,format=gbrp"
    hd = "zscale=m=709:t=709:p=709:r=limited:pin=709:tin=709,format=yuv420p"
    tags = ["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"]
    media.run("-f", "lavfi", "-i", color, "-vf", hd, "-c:v", "libx264", "-crf", "4", *tags, plain)
    graph = "zscale=pin=709:tin=709:min=709:rin=limited:p=2020:t=2020_10:m=2020_ncl:r=limited,format=yuv420p10le"
    tags = ["-color_primaries", "bt2020", "-color_trc", "bt2020-10", "-colorspace", "bt2020nc"]
    media.run("-i", plain, "-vf", graph, "-c:v", "libx264", "-crf", "4", *tags, wide)
    await client.result(tmp_path / "o.mp4", CONCAT, {"url_videos[0]": plain, "url_videos[1]": wide})
    colors = shown(tmp_path / "o.mp4")
    assert colors[4] == pytest.approx(colors[1], abs=4)
    at = video_pb2.Operation(
        thumbnail=video_pb2.ThumbnailRequest(url_video="v", at_seconds=0, format="IMAGE_FORMAT_PNG")
    )
    for video in (plain, wide):
        await client.result(tmp_path / "t.png", at, {"url_video": video})
        assert judge.pictures(tmp_path / "t.png")[0][16, 32] == pytest.approx(np.array([0xB0, 0x60, 0x30]), abs=5)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
async def test_the_range_of_hdr_is_the_one_that_it_is_tagged_with(
    client: Client, tmp_path: Path, transfer: str
) -> None:
    found = []
    for name, tag in {"limited": "tv", "full": "pc"}.items():
        video = tmp_path / f"{name}.mkv"
        given = "zscale=tin=709:pin=709:min=709:rin=limited"
        graph = f"color=gray:s=64x64:d=0.3:r=10,format=yuv420p,{given}:t={transfer}:p=2020:m=2020_ncl:r={name}:npl=203"
        tags = ["-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc", "-color_range", tag]
        media.run("-f", "lavfi", "-i", f"{graph},format=yuv420p10le", "-c:v", "libx264", "-crf", "4", *tags, video)
        words = media.srt(tmp_path / "s.srt", [(0.1, 0.4, "a")])
        await client.result(tmp_path / "o.mp4", CAPTION, {"url_video": video, "url_srt": words})
        found.append(shown(tmp_path / "o.mp4")[1])
    assert found[1] == pytest.approx(found[0], abs=3)
