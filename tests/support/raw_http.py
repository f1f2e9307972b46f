"""HTTP/1.1 byte by byte, as no library would send it."""

import asyncio
import contextlib

from tests.support.until import within


async def exchange(port: int, data: bytes) -> bytes:
    """Send bytes to a port of this machine, and return all that comes back before the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
            writer.write_eof()
            received = await within(reader.read())
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return received


def statuses(data: bytes) -> list[int]:
    """Return the statuses of the answers in what came back."""
    return [int(line.split(b" ")[1]) for line in data.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
