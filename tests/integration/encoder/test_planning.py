"""The processes that plan: they end with their tasks, meet limits, and leave the encoder whole."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import psutil
import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.config import EncoderSettings
from encoder.media.info import Source
from encoder.planning.planner import USUAL_LIMITS, PlanningLimits
from encoder.planning.processes import ProcessSource, SandboxedPrograms, process_source
from encoder.planning.protocol import PlanningSettings
from encoder.sandbox import launcher
from encoder.sandbox.sandboxes import SANDBOXES, ProcessLimits, Sandbox
from encoder.tasks.executor import TaskExecutor, Work, open_executor
from encoder.tasks.results import ResultStream
from servicekit.errors import InvalidArgument, ServiceError, Unavailable, from_rpc
from tests.integration.encoder.test_encoder_life import alive, health
from tests.support import bombs, encoder_harness
from tests.support.missing import without
from tests.support.until import until, until_async

CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
MEBIBYTE = 1024**2


@pytest.fixture(scope="module")
def endless() -> bytes:
    return bombs.many_fonts()


async def nothing(_: object) -> None:
    pass


@contextlib.asynccontextmanager
async def executor(
    folder: Path,
    planning: PlanningLimits = USUAL_LIMITS,
    make_source: Callable[[PlanningSettings, Sandbox], ProcessSource] = process_source,
    **settings: object,
) -> AsyncIterator[TaskExecutor]:
    """An executor in this process."""
    read = EncoderSettings(work_dir=folder / "work", codec="x264", **settings)
    async with open_executor(read, planning, make_source) as opened:
        yield opened


async def caption(opened: TaskExecutor, video: bytes, subtitles: bytes) -> encoder_pb2.Summary:
    task = encoder_pb2.Task(operation=CAPTION)
    async with opened.reserve(task) as reservation:
        sources = {}
        for field, data in (("url_video", video), ("url_srt", subtitles)):
            sources[field] = Source(field, reservation.folder.path / field)
            sources[field].path.write_bytes(data)
        return await opened.run(Work(task, sources, reservation, nothing, ResultStream(nothing, nothing)))


async def test_cancelled_tasks_leave_no_process_and_no_slot_taken(
    encoder: encoder_harness.Encoder, client: encoder_harness.Client, clip: Path, cues: Path, endless: bytes
) -> None:
    slots = (await client.capabilities()).slots
    for _ in range(2):
        tasks = [
            asyncio.create_task(client.encode(CAPTION, {"url_video": clip, "url_srt": endless})) for _ in range(slots)
        ]
        await until(lambda: sum(process.cpu_times().user > 0.2 for process in encoder.planners()) == slots)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: not encoder.planners() and not encoder.task_folders())
    assert (await client.capabilities()).busy == 0
    await client.encode(CAPTION, {"url_video": clip, "url_srt": cues})
    await until(lambda: not encoder.planners())


async def test_a_deadline_ends_planning(
    encoder: encoder_harness.Encoder, client: encoder_harness.Client, clip: Path, endless: bytes
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(CAPTION, {"url_video": clip, "url_srt": endless}, timeout_seconds=1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: not encoder.planners() and not encoder.task_folders())


async def test_a_process_that_crashes_blames_what_it_read(
    encoder: encoder_harness.Encoder, client: encoder_harness.Client, clip: Path, cues: Path, endless: bytes
) -> None:
    outcomes = {
        signal.SIGSEGV: (InvalidArgument, "BAD_INPUT"),
        signal.SIGXCPU: (InvalidArgument, "INPUT_TOO_COMPLEX"),
        signal.SIGKILL: (Unavailable, "KILLED"),
    }
    for number, (error, reason) in outcomes.items():
        running = asyncio.create_task(client.encode(CAPTION, {"url_video": clip, "url_srt": endless}))
        (process,) = await until(lambda: [one for one in encoder.planners() if one.cpu_times().user > 0.2])
        process.send_signal(number)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running
        found = from_rpc(caught.value)
        assert (type(found), found.reason) == (error, reason)
        assert found.message.startswith("url_srt: ") or error is Unavailable
    await client.encode(CAPTION, {"url_video": clip, "url_srt": cues})


async def test_a_process_waits_ready_for_the_next_task(
    encoder: encoder_harness.Encoder, client: encoder_harness.Client, clip: Path, cues: Path, endless: bytes
) -> None:
    (spare,) = await until(encoder.spares)
    task = asyncio.create_task(client.encode(CAPTION, {"url_video": clip, "url_srt": endless}))
    (planner,) = await until(encoder.planners)
    assert planner.pid == spare.pid
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: not encoder.planners())
    (again,) = await until(encoder.spares)
    assert again.pid != spare.pid
    again.kill()
    await until(lambda: not psutil.pid_exists(again.pid))  # it has been seen to be gone
    await client.encode(CAPTION, {"url_video": clip, "url_srt": cues})
    await until(encoder.spares)
    await until(lambda: not list(encoder.work_dir.glob("sample-*")))


async def test_a_fork_server_that_is_lost_is_started_anew(
    encoder: encoder_harness.Encoder, client: encoder_harness.Client, clip: Path, cues: Path, endless: bytes
) -> None:
    running = asyncio.create_task(client.encode(CAPTION, {"url_video": clip, "url_srt": endless}))
    processes_of_task = await until(encoder.planners)
    server = encoder.fork_server()
    server.kill()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running
    assert from_rpc(caught.value).code is grpc.StatusCode.UNAVAILABLE
    await until(lambda: not any(map(alive, processes_of_task)))
    await client.encode(CAPTION, {"url_video": clip, "url_srt": cues})
    assert encoder.fork_server().pid != server.pid


async def test_a_killed_encoder_leaves_none_of_them(certs: Path, tmp_path: Path, clip: Path, endless: bytes) -> None:
    with encoder_harness.running(certs, tmp_path) as encoder:
        async with encoder.client() as client:
            running = asyncio.create_task(client.encode(CAPTION, {"url_video": clip, "url_srt": endless}))
            found = [*await until(encoder.planners), encoder.fork_server()]
            encoder.process.kill()
            await until(lambda: not any(map(alive, found)))
            await asyncio.gather(running, return_exceptions=True)


async def test_a_slot_whose_process_cannot_be_killed_is_out_of_service(
    certs: Path, tmp_path: Path, clip: Path, cues: Path, endless: bytes
) -> None:
    with encoder_harness.running(certs, tmp_path, {"BATCH_SIZE": 1}) as encoder:
        async with encoder.client() as client:
            running = asyncio.create_task(client.encode(CAPTION, {"url_video": clip, "url_srt": endless}))
            await until(encoder.planners)
            server = encoder.fork_server()
            server.suspend()  # what it forked is not killed, for all that the encoder can tell
            running.cancel()

            async def stuck() -> bool:
                found = await client.capabilities()
                return (found.slots, found.stuck_slots) == (0, 1)

            await until_async(stuck)

            async def is_told() -> bool:
                return await health(encoder) == "NOT_SERVING"

            await until_async(is_told)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.encode(CAPTION, {"url_video": clip, "url_srt": cues})
            assert from_rpc(caught.value).reason == "NO_FREE_SLOT"
            server.resume()

            async def is_back() -> bool:
                return await health(encoder) == "SERVING" and (await client.capabilities()).slots == 1

            await until_async(is_back)
            await client.encode(CAPTION, {"url_video": clip, "url_srt": cues})


async def test_processor_time_is_limited(tmp_path: Path, clip: Path, endless: bytes) -> None:
    async with executor(tmp_path, PlanningLimits(cpu_seconds=1)) as opened:
        with pytest.raises(InvalidArgument) as caught:
            await caption(opened, clip.read_bytes(), endless)
    assert caught.value.reason == "INPUT_TOO_COMPLEX"
    assert list(caught.value.fields) == ["url_srt"]
    assert "1 s" in caught.value.message


async def test_memory_is_limited(tmp_path: Path, clip: Path, cues: Path) -> None:
    lines = cues.read_bytes() + b"ab\n" * 3_000_000  # each line takes fifty bytes
    async with executor(tmp_path, PlanningLimits(memory_bytes=96 * MEBIBYTE)) as opened:
        with pytest.raises(InvalidArgument) as caught:
            await caption(opened, clip.read_bytes(), lines)
        assert caught.value.reason == "INPUT_TOO_COMPLEX"
        assert list(caught.value.fields) == ["url_srt"]
        assert (await caption(opened, clip.read_bytes(), cues.read_bytes())).frames == 50


async def test_a_movie_that_claims_too_many_samples_is_refused(
    client: encoder_harness.Client, clip: Path, cues: Path
) -> None:
    movie = bombs.claiming_movie(clip.read_bytes(), 60_000_000)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(CAPTION, {"url_video": movie, "url_srt": cues})
    error = from_rpc(caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_INPUT")
    assert "claims" in error.message


@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
async def test_without_landlock_a_program_is_started_for_each_task(
    tmp_path: Path, clip: Path, cues: Path, sandbox: str
) -> None:
    try:
        SANDBOXES[sandbox](ProcessLimits(60, 1024 * MEBIBYTE, MEBIBYTE))
    except OSError as error:
        without(f"{sandbox} does not work here: {error}")
    async with executor(tmp_path, make_source=SandboxedPrograms, sandbox=sandbox) as opened:
        assert (await caption(opened, clip.read_bytes(), cues.read_bytes())).frames == 50
        with pytest.raises(ServiceError) as caught:
            await caption(opened, b"no video", cues.read_bytes())
        assert caught.value.reason == "BAD_INPUT"


ESCAPES = """
import ctypes, os, signal, socket, subprocess, sys, threading
from encoder.sandbox import launcher
folder, secret, parent, port = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
launcher.limit(10, 8 << 30, 1 << 20, 1024)
launcher.enter(["/usr/lib", sys.prefix, sys.base_prefix], [folder])

