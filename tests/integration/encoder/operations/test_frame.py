"""frame, judged by decoding: a picture is that of the result of the operation, at the same time."""

import io
from pathlib import Path
from typing import Any

import av
import grpc
import numpy as np
import pytest

from apigpu.v1 import motion_pb2, video_pb2
from servicekit.errors import from_rpc
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
PNG = video_pb2.IMAGE_FORMAT_PNG
CAPTION = video_pb2.CaptionRequest(url_video="v", url_srt="s")
# What encoding at CRF 23 changes of small pictures, on average, of 255.
LOSS = 6.0


def decoded(data: bytes | bytearray) -> judge.Picture:
    with av.open(io.BytesIO(bytes(data))) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8)


def differs(one: judge.Picture, other: judge.Picture) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def has_caption(shown: judge.Picture, plain: judge.Picture) -> bool:
    """Whether something is drawn on a plain picture."""
    return bool(judge.differing(shown, plain).any())


async def rendered(client: Client, inputs: dict[str, Any], **wanted: Any) -> encoder_harness.Done:
    return await client.encode(video_pb2.Operation(frame=video_pb2.FrameRequest(**wanted)), inputs)


async def captioned(client: Client, video: Path, cues: Path | bytes, **wanted: Any) -> judge.Picture:
    inputs = {"caption.url_video": video, "caption.url_srt": cues}
    done = await rendered(client, inputs, **{"caption": CAPTION, "format": PNG, **wanted})
    return decoded(done.data)


async def test_a_captioned_picture_is_that_of_the_video(client: Client, clip: Path, cues: Path, tmp_path: Path) -> None:
    whole = video_pb2.Operation(caption=CAPTION)
    await client.result(tmp_path / "o.mp4", whole, {"url_video": clip, "url_srt": cues})
    result = judge.pictures(tmp_path / "o.mp4")
    for at, number in ((0.0, 0), (0.49, 12), (0.52, 13), (1.0, 25), (1.479, 36), (1.98, 49)):
        shown = await captioned(client, clip, cues, at_seconds=at)
        assert differs(shown, result[number]) < LOSS
        apart = [differs(shown, picture) for picture in result]
        assert min(range(len(apart)), key=apart.__getitem__) == number


async def test_of_no_time_the_first_caption_is_shown(client: Client, gray: Path, cues: Path) -> None:
    plain = judge.pictures(gray)[0]
    assert has_caption(await captioned(client, gray, cues), plain)
    found = [has_caption(await captioned(client, gray, cues, at_seconds=at), plain) for at in (0.51, 0.52, 1.5, 1.53)]
    assert found == [False, True, True, False]  # as the pictures that begin at 0.48, 0.52, 1.48 and 1.52 s


async def test_captions_come_and_go_while_a_picture_stands(client: Client, cues: Path, tmp_path: Path) -> None:
    """Of half a picture a second the first one is shown from 0 s to 2 s."""
    video = media.grey_video(tmp_path / "slow.mp4", 4, rate="0.5")
    plain = judge.pictures(video)[0]
    found = [has_caption(await captioned(client, video, cues, at_seconds=at), plain) for at in (0.4, 1, 1.9)]
    assert found == [False, True, False]


async def test_times_count_from_where_the_result_begins(client: Client, cues: Path, tmp_path: Path) -> None:
    """Its sound begins 0.4 s before its picture."""
    video = tmp_path / "late.mp4"
    whole = media.video(tmp_path / "whole.mp4")
    media.run("-itsoffset", "0.4", "-i", whole, "-i", whole, "-map", "0:v", "-map", "1:a", "-c", "copy", video)
    pictures = judge.pictures(video)
    for at, number in ((0.2, 0), (0.6, 5), (1.61, 30)):
        shown = await captioned(client, video, cues, at_seconds=at)
        apart = [differs(shown, picture) for picture in pictures]
        assert min(range(len(apart)), key=apart.__getitem__) == number


async def test_a_still_is_seen_as_in_its_clip(client: Client, still: Path, tmp_path: Path) -> None:
    image = video_pb2.Img2VidImage(id="1", image_url="i", duracao=1)
    motion = motion_pb2.Motion(start_zoom=1, end_zoom=2, focus_x=0.2)
    request = video_pb2.Img2VidRequest(images=[image], width=320, height=180, frame_rate=10, motion=motion)
    inputs = {"images.image_url": still}
    await client.result(tmp_path / "o.mp4", video_pb2.Operation(img2vid=request), inputs)
    result = judge.pictures(tmp_path / "o.mp4")
    inputs = {"img2vid.images.image_url": still}
    for at, number in ((0.0, 0), (0.49, 4), (0.99, 9)):
        done = await rendered(client, inputs, img2vid=request, at_seconds=at, format=PNG)
        apart = [differs(decoded(done.data), picture) for picture in result]
        assert min(range(len(apart)), key=apart.__getitem__) == number
        assert apart[number] < LOSS
    small = decoded((await rendered(client, inputs, img2vid=request, format=PNG, width=100)).data)
    assert small.shape == (56, 100, 3)
    assert differs(small, decoded((await rendered(client, inputs, img2vid=request, width=100)).data)) < LOSS


