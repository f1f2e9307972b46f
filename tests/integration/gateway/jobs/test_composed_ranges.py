"""Ranges of stored files, read for a result that is composed of them: several at once from a cloud, in their order."""

import contextlib
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from apigpu.encoder.v1.encoder_pb2 import ComposedRange
from gateway.assets.store import AssetStore
from gateway.callers import DEFAULT_TENANT
from gateway.jobs.composed_ranges import AHEAD, STRETCH_BYTES, ComposedRanges
from gateway.sources.opened import Source
from gateway.workers.base import Input, InputFailed
from servicekit.errors import DataLoss
from tests.support.object_server import BUCKET, Handler, ObjectServer, settings_of
from tests.support.until import within

SIZE_BYTES = 2 * STRETCH_BYTES + 12345
# As pieces and sound lie in a film, with one range that is read in several stretches.
RANGES = [(0, 0, 10), (1, 500, 900), (0, 20, 5000), (1, 900, 901), (0, 5000, SIZE_BYTES), (1, 0, 500), (1, 7, 8)] * 3


class MeetingHandler(Handler):
    """Answers the first ranges once there are others beside them."""

    def do_GET(self):
        if "Range" in self.headers:
            self.server.meet()
        super().do_GET()


class MeetingServer(ObjectServer):
    """Stored files, of which no range is sent until as many are asked for at once as are to be `met`."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = MeetingHandler
        self.met = 1
        self._came = 0
        self._all_here = threading.Condition()

    def meet(self) -> None:
        with self._all_here:
            self._came += 1
            self._all_here.notify_all()
            assert self._all_here.wait_for(lambda: self._came >= self.met, 30)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[MeetingServer]:
    with MeetingServer() as server:
        for name, value in settings_of(server.server_port).items():
            monkeypatch.setenv(name, value)
        yield server


async def stored(assets: AssetStore, data: bytes) -> str:
    async with assets.create("piece.mp4") as writer:
        await writer.write(data)
        return (await writer.commit()).name


@contextlib.asynccontextmanager
async def unread() -> AsyncIterator[Source]:
    raise AssertionError("composed inputs are read as stored files")
    yield


def ranges(*found: tuple[int, int, int]) -> list[ComposedRange]:
    return [ComposedRange(input=number, start=start, end=end) for number, start, end in found]


@pytest.fixture
async def pair(cloud: MeetingServer) -> tuple[ComposedRanges, list[bytes]]:
    """Two files in a bucket, and what reads them."""
    assets = AssetStore(f"s3://{BUCKET}/here", retention_seconds=3600, max_bytes=1 << 30)
    files = [os.urandom(SIZE_BYTES) for _ in range(2)]
    inputs = [Input(f"pieces[{number}]", await stored(assets, data), unread) for number, data in enumerate(files)]
    return ComposedRanges(assets, DEFAULT_TENANT, inputs), files


async def test_several_are_read_at_once_and_come_in_their_order(
    cloud: MeetingServer, pair: tuple[ComposedRanges, list[bytes]]
) -> None:
    composed, files = pair
    cloud.met = 1 + AHEAD

    async def read() -> bytes:
        return b"".join([data async for data in composed.read(ranges(*RANGES))])

    assert await within(read()) == b"".join(files[number][start:end] for number, start, end in RANGES)


async def test_no_more_are_read_than_are_soon_taken(pair: tuple[ComposedRanges, list[bytes]]) -> None:
    composed, _ = pair
    seen: list[int] = []

    def asked() -> Iterator[ComposedRange]:
        for number in range(1000):
            seen.append(number)
            yield ComposedRange(input=0, start=number, end=number + 1)

    async with aclosing(composed.read(asked())) as chunks:
        await anext(chunks)
        await anext(chunks)
    assert len(seen) <= 3 + AHEAD


@pytest.mark.parametrize("end", [SIZE_BYTES + 1, SIZE_BYTES])
async def test_what_cannot_be_read_is_told_when_its_turn_comes(
    pair: tuple[ComposedRanges, list[bytes]], end: int
) -> None:
    composed, files = pair
    if end == SIZE_BYTES:
        await composed.assets.delete(composed.inputs[1].source.removeprefix("assets/"))
    async with aclosing(composed.read(ranges((0, 0, 5), (0, 5, 9), (1, 5, end), (0, 0, 5)))) as chunks:
        assert [await anext(chunks), await anext(chunks)] == [files[0][:5], files[0][5:9]]
        with pytest.raises((DataLoss, InputFailed), match=r"pieces\[1\]"):
            await anext(chunks)
