"""How fast files come and go, and how much memory and processor time that takes."""

import shutil
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.pair import Measured
from bench.timing import MIB, RUNS, Row, timed

BIG_BYTES = 1024 * MIB
SAMPLE_SECONDS = 0.05


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """MB/s of a 1 GiB file each way over mTLS, the gateway's peak memory meanwhile, and the processor time of both."""
    client = pair.client
    big, back = folder / "big.bin", folder / "back.bin"
    block = bytes(range(256)) * (MIB // 256)
    with big.open("wb") as file:
        for _ in range(BIG_BYTES // MIB):
            file.write(block)
    before = pair.gateway.memory_info().rss
    with peak_memory(pair) as peak:
        asset = client.upload(big)
        spent = processor_time(pair, lambda: client.delete(client.upload(big).name))
        upload = statistics.median([timed(lambda: client.delete(client.upload(big).name)) for _ in range(RUNS)])
    yield "upload over mTLS, 1 GiB", f"{BIG_BYTES / 1e6 / upload:.0f} MB/s", "≥ 450 MB/s"
    yield "processor time of an upload", spent, ""
    memory = f"{peak[0] / MIB:.0f} MiB (before: {before / MIB:.0f} MiB)"
    yield "peak memory of the gateway meanwhile", memory, "< 150 MB"
    copy = statistics.median([timed(lambda: shutil.copyfile(big, back)) for _ in range(RUNS)])
    yield "for comparison: a plain copy of that file", f"{BIG_BYTES / 1e6 / copy:.0f} MB/s", ""
    with peak_memory(pair) as peak:
        spent = processor_time(pair, lambda: client.download(asset, back))
        download = statistics.median([timed(lambda: client.download(asset, back)) for _ in range(RUNS)])
    yield "download over mTLS, 1 GiB", f"{BIG_BYTES / 1e6 / download:.0f} MB/s", "≥ 450 MB/s"
    yield "processor time of a download", spent, ""
    yield "peak memory of the gateway meanwhile", f"{peak[0] / MIB:.0f} MiB", "< 150 MB"
    client.delete(asset.name)


def processor_time(pair: Measured, work: Callable[[], object]) -> str:
    """Milliseconds of processor time for each MB that gateway and client take for the big file. Where pages of memory
    are new to a virtual machine, what it takes to write them first is in here too."""
    processes = pair.gateway, psutil.Process()

    def spent() -> list[float]:
        return [sum(process.cpu_times()[:2]) for process in processes]

    before = spent()
    work()
    gateway, client = (1000 * (now - then) / (BIG_BYTES / 1e6) for then, now in zip(before, spent(), strict=True))
    return f"gateway {gateway:.1f} ms/MB, client {client:.1f} ms/MB"


@contextmanager
def peak_memory(pair: Measured) -> Iterator[list[int]]:
    """The largest resident size of the gateway while the block runs, bytes, as the only element."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], pair.gateway.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