def tried(name, action):
    try:
        action()
    except OSError as error:
        return
    print(name)

tried("read", lambda: open(secret))
tried("write", lambda: open(secret + "2", "w"))
tried("list", lambda: os.listdir("/"))
tried("link", lambda: (os.symlink(secret, folder + "/link"), open(folder + "/link")))
tried("socket", socket.socket)
tried("unix", lambda: socket.socketpair()[0].connect("/tmp/x"))
tried("fork", os.fork)
tried("run", lambda: subprocess.run(["/bin/true"]))
tried("exec", lambda: os.execv("/bin/true", ["true"]))
tried("kill", lambda: os.kill(parent, 0))
tried("trace", lambda: ctypes.CDLL(None, use_errno=True).ptrace(16, parent, 0, 0) and (_ for _ in ()).throw(OSError()))
open(folder + "/own", "w").write("x")
thread = threading.Thread(target=print, args=("thread",))
thread.start()
thread.join()
"""


def test_what_is_forked_is_shut_in(tmp_path: Path) -> None:
    if not launcher.is_available():
        without("this kernel has no Landlock")
    folder = tmp_path / "task"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", ESCAPES, folder, tmp_path / "secret", os.getpid(), server.getsockname()[1]]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "thread\n", "")
    assert (folder / "own").read_text() == "x"
