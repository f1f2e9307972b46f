"""Faults of card and driver in mid-work: a clear error or the fallback, nothing left, and the next task works."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from apigpu.v1 import video_pb2
from servicekit.errors import ServiceError, from_rpc
from tests.integration.encoder.codecs.conftest import NvencEncoder
from tests.nvdriver.driver import Driver
from tests.support import encoder_harness, judge, media
from tests.support.processes import alive, at_rest, ffmpegs, workers
from tests.support.until import until

pytestmark = pytest.mark.nvenc

CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
FRAGMENTED = video_pb2.Operation(
    caption=video_pb2.CaptionRequest(url_video="v", url_srt="s", container=video_pb2.CONTAINER_FRAGMENTED_MP4)
)
STILL = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=1, width=320, height=180))
LONG_STILL = video_pb2.Operation(
    img2vid=video_pb2.Img2VidRequest(url_image="i", duration=600, width=320, height=180, frame_rate=60)
)
CARD = "API-GPU stand-in (no GPU)"
CODECS = ("auto", "nvenc")


@contextlib.asynccontextmanager
async def connected(
    nvenc_encoder: NvencEncoder, driver: Driver, **settings: object
) -> AsyncIterator[tuple[encoder_harness.Encoder, encoder_harness.Client]]:
    with nvenc_encoder(driver, **settings) as encoder:
        async with encoder.client() as client:
            yield encoder, client


@pytest.fixture
def inputs(clip: Path, cues: Path) -> dict[str, Path]:
    """What CAPTION takes: fifty frames."""
    return {"url_video": clip, "url_srt": cues}


@pytest.fixture(scope="module")
def minute(media_dir: Path) -> Path:
    """A minute of video, without sound."""
    return media.video(media_dir / "minute.mp4", 60, "320x180", 25, False)


async def error_of(running: "asyncio.Future[encoder_harness.Done]") -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running
    return from_rpc(caught.value)


async def made_by(client: encoder_harness.Client, inputs: dict[str, Path], folder: Path) -> tuple[str, str]:
    """Caption a video, look at the result; the codec and why it was this one."""
    summary = await client.result(folder / "made.mp4", CAPTION, inputs)
    assert judge.facts(folder / "made.mp4").frames == 50
    return summary.codec, summary.codec_reason


def pictures(driver: Driver) -> int:
    return len(driver.calls("nvEncEncodePicture"))


def started(
    client: encoder_harness.Client, operation: video_pb2.Operation, **inputs: Path | bytes
) -> "asyncio.Task[encoder_harness.Done]":
    return asyncio.create_task(client.encode(operation, inputs, timeout_seconds=60))


async def begun(driver: Driver) -> None:
    """Wait until a session has taken a few pictures more."""
    before = pictures(driver)
    await until(lambda: pictures(driver) > before + 5)


# The limit of sessions


async def test_at_the_limit_a_task_waits(
    nvenc_encoder: NvencEncoder, driver: Driver, minute: Path, cues: Path, still: Path
) -> None:
    async with connected(nvenc_encoder, driver, CODEC="nvenc") as (encoder, client):
        before = len(driver.calls())
        driver.fault(session_limit=1, encode_delay_ms=20)
        first = started(client, CAPTION, url_video=minute, url_srt=cues)
        await begun(driver)
        waiting = started(client, STILL, url_image=still)
        await until(lambda: any(call.result for call in driver.calls("nvEncOpenEncodeSessionEx")))
        first.cancel()
        done = await waiting
        assert done.summary is not None
        assert done.summary.codec == "nvenc"
        assert max(call.live.sessions for call in driver.calls()[before:]) == 1
        assert driver.state().live.contexts == 1  # each refusal leaves one, which is taken away
        await until(lambda: at_rest(encoder, driver))


@pytest.mark.parametrize("made", [False, True])
async def test_a_task_that_waits_can_be_cancelled(
    nvenc_encoder: NvencEncoder, driver: Driver, inputs: dict[str, Path], still: Path, made: bool
) -> None:
    async with connected(nvenc_encoder, driver, CODEC="nvenc") as (encoder, client):
        driver.fault(session_limit=1, encode_delay_ms=60)
        holder = started(client, CAPTION, **inputs)
        await begun(driver)
        waiting = started(client, LONG_STILL, url_image=still) if made else started(client, CAPTION, **inputs)
        await until(lambda: [call for call in driver.calls("nvEncOpenEncodeSessionEx") if call.result])
        assert len(encoder.task_folders()) == 2
        waiting.cancel()
        await until(lambda: len(encoder.task_folders()) == 1)
        assert not holder.done()
        driver.clear("encode_delay_ms")
        assert (await holder).summary is not None
        await until(lambda: at_rest(encoder, driver))


async def test_at_the_limit_a_task_goes_to_x264_where_that_is_set(
    nvenc_encoder: NvencEncoder, driver: Driver, inputs: dict[str, Path], tmp_path: Path
) -> None:
    async with connected(nvenc_encoder, driver, NVENC_AT_LIMIT="x264") as (encoder, client):
        driver.fault(session_limit=1, encode_delay_ms=40)
        holder = started(client, CAPTION, **inputs)
        await begun(driver)
        codec, reason = await made_by(client, inputs, tmp_path)
        assert (codec, reason) == ("x264", "nvenc: the card has no session more to give.")
        done = await holder
        assert done.summary is not None
        assert (done.summary.codec, done.summary.codec_reason) == ("nvenc", CARD)
        await until(lambda: at_rest(encoder, driver))


async def test_at_the_limit_without_another_codec_is_an_error(
    nvenc_encoder: NvencEncoder, driver: Driver, inputs: dict[str, Path], tmp_path: Path
) -> None:
    async with connected(nvenc_encoder, driver, CODEC="nvenc", NVENC_AT_LIMIT="x264") as (encoder, client):
        driver.fault(session_limit=1, encode_delay_ms=40)
        holder = started(client, CAPTION, **inputs)
        await begun(driver)
        error = await error_of(started(client, CAPTION, **inputs))
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "SESSION_LIMIT")
        assert error.message == "nvenc: the card has no session more to give."
        await holder
        assert await made_by(client, inputs, tmp_path) == ("nvenc", CARD)
        await until(lambda: at_rest(encoder, driver))


# Faults in mid-stream


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"encode_fails_at": 20, "encode_fails_always": 1}, "could not encode a frame"),
        ({"encode_fails_at": 1}, "could not encode a frame"),
        ({"out_of_memory": 1}, "memory is full"),
        ({"memory_bytes": 300_000}, "memory is full"),
    ],
    ids=["twentieth", "first", "memory", "filled"],
)
@pytest.mark.parametrize("codec", CODECS)
async def test_a_session_that_fails(
    nvenc_encoder: NvencEncoder,
    driver: Driver,
    inputs: dict[str, Path],
    tmp_path: Path,
    codec: str,
    fault: dict[str, object],
    told: str,
) -> None:
    async with connected(nvenc_encoder, driver, CODEC=codec) as (encoder, client):
        await made_by(client, inputs, tmp_path)
        before = driver.state().live
        driver.fault(**fault)
        if codec == "auto":
            made, reason = await made_by(client, inputs, tmp_path)
            assert made == "x264"
        else:
            error = await error_of(started(client, CAPTION, **inputs))
            assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "CODEC_FAILED")
            reason = error.message
        assert reason.startswith("nvenc: the session failed: ")
        assert told in reason
        (line,) = [
            line
            for line in encoder.lines
            if line["event"] == "nvenc worker" and "nvenc" in str(line["message"]).lower()
        ]
        assert (line["task"], bool(line["request_id"])) == ("t", True)
        driver.clear()
        assert await made_by(client, inputs, tmp_path) == ("nvenc", CARD)
        await until(lambda: at_rest(encoder, driver))
        after = driver.state().live
        assert (after.bytes, after.allocations) == (before.bytes, before.allocations)


@pytest.mark.parametrize("form", ["hevc", "av1"])
async def test_faults_with_another_format(
    nvenc_encoder: NvencEncoder, driver: Driver, inputs: dict[str, Path], tmp_path: Path, form: str
) -> None:
    async with connected(nvenc_encoder, driver, NVENC_FORMAT=form) as (encoder, client):
        driver.fault(encode_fails_at=20, encode_fails_always=1)
        codec, reason = await made_by(client, inputs, tmp_path)
        assert codec == "x264"
        assert "could not encode a frame" in reason
        driver.clear()
        assert await made_by(client, inputs, tmp_path) == ("nvenc", CARD)
        driver.fault(encode_delay_ms=20)
        running = started(client, CAPTION, **inputs)
        await begun(driver)
        [worker] = workers(encoder)
        worker.kill()
        done = await running
        assert done.summary is not None
        assert (done.summary.codec, done.summary.frames) == ("x264", 50)
        driver.clear()
        assert await made_by(client, inputs, tmp_path) == ("nvenc", CARD)
        await until(lambda: at_rest(encoder, driver))


async def test_a_failure_when_bytes_are_out_is_an_error_and_no_broken_file(
    nvenc_encoder: NvencEncoder, driver: Driver, minute: Path, inputs: dict[str, Path], tmp_path: Path
) -> None:
    async with connected(nvenc_encoder, driver) as (encoder, client):
        driver.fault(encode_delay_ms=5)
        accepted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        accepted.set_result(True)
        call = client.stub.Encode(encoder_harness.requests(FRAGMENTED, {**inputs, "url_video": minute}, accepted))

        async def read() -> None:
            async for response in call:
                assert response.WhichOneof("part") != "summary"
                if response.WhichOneof("part") == "chunk":
                    driver.fault(encode_fails_at=1, encode_fails_always=1)

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read()
        error = from_rpc(caught.value)
        assert error.code is grpc.StatusCode.UNAVAILABLE
        assert error.message.startswith("nvenc: ")
        driver.clear()
        assert await made_by(client, inputs, tmp_path) == ("nvenc", CARD)
        await until(lambda: at_rest(encoder, driver))


# A lost card, a dead or stuck worker


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("way", ["device", "kill"])
async def test_a_worker_that_is_lost_in_mid_task(
    nvenc_encoder: NvencEncoder, driver: Driver, inputs: dict[str, Path], tmp_path: Path, codec: str, way: str
) -> None:
    async with connected(nvenc_encoder, driver, CODEC=codec) as (encoder, client):
        driver.fault(encode_delay_ms=20)
        running = started(client, CAPTION, **inputs)
        await begun(driver)
        [worker] = workers(encoder)
        driver.fault(encode_delay_ms=0)
        if way == "device":
            driver.fault(device_lost=1)
        else:
            worker.kill()
        if codec == "auto":
            done = await running
            assert done.summary is not None
            assert (done.summary.codec, done.summary.frames) == ("x264", 50)
            reason = done.summary.codec_reason
        else:
            error = await error_of(running)
            assert error.code is grpc.StatusCode.UNAVAILABLE
            reason = error.message
        assert reason.startswith("nvenc: ")
        assert "card" in reason
        await until(lambda: not alive(worker))
        driver.clear()
        assert await made_by(client, inputs, tmp_path) == ("nvenc", CARD)
        await until(lambda: at_rest(encoder, driver))
        assert [process.pid for process in workers(encoder)] != [worker.pid]


@pytest.mark.parametrize("way", ["device", "kill"])
async def test_a_worker_that_is_lost_between_tasks(
    nvenc_encoder: NvencEncoder, driver: Driver, inputs: dict[str, Path], tmp_path: Path, way: str
) -> None:
    async with connected(nvenc_encoder, driver) as (encoder, client):
        await made_by(client, inputs, tmp_path)
        [worker] = workers(encoder)
        if way == "device":
            driver.fault(device_lost=1)
            codec, reason = await made_by(client, inputs, tmp_path)
            assert codec == "x264"
            assert reason.startswith("nvenc: ")
            codec, reason = await made_by(client, inputs, tmp_path)
            assert codec == "x264"
            assert reason.startswith("nvenc: ")
            driver.clear()
        else:
            worker.kill()
            await until(lambda: not alive(worker))
        assert await made_by(client, inputs, tmp_path) == ("nvenc", CARD)
        await until(lambda: at_rest(encoder, driver))
        assert [process.pid for process in workers(encoder)] != [worker.pid]


async def test_a_worker_that_comes_back_to_a_card_of_no_use_tries_again(
    nvenc_encoder: NvencEncoder, driver: Driver, inputs: dict[str, Path], tmp_path: Path
) -> None:
    async with connected(nvenc_encoder, driver) as (encoder, client):
        [worker] = workers(encoder)
        driver.fault(out_of_memory=1)
        worker.kill()
        codec, reason = await made_by(client, inputs, tmp_path)
        assert codec == "x264"
        assert "memory is full" in reason
        driver.clear()
        assert await made_by(client, inputs, tmp_path) == ("nvenc", CARD)
        await until(lambda: at_rest(encoder, driver))


@pytest.mark.parametrize("made", [False, True])
async def test_a_stuck_worker_holds_no_cancelled_task(
    nvenc_encoder: NvencEncoder, driver: Driver, inputs: dict[str, Path], still: Path, tmp_path: Path, made: bool
) -> None:
    async with connected(nvenc_encoder, driver) as (encoder, client):
        driver.fault(encode_delay_ms=20)
        running = started(client, LONG_STILL, url_image=still) if made else started(client, CAPTION, **inputs)
        await begun(driver)
        [worker] = workers(encoder)
        worker.send_signal(signal.SIGSTOP)
        running.cancel()
        await until(lambda: not encoder.task_folders() and not ffmpegs(encoder))
        assert not alive(worker)
        driver.clear()
        assert await made_by(client, inputs, tmp_path) == ("nvenc", CARD)


async def test_a_killed_encoder_leaves_no_worker(nvenc_encoder: NvencEncoder, driver: Driver, still: Path) -> None:
    async with connected(nvenc_encoder, driver) as (encoder, client):
        running = started(client, LONG_STILL, url_image=still)
        await begun(driver)
        children = encoder.children()
        assert workers(encoder)
        encoder.process.kill()
        await until(lambda: not any(alive(child) for child in children))
        await asyncio.gather(running, return_exceptions=True)
    assert driver.state().sessions == 0


async def test_sigterm_lets_a_task_finish_and_ends_the_worker(
    nvenc_encoder: NvencEncoder, driver: Driver, inputs: dict[str, Path]
) -> None:
    async with connected(nvenc_encoder, driver) as (encoder, client):
        driver.fault(encode_delay_ms=10)
        running = started(client, CAPTION, **inputs)
        await begun(driver)
        [worker] = workers(encoder)
        encoder.process.send_signal(signal.SIGTERM)
        done = await running
        assert done.summary is not None
        assert done.summary.codec == "nvenc"
        assert await asyncio.to_thread(encoder.process.wait, 60) == 0
        assert not alive(worker)
    left = driver.state().ended[worker.pid]
    assert (left.sessions, left.bytes) == (0, 0)


async def test_a_stop_in_mid_task_does_not_wait_for_its_end(
    nvenc_encoder: NvencEncoder, driver: Driver, still: Path
) -> None:
    async with connected(nvenc_encoder, driver, DRAIN_SECONDS=0.2) as (encoder, client):
        running = started(client, LONG_STILL, url_image=still)
        await begun(driver)
        [worker] = workers(encoder)
        encoder.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(encoder.process.wait, 60) == 0
        await asyncio.gather(running, return_exceptions=True)
        assert not alive(worker)
        assert not encoder.task_folders()


@pytest.mark.parametrize("made", [False, True])
async def test_a_cancelled_task_ends_at_once(
    nvenc_encoder: NvencEncoder, driver: Driver, minute: Path, cues: Path, still: Path, made: bool
) -> None:
    async with connected(nvenc_encoder, driver) as (encoder, client):
        driver.fault(encode_delay_ms=10)
        if made:
            running = started(client, LONG_STILL, url_image=still)
        else:
            running = started(client, CAPTION, url_video=minute, url_srt=cues)
        await begun(driver)
        [worker] = workers(encoder)
        running.cancel()
        await until(lambda: at_rest(encoder, driver))
        assert workers(encoder) == [worker]
