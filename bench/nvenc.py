"""NVENC without a card: how fast frames reach the driver and bitstreams leave it, where an encoder that does nothing
stands in for both. What a card makes of the frames in between is not measured here, nor claimed."""

import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

from bench.pair import Measured
from bench.plain import FFMPEG
from bench.timing import Row
from encoder.codecs.nvenc.codec import BitstreamWriter
from encoder.codecs.nvenc.request import EncodeRequest, Parameters, RawVideo
from encoder.codecs.nvenc.worker_client import WorkerClient
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import Ffmpeg
from encoder.media.info import HD
from encoder.sandbox.sandboxes import NoSandbox, ProcessLimits, SandboxAccess
from tests.nvdriver.build import Missing, built
from tests.nvdriver.driver import Driver

FRAMES = 1800
WIDTH, HEIGHT = 1920, 1080
RUNS = 7
LIMITS = ProcessLimits(600, 16 * 1024**3, 16 * 1024**3)
PARAMETERS = Parameters(b_frames=0)
CHEAP = f"color=c=0x404040:s={WIDTH}x{HEIGHT}:r=60:d={FRAMES / 60}"


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """Frames a second through the whole path, and the time until the first bytes of a bitstream."""
    try:
        driver = Driver(built(folder / "driver"), Path(os.devnull), folder / "control")
    except Missing as error:
        yield "NVENC, the path around the card", f"not measured: {error}", ""
        return
    driver.fault(null_encode=1)
    os.environ |= driver.environment()  # for children; this process has loaded its libraries
    rate, warm, fresh = asyncio.run(_measured(folder))
    yield "NVENC, 1080p through FFmpeg, worker, FFmpeg; nothing encoded", f"{rate:.0f} frames/s", "≥ 600 frames/s"
    figure = f"{warm * 1000:.0f} ms (a fresh FFmpeg: {fresh * 1000:.0f} ms)"
    yield "NVENC, first packet of a warm session", figure, ""


async def _measured(folder: Path) -> tuple[float, float, float]:
    worker = WorkerClient(PARAMETERS)
    await worker.start()
    try:
        rates = [await _rate(worker, folder) for _ in range(3)]
        firsts = [(await _warm(worker), await asyncio.to_thread(_fresh)) for _ in range(RUNS)]
    finally:
        await worker.close()
    warm, fresh = (statistics.median(side) for side in zip(*firsts, strict=True))
    return statistics.median(rates), warm, fresh


async def _rate(worker: WorkerClient, folder: Path) -> float:
    """Frames a second: one FFmpeg makes gray frames, one takes the bitstream, as in a task."""
    made = ("-f", "lavfi", "-i", CHEAP, "-vf", "format=nv12", "-c:v", "rawvideo", "-f", "nut", "pipe:1")
    taken = ("-f", "nut", "-i", "pipe:0", "-map", "0:v", "-c", "copy", "-f", "null", "-")
    stdin = partial(BitstreamWriter, worker, _order(None), FfmpegRun(made, ("video",)))
    ffmpeg = Ffmpeg(Path(FFMPEG), NoSandbox(LIMITS))
    started = time.perf_counter()
    async with ffmpeg.start(FfmpegRun(taken, ("",), stdin=stdin), SandboxAccess((folder,), ())) as run:
        async for _ in run.progress():
            pass
        await run.finish()
    return FRAMES / (time.perf_counter() - started)


async def _warm(worker: WorkerClient) -> float:
    """Seconds from the order to the first bytes."""
    frames_reading, frames_writing = os.pipe()
    bits_reading, bits_writing = os.pipe()
    started = time.perf_counter()
    order = _order(RawVideo(WIDTH, HEIGHT, Fraction(25)))
    ended = await worker.send(order, frames_reading, bits_writing)
    os.close(frames_reading)
    os.close(bits_writing)
    await asyncio.to_thread(_pictures, frames_writing)
    os.read(bits_reading, 1)
    took = time.perf_counter() - started
    while os.read(bits_reading, 1 << 20):
        pass
    os.close(bits_reading)
    await ended
    return took


def _fresh() -> float:
    """The same by a process that opens the card first."""
    raw = ("-f", "rawvideo", "-pix_fmt", "nv12", "-s", f"{WIDTH}x{HEIGHT}", "-i", "pipe:0")
    command = (
        FFMPEG,
        "-v",
        "error",
        *raw,
        "-c:v",
        "h264_nvenc",
        "-bf",
        "0",
        "-f",
        "h264",
        "-flush_packets",
        "1",
        "pipe:1",
    )
    with tempfile.TemporaryFile() as frames:
        frames.write(bytes(WIDTH * HEIGHT * 3 // 2) * 8)
        frames.seek(0)
        started = time.perf_counter()
        with subprocess.Popen(command, stdin=frames, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.read(1)
            took = time.perf_counter() - started
            process.stdout.read()
    return took


def _pictures(descriptor: int) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(bytes(WIDTH * HEIGHT * 3 // 2) * 8)


def _order(raw: RawVideo | None) -> EncodeRequest:
    return EncodeRequest(PARAMETERS, Fraction(60), HD, Fraction(1), raw)
