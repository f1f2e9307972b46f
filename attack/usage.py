"""What a service and its children use: processor seconds, and memory at the peak."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from servicekit.tasks import cancel_and_wait

SAMPLE_SECONDS = 0.1
MIB = 1024 * 1024
# What to write to clear_refs so that the peak of memory is counted anew; see proc_pid_clear_refs(5).
RESET_PEAK = "5"


@dataclass(frozen=True)
class Usage:
    """Processor seconds, and MiB of memory above those at the start, at the peak."""

    cpu_seconds: float
    memory_mib: float

    def text(self, name: str) -> str:
        return f"{name} {self.cpu_seconds:.2f} s, {self.memory_mib:+.0f} MiB"


class Meter:
    """Measures a process and its children during `running`; then `used` is known."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._peak_bytes = 0
        self._job_cpu_seconds = self._rest_mib = 0.0
        self.used = Usage(0, 0)

    def note_rest(self, jobs: int) -> None:
        """Take what was used last for the cost of so many honest jobs, and of the samples of health beside them."""
        self._job_cpu_seconds, self._rest_mib = self.used.cpu_seconds / max(1, jobs), self.used.memory_mib

    def beside(self, jobs: int) -> Usage:
        """Return what was used last beside so many honest jobs."""
        seconds, memory = self.used.cpu_seconds - self._job_cpu_seconds * jobs, self.used.memory_mib - self._rest_mib
        return Usage(max(0.0, seconds), max(0.0, memory))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Measure during the block."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text(RESET_PEAK)
        cpu, self._peak_bytes = self._cpu_seconds(), 0
        at_first = self._memory_bytes()
        sampling = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            await cancel_and_wait(sampling)
            peak = max(self._peak_bytes, self._own_peak_bytes())
            self.used = Usage(self._cpu_seconds() - cpu, (peak - at_first) / MIB)

    async def _sample(self) -> None:
        while True:
            self._peak_bytes = max(self._peak_bytes, self._memory_bytes())
            await asyncio.sleep(SAMPLE_SECONDS)

    def _cpu_seconds(self) -> float:
        return sum(_cpu_seconds(each) for each in self._tree())

    def _memory_bytes(self) -> int:
        return sum(_memory_bytes(each) for each in self._tree())

    def _own_peak_bytes(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def _tree(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the processor seconds of a process, and of its children that have ended."""
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.NoSuchProcess:
        return 0.0


def _memory_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
