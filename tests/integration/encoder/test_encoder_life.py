"""Life and death: cancelled calls, killed encoders, restarts, drains. No FFmpeg and no file may be left."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from apigpu.v1 import video_pb2
from tests.support import encoder_harness
from tests.support.processes import alive
from tests.support.until import until

LONG = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=600, frame_rate=60))
SHORT = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.1))


async def test_cancelling_kills_ffmpeg_and_empties_the_folder(
    encoder: encoder_harness.Encoder, client: encoder_harness.Client, still: Path
) -> None:
    running = asyncio.create_task(client.encode(LONG, {"url_image": still}))
    await until(encoder.children)
    running.cancel()
    await until(lambda: not encoder.children() and not encoder.task_folders())


async def test_a_deadline_of_the_caller_ends_ffmpeg(encoder: encoder_harness.Encoder, still: Path) -> None:
    async with encoder.client() as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.encode(LONG, {"url_image": still}, timeout_seconds=1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: not encoder.children() and not encoder.task_folders())


async def test_a_caller_that_dies_leaves_nothing(encoder: encoder_harness.Encoder, still: Path) -> None:
    async with encoder.client() as client:
        running = asyncio.create_task(client.encode(LONG, {"url_image": still}))
        await until(encoder.children)
    await asyncio.gather(running, return_exceptions=True)  # its channel was closed under it
    await until(lambda: not encoder.children() and not encoder.task_folders())


async def test_a_killed_encoder_leaves_no_ffmpeg_and_the_next_one_sweeps(
    certs: Path, tmp_path: Path, still: Path
) -> None:
    with encoder_harness.running(certs, tmp_path) as encoder:
        async with encoder.client() as client:
            running = asyncio.create_task(client.encode(LONG, {"url_image": still}))
            await until(encoder.children)
            children = encoder.children()
            encoder.process.kill()
            await until(lambda: not any(alive(child) for child in children))
            await asyncio.gather(running, return_exceptions=True)
        assert encoder.task_folders()
    with encoder_harness.running(certs, tmp_path) as encoder:
        assert not encoder.task_folders()
        async with encoder.client() as client:
            await client.encode(SHORT, {"url_image": still})


def test_a_second_encoder_refuses_the_same_folder(encoder: encoder_harness.Encoder, certs: Path) -> None:
    environ = encoder_harness.environment(certs, encoder.work_dir.parent)
    done = subprocess.run(
        [sys.executable, "-m", "encoder"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].endswith("another encoder uses it; give each its own")


async def test_sigterm_lets_a_task_finish_and_takes_no_more(certs: Path, tmp_path: Path, still: Path) -> None:
    operation = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=1))
    with encoder_harness.running(certs, tmp_path) as encoder:
        async with encoder.client() as client:
            running = asyncio.create_task(client.encode(operation, {"url_image": still}))
            await until(encoder.children)
            assert await health(encoder) == "SERVING"
            encoder.process.send_signal(signal.SIGTERM)
            await until(lambda: any(line.get("event") == "draining" for line in encoder.lines))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.encode(SHORT, {"url_image": still})
            # CANCELLED is what gRPC says to a call that comes in the moment in which it stops to take them.
            assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
            assert (await running).summary is not None
        assert await asyncio.to_thread(encoder.process.wait, 60) == 0


async def test_after_the_drain_time_tasks_are_killed(certs: Path, tmp_path: Path, still: Path) -> None:
    with encoder_harness.running(certs, tmp_path, {"DRAIN_SECONDS": 0.2}) as encoder:
        async with encoder.client() as client:
            running = asyncio.create_task(client.encode(LONG, {"url_image": still}))
            await until(encoder.children)
            encoder.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(encoder.process.wait, 60) == 0
            with pytest.raises(grpc.aio.AioRpcError):
                await running
        assert not encoder.task_folders()


async def test_who_is_called_no_more_ends_by_itself_but_not_in_the_middle_of_a_task(
    certs: Path, tmp_path: Path, still: Path
) -> None:
    operation = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=8, frame_rate=60))
    settings = {"IDLE_EXIT_SECONDS": 3, "SESSION_TOKEN": "token"}
    with encoder_harness.running(certs, tmp_path, settings) as encoder:
        async with encoder.client() as client, encoder.client() as stranger:
            client.metadata = (("x-session-token", "token"),)
            started = time.monotonic()
            await client.encode(operation, {"url_image": still})
            assert time.monotonic() - started > 3.2, "the task is too short to show anything"
            for _ in range(8):
                await asyncio.sleep(0.5)
                await client.capabilities()
            called_at = time.monotonic()
            while encoder.process.poll() is None:
                assert time.monotonic() - called_at < 60, "it does not end"
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await stranger.capabilities()
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await health(encoder)
                await asyncio.sleep(0.05)
            assert time.monotonic() - called_at > 2.9
        assert encoder.process.returncode == 0
        assert any(line.get("event") == "draining" for line in encoder.lines)
        assert not encoder.task_folders()


async def health(encoder: encoder_harness.Encoder) -> str:
    """The answer of the plaintext health port."""
    async with grpc.aio.insecure_channel(f"localhost:{encoder.health_port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest())
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
