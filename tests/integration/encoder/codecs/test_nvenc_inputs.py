"""Bad inputs: with NVENC the same is told of them as with x264, and nothing is left."""

from pathlib import Path

import grpc
import pytest

from apigpu.v1 import video_pb2
from servicekit.errors import from_rpc
from tests.integration.encoder.codecs.conftest import NvencEncoder
from tests.nvdriver.driver import Driver
from tests.support import encoder_harness, media
from tests.support.processes import at_rest, workers
from tests.support.until import until

pytestmark = pytest.mark.nvenc

CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
ADDAUDIO = video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a"))
STILL = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.2, width=320, height=180))


def cut(path: Path, share: float) -> bytes:
    """The first part of a file."""
    data = path.read_bytes()
    return data[: int(len(data) * share)]


@pytest.fixture(scope="module")
def bad(
    media_dir: Path, clip: Path, cues: Path, sound: Path, still: Path
) -> dict[str, tuple[video_pb2.Operation, dict[str, Path | bytes]]]:
    """Tasks with something wrong in each."""
    matroska = media.video(media_dir / "whole.mkv")
    faststart = media.video(media_dir / "faststart.mp4", 2, "320x180", 25, True, "-movflags", "+faststart")
    # MP4 cannot keep it, so that it is encoded.
    old = media.video(media_dir / "old.ts", 2, "320x180", 25, False, "-c:v", "mpeg2video")
    aac = media.tone(media_dir / "tone.aac", 2)
    silent = media_dir / "sound-only.mp4"
    media.run("-i", sound, "-c:a", "aac", silent)
    return {
        "cut off mp4": (CAPTION, {"url_video": cut(clip, 0.6), "url_srt": cues}),
        "cut off faststart": (CAPTION, {"url_video": cut(faststart, 0.6), "url_srt": cues}),
        "cut off mkv": (CAPTION, {"url_video": cut(matroska, 0.6), "url_srt": cues}),
        "garbage": (CAPTION, {"url_video": bytes(range(256)) * 64, "url_srt": cues}),
        "empty": (CAPTION, {"url_video": b"", "url_srt": cues}),
        "no frames": (CAPTION, {"url_video": silent, "url_srt": cues}),
        "head alone": (CAPTION, {"url_video": cut(faststart, 0.05), "url_srt": cues}),
        "damaged audio": (ADDAUDIO, {"url_video": old, "url_audio": cut(sound, 0.0002)}),
        "garbage audio": (ADDAUDIO, {"url_video": old, "url_audio": bytes(range(256)) * 64}),
        "holed audio": (ADDAUDIO, {"url_video": old, "url_audio": cut(aac, 0.01)}),
        "cut off image": (STILL, {"url_image": cut(still, 0.5)}),
        "garbage image": (STILL, {"url_image": bytes(range(256)) * 64}),
    }


async def told(
    client: encoder_harness.Client, operation: video_pb2.Operation, inputs: dict[str, Path | bytes]
) -> tuple[str, str]:
    """Code and text of the error that a task ends with; empty when it ends well."""
    try:
        await client.encode(operation, inputs, timeout_seconds=30)
    except grpc.aio.AioRpcError as error:
        return error.code().name, from_rpc(error).message
    return "", ""


@pytest.mark.parametrize("form", ["h264", *(pytest.param(form, marks=pytest.mark.long) for form in ("hevc", "av1"))])
async def test_the_same_is_told_as_with_x264(
    nvenc_encoder: NvencEncoder,
    driver: Driver,
    encoder: encoder_harness.Encoder,
    form: str,
    bad: dict[str, tuple[video_pb2.Operation, dict[str, Path | bytes]]],
) -> None:
    found, expected = {}, {}
    with nvenc_encoder(driver, CODEC="nvenc", NVENC_FORMAT=form) as on_card:
        [worker] = workers(on_card)
        async with on_card.client() as client, encoder.client() as plain:
            for name, task in bad.items():
                found[name] = await told(client, *task)
                expected[name] = await told(plain, *task)
                await until(lambda: at_rest(on_card, driver))
        assert workers(on_card) == [worker]  # a bad file is no reason to begin anew
    assert found == expected
    for name, (code, message) in expected.items():
        assert code == "INVALID_ARGUMENT", (name, code, message)
        assert message.startswith("url_"), (name, message)
