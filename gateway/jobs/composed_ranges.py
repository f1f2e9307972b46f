"""Ranges of inputs that a result is composed of, in their order. Some are read ahead: from a cloud each is a request of
its own, an hour of film has thousands, and one after the other they would be waited for longer than read."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.record import parse_name
from gateway.assets.store import AssetStore, StoredAsset
from gateway.workers.base import Input, InputFailed, about
from servicekit.chunks import CHUNK_BYTES
from servicekit.errors import DataLoss, ServiceError
from servicekit.tasks import cancel_and_wait

# What is read at once of a range, and how many such stretches are under way beside the one that is taken.
STRETCH_BYTES, AHEAD = 4 * CHUNK_BYTES, 6


@dataclass(frozen=True)
class _Stretch:
    """A stretch of a range."""

    range: encoder_pb2.ComposedRange
    start: int
    end: int


@dataclass(eq=False)
class ComposedRanges:
    """Reads ranges of the inputs of a task, which are assets."""

    assets: AssetStore
    tenant: str
    inputs: Sequence[Input]
    _known: dict[int, StoredAsset] = field(default_factory=dict, init=False)

    async def read(self, ranges: Iterable[encoder_pb2.ComposedRange]) -> AsyncGenerator[bytes, None]:
        """Yield their bytes, in their order. Raises DataLoss for a range that there is not, InputFailed for an input
        that cannot be read any more."""
        stretches = _stretches(ranges)
        ahead = deque(self._begin(found) for found in islice(stretches, 1 + AHEAD))
        try:
            while ahead:
                chunks = await ahead[0]
                ahead.popleft()
                ahead.extend(self._begin(found) for found in islice(stretches, 1))
                for data in chunks:
                    yield data
                del chunks  # while the next one is awaited
        finally:
            await cancel_and_wait(*ahead)

    def _begin(self, found: _Stretch) -> "asyncio.Task[list[bytes]]":
        return asyncio.create_task(self._read(found))

    async def _read(self, found: _Stretch) -> list[bytes]:
        number = found.range.input
        entry = self.inputs[number]
        with _input_errors(entry):
            if number not in self._known:
                self._known[number] = await self.assets.find(parse_name(entry.source), self.tenant)
        asset = self._known[number]
        if found.range.end > asset.size_bytes:
            raise not_composed(f"{entry.field} has {asset.size_bytes} bytes")
        with _input_errors(entry):
            return [data async for data in self.assets.windows(asset, found.start, found.end)]


def _stretches(ranges: Iterable[encoder_pb2.ComposedRange]) -> Iterator[_Stretch]:
    """Yield ranges, the long ones in several stretches."""
    for found in ranges:
        for start in range(found.start, found.end, STRETCH_BYTES):
            yield _Stretch(found, start, min(start + STRETCH_BYTES, found.end))


def not_composed(why: str) -> DataLoss:
    """Return the error for ranges that a result cannot be composed of."""
    return DataLoss(f"The result cannot be composed of the ranges that the encoder names: {why}.", reason="BAD_RANGES")


@contextlib.contextmanager
def _input_errors(entry: Input) -> Iterator[None]:
    """Have errors of the block be those of an input."""
    try:
        yield
    except ServiceError as error:
        raise InputFailed(about(entry.field, error)) from error
