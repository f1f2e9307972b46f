"""The contract of base.Encoder, held by both transports with a real encoder behind each: gRPC, and RunPod's queue with
the real SDK's worker loop."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import psutil
import pytest
import pytest_asyncio

from api_gpu.local.certs import make_set
from apigpu.v1.video_pb2 import Img2VidRequest, Operation
from gateway.workers.base import Encoder, EncoderBusy, EncoderLost, InputFailed
from gateway.workers.grpc import GrpcEncoder
from servicekit.errors import DeadlineExceeded, InvalidArgument, NotFound
from servicekit.tls import Identity
from tests.emulators import sdkchild
from tests.integration.gateway.workers.conftest import TIMEOUTS
from tests.support import encoder_harness, judge, media
from tests.support.processes import encodes
from tests.support.seen import Seen
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What a task may take: long enough for a busy machine to come as far as progress, and what none keeps.
LONGEST_SECONDS, TOO_SHORT_SECONDS = 25.0, 1.0
SETTINGS = {"CODEC": "x264", "BATCH_SIZE": "1"}
SHORT = Operation(img2vid=Img2VidRequest(url_image="i", duration=0.2, frame_rate=10))
LONG = Operation(img2vid=Img2VidRequest(url_image="i", duration=600, frame_rate=60))


@dataclass
class Transport:
    """An encoder, the process behind it, and the ways to make it fail."""

    encoder: Encoder
    pid: int
    kill: Callable[[], None]
    full: Callable[[], contextlib.AbstractAsyncContextManager[None]]

    @property
    def is_alive(self):
        return psutil.pid_exists(self.pid) and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE

    def ffmpegs(self):
        with contextlib.suppress(psutil.NoSuchProcess):
            return list(filter(encodes, psutil.Process(self.pid).children(recursive=True)))
        return []


@contextlib.asynccontextmanager
async def by_grpc(parts, folder, settings):
    make_set(folder / "certs")
    identity = Identity.read(*(folder / "certs" / name for name in ("gateway.crt", "gateway.key", "ca.crt")))
    with encoder_harness.running(folder / "certs", folder, settings) as process:
        encoder = GrpcEncoder(f"localhost:{process.port}", identity.channel_credentials(), "")

        @contextlib.asynccontextmanager
        async def full():
            seen = Seen()
            other = asyncio.create_task(run(transport, await long(parts), seen))
            await until(lambda: seen.told or other.done())
            yield
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)

        transport = Transport(encoder, process.process.pid, process.process.kill, full)
        yield transport
        await encoder.close()


@contextlib.asynccontextmanager
async def by_runpod(parts, folder, settings):
    runpod, own = parts.runpod, {"WORK_DIR": str(folder / "work"), "LOGS_DIR": str(folder / "logs"), **settings}
    environ = sdkchild.environment(folder, **runpod.worker_environment("w1"), **own)
    runpod.rules.retries = 0
    with sdkchild.child("runpod", ["-m", "encoder.runpod.worker"], environ, folder / "log") as process:
        # A worker's process takes seconds to start on a busy machine.
        encoder = parts.encoder(replace(TIMEOUTS, queue_seconds=60.0))

        @contextlib.asynccontextmanager
        async def full():
            runpod.faults.storm = frozenset({"run"})
            yield
            runpod.faults.storm = frozenset()

        def kill():
            sdkchild.vanish(process)
            runpod.queue.lose("w1")

        yield Transport(encoder, process.pid, kill, full)
        await encoder.close()


class Transports:
    """One transport for all tests of the file, as it takes seconds to start; a new one after a test that killed it, and
    for one in which tasks may take more or less time."""

    def __init__(self, start):
        self.start, self.stack, self.current, self.settings = start, contextlib.AsyncExitStack(), None, {}

    async def living(self, longest_seconds):
        settings = SETTINGS | {"MAX_TASK_SECONDS": f"{longest_seconds}"}
        if self.current is None or not self.current.is_alive or self.settings != settings:
            await self.stack.aclose()
            self.settings = settings
            self.current = await self.stack.enter_async_context(self.start(settings))
        return self.current


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[by_grpc, by_runpod])
async def transports(request, parts, tmp_path_factory):
    made = Transports(lambda settings: request.param(parts, tmp_path_factory.mktemp("transport"), settings))
    async with made.stack:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def transport(transports):
    return await transports.living(LONGEST_SECONDS)


@pytest_asyncio.fixture(loop_scope="module")
async def hasty(transports):
    return await transports.living(TOO_SHORT_SECONDS)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    return media.image(tmp_path_factory.mktemp("media") / "still.png").read_bytes()


async def long(parts):
    return await parts.task(LONG, "url_image", await parts.asset(long.picture))


@pytest.fixture(autouse=True)
def _picture(still):
    long.picture = still


async def run(transport, task, seen):
    """Run the task; the one before may still hold the encoder's only slot for a moment."""
    end = time.monotonic() + 60
    while True:
        try:
            outcome = await transport.encoder.run(task, seen)
            await transport.encoder.until_ended(task.id)
            await transport.encoder.release(task.id)
        except EncoderBusy:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        else:
            return outcome


