"""The bytes of a task's results, on their way out while they are made or once they are whole."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from encoder.operations.plan import ExtraFile
from servicekit.chunks import CHUNK_BYTES, Checksum

Send = Callable[[bytes], Awaitable[None]]
BeginFile = Callable[[str, str], Awaitable[None]]
"""Announces a further result by its name and MIME type."""


@dataclass(frozen=True)
class SentFile:
    """A further result that was sent."""

    file: ExtraFile
    tally: Checksum


class ResultStream:
    """Sends a file from its beginning on, each byte once, and counts and digests what it sends. Unless it `is_live`
    it is given nothing before the file is whole."""

    def __init__(self, send: Send, begin_file: BeginFile, *, is_live: bool = True) -> None:
        self._send = send
        self._begin_file = begin_file
        self.is_live = is_live
        self.tally = Checksum()
        self.files: list[SentFile] = []

    async def send_file(self, file: ExtraFile, path: Path) -> None:
        """Send a further result, which is whole, after the first one."""
        await self._begin_file(file.name, file.content_type)
        stream = ResultStream(self._send, self._begin_file)
        await stream.flow(path)
        self.files.append(SentFile(file, stream.tally))

    async def flow(self, path: Path) -> None:
        """Send what the file holds beyond what was sent; nothing yet when it is not there."""
        try:
            file = await asyncio.to_thread(path.open, "rb", 0)
        except FileNotFoundError:
            return
        with file:
            file.seek(self.tally.size_bytes)
            # The next chunk is read and digested on a thread while one is sent.
            reading = asyncio.ensure_future(asyncio.to_thread(self._read, file))
            try:
                while data := await reading:
                    reading = asyncio.ensure_future(asyncio.to_thread(self._read, file))
                    await self._send(data)
            finally:
                await asyncio.shield(asyncio.gather(reading, return_exceptions=True))

    def _read(self, file: BinaryIO) -> bytes:
        data = file.read(CHUNK_BYTES)
        self.tally.add(data)
        return data
