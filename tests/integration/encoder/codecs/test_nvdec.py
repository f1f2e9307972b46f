"""Decoding on the card: tried at the start by decoding, in the sandbox that tasks have; used where that went well, on
the card of the task's session; never tried anew by each task where it does not."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from apigpu.v1 import video_pb2
from encoder.codecs.nvenc import nvdec
from servicekit.errors import from_rpc
from tests.nvdriver.driver import Driver
from tests.nvdriver.obliging import ObligingFfmpeg, obliging
from tests.support import encoder_harness, media
from tests.support.encoder_harness import Client
from tests.support.processes import workers
from tests.support.until import until_async

pytestmark = pytest.mark.nvenc

CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s", encode_all=True))
FRAMES = nvdec.FEWEST_FRAMES
CARD = "API-GPU stand-in (no GPU)"

__all__ = ["obliging"]


@pytest.fixture(scope="module")
def film(media_dir: Path) -> Path:
    """So many frames that a card is worth opening, in two seconds."""
    return media.video(media_dir / "film.mp4", 2, "320x180", FRAMES / 2)


async def captioned(client: Client, film: Path, cues: Path) -> tuple[str, str]:
    """The codec of a captioned film, and why it was this one."""
    summary = (await client.encode(CAPTION, {"url_video": film, "url_srt": cues})).summary
    assert summary is not None
    assert summary.frames == FRAMES
    return summary.codec, summary.codec_reason


async def test_where_the_card_does_not_decode_no_task_tries_it(
    nvdriver: Driver, certs: Path, tmp_path: Path, film: Path, cues: Path
) -> None:
    """The stand-in has no decoder: FFmpeg opens the card in the sandbox, and finds none."""
    with encoder_harness.running(certs, tmp_path, {"NVDEC": "true", **nvdriver.environment()}) as encoder:
        async with encoder.client() as client:
            [card] = (await client.capabilities()).cards
            assert (card.fault, card.decodes) == ("", False)
            assert "libnvcuvid.so.1 is not found" in card.decode_fault
            assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video" in card.decode_fault
            assert await captioned(client, film, cues) == ("nvenc", CARD)
        [told] = [line for line in encoder.lines if "does not decode" in str(line["event"])]
        assert told["error"] == card.decode_fault


async def test_a_card_that_is_lost_where_it_did_not_decode_is_told_by_the_task(
    nvdriver: Driver, certs: Path, tmp_path: Path, film: Path, cues: Path
) -> None:
    """What is tried again is decoding: with CODEC=nvenc a lost card is a fault of the task, and not of the settings."""
    settings = {"CODEC": "nvenc", "NVDEC": "true", "CODEC_RETRY_SECONDS": 0.2}
    with encoder_harness.running(certs, tmp_path, settings | nvdriver.environment()) as encoder:
        async with encoder.client() as client:
            nvdriver.fault(device_lost=1)
            for worker in workers(encoder):
                worker.kill()

            async def is_told() -> bool:
                return bool((await client.capabilities()).unusable_codecs)

            await until_async(is_told)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.encode(CAPTION, {"url_video": film, "url_srt": cues})
            assert from_rpc(caught.value).reason == "CODEC_FAILED"


def test_doctor_tells_why_cards_do_not_decode(nvdriver: Driver, certs: Path, tmp_path: Path) -> None:
    environment = encoder_harness.environment(certs, tmp_path, {**nvdriver.environment(), "NVDEC": "true"})
    command = [sys.executable, "-P", "-m", "encoder", "doctor"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)["gpu"]["nvdec"]
    assert told["works"] is False
    assert told["reason"].startswith(f"{CARD}: the driver's decoder is not here")


async def test_each_task_decodes_on_the_card_of_its_session(
    nvdriver: Driver, certs: Path, tmp_path: Path, film: Path, cues: Path, obliging: ObligingFfmpeg
) -> None:
    nvdriver.fault(devices=2, encode_delay_ms=20)
    settings = {"NVDEC": "true", "SANDBOX": "none", "FFMPEG_BINARY": obliging.program, **nvdriver.environment()}
    with encoder_harness.running(certs, tmp_path, settings) as encoder:
        async with encoder.client() as client:
            assert [card.decodes for card in (await client.capabilities()).cards] == [True, True]
            assert sorted(obliging.decodings()) == ["0", "1"]
            both = [captioned(client, film, cues) for _ in range(2)]
            assert await asyncio.gather(*both) == [("nvenc", f"{CARD}, {CARD}")] * 2
            assert sorted(obliging.decodings()[2:]) == ["0", "1"]
            assert [card.sessions for card in (await client.capabilities()).cards] == [0, 0]


async def test_a_card_that_fails_to_decode_is_left_alone_until_it_decodes_again(
    nvdriver: Driver, certs: Path, tmp_path: Path, film: Path, cues: Path, obliging: ObligingFfmpeg
) -> None:
    settings = {"NVDEC": "true", "SANDBOX": "none", "FFMPEG_BINARY": obliging.program, "CODEC_RETRY_SECONDS": 4}
    with encoder_harness.running(certs, tmp_path, settings | nvdriver.environment()) as encoder:
        async with encoder.client() as client:

            async def fault() -> str:
                return (await client.capabilities()).cards[0].decode_fault

            obliging.broken.touch()
            codec, reason = await captioned(client, film, cues)
            assert (codec, reason) == ("nvenc", "nvenc: decoding on the card failed.")
            assert "is lost" in await fault()
            before = len(obliging.decodings())
            assert await captioned(client, film, cues) == ("nvenc", CARD)
            tries = [line for line in encoder.lines if "does not decode" in str(line["event"])]
            assert len(obliging.decodings()) - before <= len(tries)  # of the encoder's own, not the task's
            obliging.broken.unlink()

            async def decodes() -> bool:
                return (await client.capabilities()).cards[0].decodes

            await until_async(decodes)
            before = len(obliging.decodings())
            assert await captioned(client, film, cues) == ("nvenc", CARD)
            assert len(obliging.decodings()) == before + 1

            cut = media.video(tmp_path / "cut.mp4", 2, "320x180", 25, True, "-movflags", "+faststart").read_bytes()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.encode(CAPTION, {"url_video": cut[:60_000], "url_srt": cues})
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert (caught.value.details() or "").startswith("url_video: ")


async def test_a_broken_file_turns_the_card_off_for_nobody(
    nvdriver: Driver, certs: Path, tmp_path: Path, film: Path, cues: Path, obliging: ObligingFfmpeg
) -> None:
    settings = {"NVDEC": "true", "SANDBOX": "none", "FFMPEG_BINARY": obliging.program, "CODEC_RETRY_SECONDS": 600}
    broken = media.video(tmp_path / "broken.mp4", 4, "320x180", 100, True, "-movflags", "+faststart").read_bytes()
    kept = len(broken) // 4
    with encoder_harness.running(certs, tmp_path, settings | nvdriver.environment()) as encoder:
        async with encoder.client() as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.encode(CAPTION, {"url_video": broken[:kept] + bytes(len(broken) - kept), "url_srt": cues})
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert len(obliging.decodings()) == 3  # at the start, of the task, and to see whether it was the card
            [card] = (await client.capabilities()).cards
            assert (card.decodes, card.decode_fault) == (True, "")
            assert await captioned(client, film, cues) == ("nvenc", CARD)
            assert len(obliging.decodings()) == 4


async def test_a_short_video_is_decoded_in_software(
    nvdriver: Driver, certs: Path, tmp_path: Path, clip: Path, cues: Path, obliging: ObligingFfmpeg
) -> None:
    settings = {"NVDEC": "true", "SANDBOX": "none", "FFMPEG_BINARY": obliging.program, **nvdriver.environment()}
    with encoder_harness.running(certs, tmp_path, settings) as encoder:
        async with encoder.client() as client:
            done = await client.encode(CAPTION, {"url_video": clip, "url_srt": cues})
            assert done.summary is not None
            assert (done.summary.codec_reason, len(obliging.decodings())) == (CARD, 1)


async def test_the_short_part_of_a_long_film_is_decoded_in_software(
    nvdriver: Driver, certs: Path, tmp_path: Path, obliging: ObligingFfmpeg
) -> None:
    """The part that does not fit into a film that is copied otherwise."""
    film = media.video(tmp_path / "long.mp4", 4, "320x180", 50, True, "-preset", "medium")
    other = media.video(tmp_path / "other.mp4", 1, "180x320", 50)
    request = video_pb2.Operation(concat=video_pb2.ConcatRequest(url_videos=["a", "b"]))
    settings = {"NVDEC": "true", "SANDBOX": "none", "FFMPEG_BINARY": obliging.program, **nvdriver.environment()}
    with encoder_harness.running(certs, tmp_path, settings) as encoder:
        async with encoder.client() as client:
            done = await client.encode(request, {"url_videos[0]": film, "url_videos[1]": other})
            assert done.summary is not None
            assert (done.summary.codec_reason, done.summary.frames, done.summary.frames_copied) == (CARD, 250, 200)
            assert len(obliging.decodings()) == 1


# Each with what FFmpeg makes it by: all that it decodes on cards, and has an encoder of.
FORMATS = {
    "h264.mp4": "libx264", "hevc.mp4": "libx265", "av1.mp4": "libsvtav1", "vp9.webm": "libvpx-vp9",
    "vp8.webm": "libvpx", "mpeg4.mp4": "mpeg4", "mpeg2.ts": "mpeg2video", "mpeg1.mpg": "mpeg1video",
    "mjpeg.mkv": "mjpeg", "h263.avi": "h263",
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_card_does_not_decode_ffmpeg_decodes_in_the_same_run(
    nvdriver: Driver, tmp_path: Path, name: str
) -> None:
    """The stand-in's card decodes nothing, as real ones do not decode AV1, or H.264 of ten bits."""
    path = tmp_path / name
    pixels = "yuvj420p" if name.startswith("mjpeg") else "yuv420p"
    source = ("-f", "lavfi", "-i", "testsrc2=size=352x288:rate=25:duration=0.2", "-pix_fmt", pixels)
    media.run(*source, "-c:v", FORMATS[name], path)
    output = ("-i", str(path), "-map", "v:0", "-f", "md5", "-")
    on_card, in_software = (
        subprocess.run(
            [media.FFMPEG, "-nostdin", "-v", "verbose", *options, *output],
            env=nvdriver.environment(), capture_output=True, text=True, check=False,
        )
        for options in (nvdec.hwaccel(0), ())
    )  # fmt: skip
    assert on_card.returncode == 0, on_card.stderr
    assert ("MD5=" in on_card.stdout, on_card.stdout) == (True, in_software.stdout)
    # It was asked to: of AV1 FFmpeg's own decoder has no software.
    assert ("Failed setup for format cuda" in on_card.stderr) == (not name.startswith("av1"))


async def test_av1_is_decoded_by_a_task_on_a_card_that_lacks_it(
    nvdriver: Driver, certs: Path, tmp_path: Path, cues: Path, obliging: ObligingFfmpeg
) -> None:
    source = ("-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={FRAMES / 2}:duration=2", "-pix_fmt", "yuv420p")
    media.run(*source, "-c:v", "libsvtav1", "-preset", "12", tmp_path / "av1.mp4")
    settings = {"NVDEC": "true", "SANDBOX": "none", "FFMPEG_BINARY": obliging.program, **nvdriver.environment()}
    obliging.lacking.touch()
    with encoder_harness.running(certs, tmp_path, settings) as encoder:
        async with encoder.client() as client:
            assert await captioned(client, tmp_path / "av1.mp4", cues) == ("nvenc", CARD)
            assert len(obliging.decodings()) == 2