async def test_done(transport, parts, still, tmp_path):
    seen = Seen()
    outcome = await run(transport, await parts.task(SHORT, "url_image", await parts.asset(still)), seen)
    result = await parts.content(outcome.asset_id) if outcome.asset_id else seen.result
    (tmp_path / "a.mp4").write_bytes(result)
    assert judge.facts(tmp_path / "a.mp4").frames == outcome.summary.frames == 2
    assert (outcome.summary.size_bytes, outcome.summary.codec) == (len(result), "x264")
    assert seen.told.count("started") == 1


async def test_progress_then_cancel(transport, parts):
    seen = Seen()
    running = asyncio.create_task(run(transport, await long(parts), seen))
    await until(lambda: seen.steps)
    assert [name for name in seen.told if name not in ("waiting", "chunk")][:2] == ["started", "progress"]
    assert seen.steps[-1].frames_total == 36000
    assert transport.ffmpegs()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not transport.ffmpegs())


async def test_a_fault_names_its_field(transport, parts):
    with pytest.raises(InvalidArgument) as raised:
        await run(transport, await parts.task(SHORT, "url_image", await parts.asset(b"no image")), Seen())
    assert list(raised.value.fields) == ["url_image"]
    assert raised.value.message.startswith("url_image: ")


async def test_an_input_that_cannot_be_read_names_its_field(transport, parts):
    task = await parts.task(SHORT, "url_image", "assets/" + "a" * 26)
    with pytest.raises(InputFailed) as raised:
        await run(transport, task, Seen())
    assert isinstance(raised.value.error, NotFound)
    assert list(raised.value.error.fields) == ["url_image"]


async def test_an_encoder_that_is_full_costs_no_try(transport, parts, still):
    async with transport.full():
        seen = Seen()
        with pytest.raises(EncoderBusy):
            await transport.encoder.run(await parts.task(SHORT, "url_image", await parts.asset(still), key="0.1"), seen)
    assert "started" not in seen.told


async def test_an_ffmpeg_that_is_killed_is_no_fault_of_the_task(transport, parts):
    seen = Seen()
    running = asyncio.create_task(run(transport, await long(parts), seen))
    await until(lambda: seen.steps)
    for ffmpeg in transport.ffmpegs():
        with contextlib.suppress(psutil.NoSuchProcess):
            ffmpeg.kill()
    with pytest.raises(EncoderLost) as raised:
        await running
    assert raised.value.reason == "KILLED"
    assert transport.is_alive


async def test_a_task_that_takes_too_long(hasty, parts):
    with pytest.raises(DeadlineExceeded):
        await run(hasty, await long(parts), Seen())
    await until(lambda: not hasty.ffmpegs())


async def test_an_encoder_lost_in_mid_task(transport, parts):
    seen = Seen()
    running = asyncio.create_task(run(transport, await long(parts), seen))
    await until(lambda: seen.steps)
    transport.kill()
    with pytest.raises(EncoderLost):
        await running
