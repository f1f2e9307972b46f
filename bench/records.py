"""What kept records cost: the start of a gateway, a page of a list, memory."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from apigpu.v1.video_pb2 import CaptionRequest, Operation
from bench.pair import Measured
from bench.timing import Row
from gateway.jetstream.connection import JetStream
from gateway.jetstream.keyvalue import KeyValue
from gateway.jobs import model
from gateway.jobs.claims import Claims
from gateway.jobs.listing import JobFilter
from gateway.jobs.model import Job, Result, Task
from gateway.jobs.store import JobStore
from servicekit.codec import to_json
from servicekit.errors import Unavailable
from tools import scratch

COUNTS = (10_000, 50_000, 100_000)
KEPT_SECONDS = 10 * 365 * 86_400.0
PAGES = 20
# At once; the client library waits for each answer. What is not confirmed in time, as the machine is busy, is written
# again.
WRITES = 500
WRITE_SECONDS = 120.0
PAUSE_SECONDS = 1.0


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """Processor seconds of a start, of a page, and memory for each record, with so many ended jobs."""
    for count in COUNTS:
        seconds, page_ms, record_bytes = of_records(count)
        aim = "< 2 s of processor time" if count == 50_000 else ""
        yield f"start with {count:,} ended jobs", f"{seconds:.2f} s of processor time", aim
        yield f"ListJobs, a page of 50 of {count:,}", f"{page_ms:.1f} ms of processor time", "the same for all"
        yield f"memory of a gateway for each of {count:,} records", f"{record_bytes:,.0f} bytes", ""


def of_records(count: int) -> tuple[float, float, float]:
    """Return seconds, milliseconds and bytes, with so many records."""
    with scratch.folder("records") as folder, multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        pool.apply(_fill, (str(folder), count))
        return pool.apply(_measure, (str(folder),))


def ended_job(number: int) -> Job:
    """Return a caption that has ended."""
    at = 1_700_000_000.0 + number
    source = Operation(caption=CaptionRequest(url_video=f"assets/{number:032x}", url_srt=f"assets/{number:031x}s"))
    job = Job(model.new_id(at), "caption", source.SerializeToString(), False, (Task(),), at)
    started = model.start_task(job, 0, at + 1, f"{number:032x}")
    return model.complete_task(started, 0, Result(f"assets/{number:030x}mp", 250, "x264", "", (), "video/mp4"), at + 5)


def _fill(folder: str, count: int) -> None:
    asyncio.run(fill(Path(folder), count))


def _measure(folder: str) -> tuple[float, float, float]:
    return asyncio.run(measure(Path(folder)))


async def fill(folder: Path, count: int) -> None:
    """Write the records of so many jobs."""
    jetstream = await JetStream.open("", folder, 10)
    try:
        bucket = await jetstream.key_value("jobs")
        for first in range(0, count, WRITES):
            jobs = [ended_job(number) for number in range(first, min(count, first + WRITES))]
            await asyncio.gather(*(_put(bucket, job) for job in jobs))
    finally:
        await jetstream.close()


async def _put(bucket: KeyValue, job: Job) -> None:
    deadline = time.monotonic() + WRITE_SECONDS
    while True:
        try:
            await bucket.put(job.id, to_json(job))
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


async def measure(folder: Path) -> tuple[float, float, float]:
    """Return the processor seconds of a start, the milliseconds of a page, and the bytes of a record in memory."""
    jetstream = await JetStream.open("", folder, 60)
    try:
        store = JobStore(await jetstream.key_value("jobs"), Claims(await jetstream.key_value("claims")), KEPT_SECONDS)
        memory, begun = psutil.Process().memory_info().rss, time.process_time()
        await store.start()
        started = time.process_time() - begun
        held = psutil.Process().memory_info().rss - memory
        begun = time.process_time()
        for _ in range(PAGES):
            await store.page(JobFilter(), 50, "")
        page = (time.process_time() - begun) / PAGES
        await store.stop()
        return started, 1000 * page, held / max(1, store.index.counts().get(model.Status.COMPLETED, 0))
    finally:
        await jetstream.close()
