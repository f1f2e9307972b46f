"""HTTP/1.1 byte by byte, as no library would send it."""

import asyncio
import contextlib
import re

from tests.support.until import within

# Silence after which the sender says that no more comes: before that, his end would be taken for his leaving.
SILENCE_SECONDS = 0.2


async def exchange(port: int, data: bytes) -> bytes:
    """Send bytes to a port of this machine, and return all that comes back before the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
            await within(_receive(reader, writer, received))
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return bytes(received)


async def _receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: bytearray) -> None:
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(SILENCE_SECONDS):
                part = await reader.read(65536)
            if not part:
                return
            received += part
    writer.write_eof()
    received += await reader.read()


def statuses(data: bytes) -> list[int]:
    """Return the statuses of the answers in what came back."""
    return [int(number) for number in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", data)]
