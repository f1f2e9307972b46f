"""Results of a task: their bytes on the way out."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

from apigpu.encoder.v1 import encoder_pb2
from encoder.ffmpeg.command import ExtraFile
from encoder.media.files import open_regular
from encoder.tasks.metrics import count_sent
from servicekit.chunks import CHUNK_BYTES, Checksum

Send = Callable[[bytes], Awaitable[None]]
BeginFile = Callable[[encoder_pb2.ResultFile], Awaitable[None]]
"""Announces a further result by its name and MIME type."""


class ResultStream:
    """Sends a file from its beginning on, each byte once, and counts and digests what it sends. If not live, bytes are
    sent only after the file is complete."""

    def __init__(self, send: Send, begin_file: BeginFile, *, is_live: bool = True) -> None:
        self._send = send
        self._begin_file = begin_file
        self.is_live = is_live
        self.checksum = Checksum()
        self.files: list[encoder_pb2.ResultFile] = []

    async def send_file(self, file: ExtraFile, path: Path) -> None:
        """Send a further result, which is complete, after the first one."""
        message = encoder_pb2.ResultFile(name=file.name, content_type=file.content_type)
        await self._begin_file(message)
        stream = ResultStream(self._send, self._begin_file)
        await stream.pump(path)
        message.size_bytes, message.sha256 = stream.checksum.size_bytes, stream.checksum.sha256
        self.files.append(message)

    async def pump(self, path: Path) -> None:
        """Send what the file holds beyond what was sent; nothing while it does not exist."""
        try:
            file = await asyncio.to_thread(open_regular, path)
        except FileNotFoundError:
            return
        with file:
            file.seek(self.checksum.size_bytes)
            # The next chunk is read and digested on a thread while one is sent.
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(None, self._read, file)
            try:
                while data := await reading:
                    reading = loop.run_in_executor(None, self._read, file)
                    await self._send(data)
            finally:
                await asyncio.shield(asyncio.gather(reading, return_exceptions=True))

    def _read(self, file: BinaryIO) -> bytes:
        data = file.read(CHUNK_BYTES)
        self.checksum.add(data)
        count_sent(len(data))
        return data
