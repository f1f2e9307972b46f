"""HTTP/1.1 byte by byte, as no library would send it."""

import asyncio
import contextlib
import re

from tests.support.until import within


async def exchange(port: int, data: bytes, *, ends: bool = True) -> bytes:
    """Send bytes to a port of this machine, and return all that comes back before the end of the connection.

    `ends` closes the connection behind them, as an answer to a request that never ends is not waited for. The gateway
    takes that for a client that leaves, and may not answer at all.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
            if ends:
                writer.write_eof()
            received = await within(reader.read())
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return received


def statuses(data: bytes) -> list[int]:
    """Return the statuses of the answers in what came back."""
    return [int(number) for number in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", data)]
