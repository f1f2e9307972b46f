"""Two hundred tasks, eight at once, with cancels and faults: all returns to where it began."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import psutil
import pytest

from apigpu.v1 import video_pb2
from servicekit.errors import from_rpc
from tests.integration.encoder.codecs.conftest import NvencEncoder
from tests.nvdriver.driver import Driver, Live
from tests.support import encoder_harness, media
from tests.support.processes import at_rest, descriptors, workers
from tests.support.until import until

pytestmark = pytest.mark.nvenc

TASKS, LONG_TASKS, AT_ONCE, SEED = 80, 1000, 8, 20261124
# Looks in a row that find the same.
STEADY = 5
CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
STILL = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.3, width=160, height=96))
ADDAUDIO = video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a"))
# Each is on for a while, and off for a while.
FAULTS: tuple[dict[str, object], ...] = (
    {"session_limit": 2},
    {"encode_fails_at": 4, "encode_fails_always": 1},
    {"out_of_memory": 1},
    {"memory_bytes": 150_000},
    {"device_lost": 1},
)
CANCELLED_SHARE = 0.2


@dataclass
class Soak:
    """The tasks, and how they ended."""

    client: encoder_harness.Client
    tasks: list[tuple[video_pb2.Operation, dict[str, Path | bytes]]]
    dice: random.Random
    count: int
    ends: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Run all, some at once."""
        left = [self.dice.choice(self.tasks) for _ in range(self.count)]
        cancels = [self.dice.random() < CANCELLED_SHARE and self.dice.uniform(0, 0.5) for _ in left]
        queue = list(zip(left, cancels, strict=True))

        async def lane() -> None:
            while queue:
                task, cancel_seconds = queue.pop()
                self.ends[await self._end(*task, cancel_seconds)] += 1

        await asyncio.gather(*(lane() for _ in range(AT_ONCE)))

    async def _end(
        self, operation: video_pb2.Operation, inputs: dict[str, Path | bytes], cancel_seconds: float | bool
    ) -> str:
        running = asyncio.create_task(self.client.encode(operation, inputs, timeout_seconds=200))
        if cancel_seconds is not False:
            await asyncio.wait([running], timeout=cancel_seconds)
            running.cancel()
        try:
            done = await running
        except asyncio.CancelledError:
            return "cancelled"
        except grpc.aio.AioRpcError as error:
            if from_rpc(error).reason != "NO_FREE_SLOT":
                return error.code().name
            await asyncio.sleep(0.1)  # the encoder is still about a task that was cancelled
            return await self._end(operation, inputs, cancel_seconds)
        assert done.summary is not None
        return done.summary.codec


async def faults(driver: Driver, done: Callable[[], bool]) -> None:
    """Switch faults on and off until it is done."""
    while not done():
        for fault in FAULTS:
            driver.fault(**fault)
            await asyncio.sleep(0.8)
            driver.clear()
            await asyncio.sleep(0.8)
            if done():
                return


@dataclass(frozen=True)
class Held:
    """What encoder, worker and card hold. The numbers of threads are those of the worker."""

    card: Live
    encoder: list[str]
    worker: list[str]
    threads: int

    @classmethod
    def by(cls, encoder: encoder_harness.Encoder, driver: Driver) -> "Held":
        """What is held now; one worker must be there."""
        [worker] = workers(encoder)
        card = replace(driver.state().live, streams=0)  # the library never destroys the stream of a session
        return cls(
            card, descriptors(encoder.process.pid), descriptors(worker.pid), psutil.Process(worker.pid).num_threads()
        )


async def steady(look: Callable[[], Held]) -> Held:
    """What is found once it is the same for a while: the next process that plans is forked when nothing runs."""
    found = [look()]
    while len(found) < STEADY or any(each != found[-1] for each in found[-STEADY:]):
        await asyncio.sleep(0.2)
        found.append(look())
    return found[-1]


@pytest.fixture(scope="module")
def tasks(media_dir: Path) -> list[tuple[video_pb2.Operation, dict[str, Path | bytes]]]:
    """One of each operation, tiny."""
    clip = media.video(media_dir / "tiny.mp4", 0.4, "160x96")
    # MP4 cannot keep it, so that it is encoded.
    old = media.video(media_dir / "tiny.ts", 0.4, "160x96", 25, False, "-c:v", "mpeg2video")
    still = media.image(media_dir / "tiny.png", "160x96")
    sound = media.tone(media_dir / "tiny.wav", 0.7)
    cues = media.srt(media_dir / "tiny.srt", [(0.1, 0.3, "Hi")])
    return [
        (CAPTION, {"url_video": clip, "url_srt": cues}),
        (STILL, {"url_image": still}),
        (ADDAUDIO, {"url_video": old, "url_audio": sound}),
    ]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [TASKS, pytest.param(LONG_TASKS, marks=pytest.mark.long)])
async def test_all_returns_to_where_it_began(
    nvenc_encoder: NvencEncoder,
    driver: Driver,
    tasks: list[tuple[video_pb2.Operation, dict[str, Path | bytes]]],
    count: int,
) -> None:
    with nvenc_encoder(driver, BATCH_SIZE=AT_ONCE) as encoder:
        async with encoder.client() as client:

            async def warm() -> Held:
                """A task of each kind, and what is held afterwards."""
                for task in tasks:
                    done = await client.encode(*task)
                    assert done.summary is not None
                    assert done.summary.codec == "nvenc"
                await until(lambda: at_rest(encoder, driver))
                return await steady(lambda: Held.by(encoder, driver))

            before = await warm()
            soak = Soak(client, tasks, random.Random(SEED), count)
            running = asyncio.create_task(soak.run())
            await faults(driver, running.done)
            await running
            driver.clear()
            after = await warm()
        assert sum(soak.ends.values()) == count
        # All that nvenc could not do was done by x264; what was to be cancelled may have ended before.
        assert set(soak.ends) == {"nvenc", "x264", "cancelled"}, soak.ends
        assert soak.ends["nvenc"] > count * 0.15
        assert soak.ends["x264"] > count * 0.05
        assert soak.ends["cancelled"] > count * 0.05
        assert after == before
        assert [call.violation for call in driver.state().violations if call.function != "exit"] == []
