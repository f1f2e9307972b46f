"""Checks of what the card holds at once: sessions, and memory over many tasks."""

import asyncio
import fcntl
import os
import sys
import termios
from dataclasses import dataclass
from fractions import Fraction

from encoder.codecs.nvenc.request import COMPLETE, LIMIT, EncodeRequest, EncodeResult, Parameters, RawVideo
from encoder.codecs.nvenc.worker_client import WorkerClient
from encoder.media.info import HD
from servicekit.process import spawn
from tools.gpu_check import work
from tools.gpu_check.finding import IMPOSSIBLE, Finding, Scale, judged

WIDTH, HEIGHT = 256, 144
GRAY = b"\x80" * (WIDTH * HEIGHT * 3 // 2)
OPEN_SECONDS, POLL_SECONDS = 20.0, 0.02
WARM_UP = 4
AT_ONCE = 4
MIB = 1 << 20
# Drivers keep buffers that they got once; what grows with the tasks is a leak.
GROWTH_MIB = 64
ASK_MEMORY = """
import ctypes
cuda, context, free, total = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
assert not cuda.cuInit(0) and not cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
assert not cuda.cuCtxSetCurrent(context) and not cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
print(free.value, total.value)
"""


@dataclass
class OpenSession:
    """A session that waits for more frames: our ends of its pipes, and how it ends."""

    frames: int
    bitstream: int
    result: "asyncio.Future[EncodeResult]"

    async def is_open(self) -> bool:
        """Return True once it has read of its frames, False when it was refused. Raises RuntimeError."""
        for _ in range(round(OPEN_SECONDS / POLL_SECONDS)):
            if self.result.done() or _unread_bytes(self.frames) == 0:
                return not self.result.done()
            await asyncio.sleep(POLL_SECONDS)
        raise RuntimeError(f"a session neither opened nor was refused within {OPEN_SECONDS:.0f} s")

    async def close(self) -> str:
        """Close it, and return how it ended."""
        os.close(self.frames)
        while await asyncio.to_thread(os.read, self.bitstream, MIB):
            pass
        os.close(self.bitstream)
        return (await self.result).outcome


def _unread_bytes(pipe: int) -> int:
    """Return how many bytes lie in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


async def _open(worker: WorkerClient) -> OpenSession:
    frames, mine = os.pipe()
    theirs, bitstream = os.pipe()
    os.write(mine, GRAY)  # for which an empty pipe has room
    try:
        raw = RawVideo(WIDTH, HEIGHT, Fraction(30))
        request = EncodeRequest(worker.parameters, Fraction(30), HD, Fraction(1), raw, wait=False)
        result = await worker.send(request, frames, bitstream)
    finally:
        os.close(frames)
        os.close(bitstream)
    return OpenSession(mine, theirs, result)


async def sessions(scale: Scale) -> Finding:
    """Open sessions until one is refused; then do more tasks at once than there may be sessions."""
    image = work.make_still(scale.folder / "still.png")
    async with work.encoder(scale.folder, batch_size=scale.sessions, nvenc_at_limit="wait") as executor:
        outcomes = await _open_many(scale.sessions)
        count, is_limited = outcomes.count(COMPLETE), LIMIT in outcomes
        tasks = [work.do(executor, work.still(0.4, WIDTH, HEIGHT), {"url_image": image}) for _ in range(scale.sessions)]
        codecs = [summary.codec for summary in await asyncio.gather(*tasks)]
    faults = [] if codecs == ["nvenc"] * len(codecs) else [f"tasks were done by {', '.join(sorted(set(codecs)))}"]
    text = f"{count} at once{'' if is_limited else ', and more'}; {len(codecs)} tasks at once were all done"
    return judged(faults, text, sessions=count, is_limited=is_limited, tasks=len(codecs))


async def _open_many(most: int) -> list[str]:
    """Open sessions at once, up to `most` or to the first that is refused; return how each of them ended."""
    worker = WorkerClient(Parameters(b_frames=0))
    await worker.start()
    held: list[OpenSession] = []
    try:
        while len(held) < most:
            held.append(await _open(worker))
            if not await held[-1].is_open():
                break
    finally:
        outcomes = [await session.close() for session in held]
        await worker.close()
    return outcomes


async def memory(scale: Scale) -> Finding:
    """Do many tasks, and hold the card's free memory after them against that before."""
    image = work.make_still(scale.folder / "still.png")
    slots = asyncio.Semaphore(AT_ONCE)
    async with work.encoder(scale.folder, batch_size=AT_ONCE) as executor:

        async def one() -> str:
            async with slots:
                operation = work.still(0.2, WIDTH, HEIGHT)
                return (await work.do(executor, operation, {"url_image": image})).codec

        await asyncio.gather(*(one() for _ in range(WARM_UP)))
        before = await free_memory_bytes()
        codecs = await asyncio.gather(*(one() for _ in range(scale.tasks)))
        after = await free_memory_bytes()
    if before is None or after is None:
        return Finding(IMPOSSIBLE, "the driver does not tell the memory of the card")
    grown = (before - after) / MIB
    faults = [] if grown < GROWTH_MIB else [f"{grown:.0f} MiB of the card's memory are gone"]
    faults += [] if set(codecs) == {"nvenc"} else [f"tasks were done by {', '.join(sorted(set(codecs)))}"]
    return judged(faults, f"{scale.tasks} tasks took {grown:+.0f} MiB", tasks=scale.tasks, grown_mib=round(grown, 1))


async def free_memory_bytes() -> int | None:
    """Return the free memory of the first card, asked by a process that is gone afterwards; None where the driver does
    not tell."""
    pipe = asyncio.subprocess.PIPE
    process = await spawn([sys.executable, "-c", ASK_MEMORY], stdout=pipe, stderr=sys.stderr)
    out, _ = await process.communicate()
    return int(out.split()[0]) if process.returncode == 0 else None
