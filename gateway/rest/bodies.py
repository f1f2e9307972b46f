"""Bodies of JSON as they come in: held within bounds of memory, and parsed where that holds up nobody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

from gateway.rest.protojson.parse import most_values
from servicekit.chunks import MAX_MESSAGE_BYTES
from servicekit.errors import ResourceExhausted, Unavailable
from servicekit.tasks import run_to_completion

T = TypeVar("T")

MIB = 1024 * 1024
# A larger body, or one of more values, is parsed in a thread.
INLINE_BYTES = 64 * 1024
INLINE_VALUES = 2_000
RETRY_SECONDS = 1.0


class BodyBudget:
    """Bounds the bytes of bodies that are read or parsed just now: of each client's network, and in all."""

    def __init__(self, total_bytes: int = 64 * MIB, network_bytes: int = 16 * MIB) -> None:
        self._total_bytes = total_bytes
        self._network_bytes = network_bytes
        self._held_bytes = 0
        self._held_by_network: dict[str, int] = {}

    @contextlib.contextmanager
    def hold(self, network: str) -> Iterator[Callable[[int], None]]:
        """Yield what takes bytes for a body from this network; the end of the block gives them back.

        It raises ResourceExhausted where the network has too many, Unavailable where there are too many in all.
        """
        taken = 0

        def take(size_bytes: int) -> None:
            nonlocal taken
            self._take(network, size_bytes)
            taken += size_bytes

        try:
            yield take
        finally:
            self._give_back(network, taken)

    def _take(self, network: str, size_bytes: int) -> None:
        held = self._held_by_network.get(network, 0) + size_bytes
        if held > self._network_bytes:
            text = "Too many large requests from your address at once; wait for some of them to be answered."
            raise ResourceExhausted(text, reason="TOO_MANY_BODIES", retry_seconds=RETRY_SECONDS)
        if self._held_bytes + size_bytes > self._total_bytes:
            text = "The gateway reads too many large requests just now; try again in a moment."
            raise Unavailable(text, reason="TOO_MANY_BODIES", retry_seconds=RETRY_SECONDS)
        self._held_by_network[network] = held
        self._held_bytes += size_bytes

    def _give_back(self, network: str, size_bytes: int) -> None:
        self._held_bytes -= size_bytes
        left = self._held_by_network.pop(network, 0) - size_bytes
        if left > 0:
            self._held_by_network[network] = left


class Bodies:
    """Reads bodies, and parses large ones one at a time in a thread: what it takes of the processor is then bounded."""

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES, budget: BodyBudget | None = None) -> None:
        self._max_bytes = max_bytes
        self._budget = budget or BodyBudget()
        self._turn = asyncio.Semaphore(1)

    async def read(
        self, parts: AsyncIterator[bytes], announced_bytes: int | None, network: str, use: Callable[[bytes], T]
    ) -> T:
        """Return what `use` makes of a body that comes in parts. Raises ServiceError, and what `parts` and `use` do."""
        if (announced_bytes or 0) > self._max_bytes:
            raise self._too_large()
        with self._budget.hold(network) as take:
            content = bytearray()
            async for data in parts:
                take(len(data))
                content += data
                if len(content) > self._max_bytes:
                    raise self._too_large()
            return await self._used(bytes(content), use)

    async def _used(self, content: bytes, use: Callable[[bytes], T]) -> T:
        if len(content) <= INLINE_BYTES and most_values(content) <= INLINE_VALUES:
            return use(content)
        async with self._turn:
            # The thread cannot be stopped: were the turn given on at a cancel, there could be many of them.
            return await run_to_completion(asyncio.to_thread(use, content))

    def _too_large(self) -> ResourceExhausted:
        text = (
            f"The body is over {self._max_bytes} bytes, the most that JSON may have here; a file is uploaded to "
            "/assets, and named."
        )
        return ResourceExhausted(text, reason="TOO_LARGE")