@pytest.mark.parametrize(("form", "kind"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
async def test_the_kind_of_image_and_its_width(client: Client, clip: Path, cues: Path, form: str, kind: str) -> None:
    inputs = {"caption.url_video": clip, "caption.url_srt": cues}
    done = await rendered(client, inputs, caption=CAPTION, format=f"IMAGE_FORMAT_{form}", width=160)
    assert done.summary is not None
    assert (done.summary.content_type, done.summary.codec) == (kind, "")
    assert decoded(done.data).shape == (90, 160, 3)


async def test_errors_name_fields_by_their_paths(client: Client, clip: Path, cues: Path, still: Path) -> None:
    styled = video_pb2.CaptionRequest(url_video="v", url_srt="s")
    styled.style.font = "No Such Font"
    odd = video_pb2.Img2VidRequest(images=[video_pb2.Img2VidImage(id="1", image_url="i", duracao=1)], width=321)
    inputs = {"caption.url_video": clip, "caption.url_srt": cues}
    stills = {"img2vid.images.image_url": still}
    for given, wanted, text in (
        (
            inputs,
            {"caption": CAPTION, "at_seconds": 2.5},
            "at_seconds: 2.5 s is past the end; the video lasts 2.000 s.",
        ),
        (inputs, {"caption": styled}, "caption.style.font: no font 'No Such Font' is on this encoder"),
        (inputs | {"caption.url_srt": b"no subtitles"}, {"caption": CAPTION}, "caption.url_srt: "),
        (inputs | {"caption.url_video": b"no video"}, {"caption": CAPTION}, "caption.url_video: "),
        (stills, {"img2vid": odd}, "img2vid.width: 321 is odd"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rendered(client, given, **wanted)
        assert (caught.value.details() or "").startswith(text)
        assert list(from_rpc(caught.value).fields) == [text.partition(":")[0]]


async def test_a_picture_that_would_be_too_large_is_refused(client: Client, cues: Path, tmp_path: Path) -> None:
    tall = media.video(tmp_path / "tall.mp4", 2, "16x1024", 5, False)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await captioned(client, tall, cues, at_seconds=0.0, width=800)
    assert (caught.value.details() or "").startswith("width: the picture would have 800×51200 pixels; 16384 a side")
    thumbnail = video_pb2.Operation(thumbnail=video_pb2.ThumbnailRequest(url_video="v", width=800))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(thumbnail, {"url_video": tall})
    assert list(from_rpc(caught.value).fields) == ["width"]


async def test_jpeg_has_the_colors_of_png(client: Client, cues: Path, tmp_path: Path) -> None:
    """Of HD video, told to be that or not, and of stills; JPEG means other colors by the same numbers."""
    bars, untold, told = (tmp_path / name for name in ("bars.png", "untold.mp4", "told.mp4"))
    media.run("-f", "lavfi", "-i", "smptehdbars=size=1280x720", "-frames:v", "1", bars)
    encode = ("-vf", "scale=out_color_matrix=bt709:out_range=tv", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-t", "2")
    tags = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
    media.run("-loop", "1", "-i", bars, *encode, untold)
    media.run("-loop", "1", "-i", bars, *encode, *tags, told)
    image = video_pb2.Img2VidImage(id="1", image_url="i", duracao=1)
    clip = video_pb2.Img2VidRequest(images=[image], width=1280, height=720, motion=motion_pb2.Motion(end_zoom=1))
    plain = decoded(bars.read_bytes())
    for inputs, wanted in (
        ({"caption.url_video": untold, "caption.url_srt": cues}, {"caption": CAPTION, "at_seconds": 0.0}),
        ({"caption.url_video": told, "caption.url_srt": cues}, {"caption": CAPTION, "at_seconds": 0.0}),
        ({"img2vid.images.image_url": bars}, {"img2vid": clip, "at_seconds": 0.0}),
    ):
        jpeg, png = [
            decoded((await rendered(client, inputs, format=form, **wanted)).data)
            for form in (video_pb2.IMAGE_FORMAT_JPEG, PNG)
        ]
        assert differs(jpeg, png) < 1.5
        assert differs(jpeg, plain) < 2.5
