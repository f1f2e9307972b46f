"""Limits: sizes, lengths, time, slots, and where a task runs into each."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from servicekit.errors import ServiceError, from_rpc
from tests.support import encoder_harness, media
from tests.support.until import until

CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
LONG = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=600, frame_rate=60))
SHORT = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.1))


@pytest.fixture(scope="module")
def small(certs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[encoder_harness.Encoder]:
    """An encoder that takes little of everything, and makes results in a folder of their own."""
    folder = tmp_path_factory.mktemp("small")
    limits = {"BATCH_SIZE": 1, "MAX_INPUT_BYTES": 1_000_000, "MAX_DURATION_SECONDS": 3, "MAX_TASK_SECONDS": 120}
    with encoder_harness.running(certs, folder, {"OUTPUT_DIR": folder / "out", **limits}) as running:
        yield running


async def error_of(
    client: encoder_harness.Client, operation: video_pb2.Operation, **inputs: Path | bytes
) -> ServiceError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(operation, inputs)
    return from_rpc(caught.value)


async def test_an_input_announced_too_large_is_refused_before_it_is_sent(small: encoder_harness.Encoder) -> None:
    task = encoder_pb2.Task(operation=CAPTION, inputs=[encoder_pb2.Input(field="url_video", size_bytes=1_000_001)])

    async def only_the_task() -> AsyncIterator[encoder_pb2.EncodeRequest]:
        yield encoder_pb2.EncodeRequest(task=task)
        await asyncio.Event().wait()

    async with small.client() as client:
        call = client.stub.Encode(only_the_task(), timeout=60)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    error = from_rpc(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "INPUT_TOO_LARGE")
    assert error.message.startswith("url_video: ")


async def test_an_input_that_grows_too_large_is_refused(small: encoder_harness.Encoder) -> None:
    async def growing() -> AsyncIterator[encoder_pb2.EncodeRequest]:
        yield encoder_pb2.EncodeRequest(
            task=encoder_pb2.Task(operation=CAPTION, inputs=[encoder_pb2.Input(field="url_video")])
        )
        for _ in range(10):
            yield encoder_pb2.EncodeRequest(chunk=encoder_pb2.InputChunk(input=0, data=bytes(300_000)))

    async with small.client() as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in client.stub.Encode(growing()):
                pass
    assert from_rpc(caught.value).reason == "INPUT_TOO_LARGE"
    assert not small.task_folders()


async def test_a_result_that_would_be_too_long_is_refused(
    small: encoder_harness.Encoder, cues: Path, tmp_path: Path
) -> None:
    long = media.grey_video(tmp_path / "long.mp4", 4)
    async with small.client() as client:
        error = await error_of(client, CAPTION, url_video=long, url_srt=cues)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_LONG")
    assert error.message == "url_video: the result would last 4 s; 3 s are the most."


async def test_a_full_encoder_refuses_and_serves_again(small: encoder_harness.Encoder, still: Path) -> None:
    waiting = asyncio.Event()

    async def slow() -> AsyncIterator[encoder_pb2.EncodeRequest]:
        yield encoder_pb2.EncodeRequest(
            task=encoder_pb2.Task(operation=SHORT, inputs=[encoder_pb2.Input(field="url_image")])
        )
        await waiting.wait()

    async with small.client() as client:
        call = client.stub.Encode(slow())
        reading = asyncio.create_task(call.read())
        while (await client.capabilities()).busy != 1:
            await asyncio.sleep(0.01)
        error = await error_of(client, SHORT, url_image=still)
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "NO_FREE_SLOT")
        waiting.set()
        with contextlib.suppress(grpc.aio.AioRpcError):
            await reading
        assert (await client.capabilities()).busy == 0
        await client.encode(SHORT, {"url_image": still})


async def test_a_task_ends_after_its_time(certs: Path, tmp_path: Path, still: Path) -> None:
    with encoder_harness.running(certs, tmp_path, {"MAX_TASK_SECONDS": 1.5}) as encoder:
        async with encoder.client() as client:
            error = await error_of(client, LONG, url_image=still)
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert not encoder.children()
        assert not encoder.task_folders()


async def test_results_are_made_in_the_output_folder_and_leave_it(small: encoder_harness.Encoder, still: Path) -> None:
    out = small.work_dir.parent / "out"
    operation = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=2.9))
    async with small.client() as client:
        running = asyncio.create_task(client.encode(operation, {"url_image": still}))
        await until(lambda: list(out.glob("task-*/result")) or running.done())
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await until(lambda: not list(out.glob("task-*")))
