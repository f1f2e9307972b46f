"""What a run of FFmpeg says, as it is read from a pipe."""

import asyncio
import os

from encoder.ffmpeg.children import Child, Output
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import LINE_BYTES, FfmpegProcess


async def test_a_message_that_comes_in_parts_is_one() -> None:
    ended = asyncio.get_running_loop().create_future()
    output = await Output.open()
    process = FfmpegProcess(Child(ended, lambda: None), FfmpegRun((), ()), None, output, None)
    for part in (b"[flac @ 0x5] ", b"invalid \xc3", b"\xb6 residual\nsecond\n\n", b"x" * 20_000, b" end\r", b"last"):
        os.write(output.writing, part)
        await asyncio.sleep(0.01)
    output.close_writing()
    ended.set_result(0)
    await process.finish()
    output.close()
    first, second, long, last = process.messages
    assert (first, second, last) == ("[flac @ 0x5] invalid ö residual", "second", "last")
    assert long.endswith("xxx end")
    assert len(long) < 2 * LINE_BYTES
