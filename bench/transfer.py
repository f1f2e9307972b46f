"""How fast files come and go, and how much memory and processor time that takes."""

import os
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.pair import Measured
from bench.timing import MIB, RUNS, Row

BIG_BYTES = 1024 * MIB
SAMPLE_SECONDS = 0.05


def rows(pair: Measured, folder: Path) -> Iterator[Row]:
    """MB/s of a 1 GiB file each way over mTLS, and of a plain copy in turn with them, the gateway's peak memory
    meanwhile, and the processor time of both."""
    client = pair.client
    big, back = folder / "big.bin", folder / "back.bin"
    block = os.urandom(MIB)
    with big.open("wb") as file:
        for _ in range(BIG_BYTES // MIB):
            file.write(block)
    asset, before = client.upload(big), pair.gateway.memory_info().rss
    up, down, copy = (Passed(name) for name in ("upload", "download", "copy"))
    # What was written is deleted before the next file is: none is written over an old one, which is faster, and a
    # virtual machine that gives free memory back to its host has had the less time for it.
    for _ in range(RUNS):
        with up.measured(pair):
            sent = client.upload(big)
        client.delete(sent.name)
        with copy.measured(pair):
            shutil.copyfile(big, back)
        back.unlink()
        with down.measured(pair):
            client.download(asset, back)
        back.unlink()
    client.delete(asset.name)
    for passed in (up, down):
        yield f"{passed.name} over mTLS, 1 GiB", passed.speed, "≥ 450 MB/s"
        yield f"processor time of {passed.name}s", passed.processor_time, ""
        memory = f"{passed.peak_bytes / MIB:.0f} MiB (before: {before / MIB:.0f} MiB)"
        yield "peak memory of the gateway meanwhile", memory, "< 150 MB"
    yield "for comparison, in turn with them: a plain copy of that file", copy.speed, ""


@dataclass
class Passed:
    """What it took to have the big file pass, some times."""

    name: str
    seconds: list[float] = field(default_factory=list)
    spent: list[tuple[float, ...]] = field(default_factory=list)
    peak_bytes: int = 0

    @contextmanager
    def measured(self, pair: Measured) -> Iterator[None]:
        """Measure the block, in which the file passes once."""
        processes = pair.gateway, psutil.Process()
        with peak_memory(pair) as peak:
            before, begun = [sum(process.cpu_times()[:2]) for process in processes], time.perf_counter()
            yield
            self.seconds.append(time.perf_counter() - begun)
            now = [sum(process.cpu_times()[:2]) for process in processes]
        self.spent.append(tuple(end - start for start, end in zip(before, now, strict=True)))
        self.peak_bytes = max(self.peak_bytes, peak[0])

    @property
    def speed(self) -> str:
        """Return the median, and the least and most."""
        least, *_, most = sorted(BIG_BYTES / 1e6 / seconds for seconds in self.seconds)
        return f"{BIG_BYTES / 1e6 / statistics.median(self.seconds):.0f} MB/s ({least:.0f} to {most:.0f})"

    @property
    def processor_time(self) -> str:
        """Return the median of each process. Where pages of memory are new to a virtual machine, what it takes to write
        them first is in here too."""
        gateway, client = (1000 * statistics.median(side) / (BIG_BYTES / 1e6) for side in zip(*self.spent, strict=True))
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
