"""Progress of a command on stderr: live bars on a terminal, plain lines elsewhere."""

import sys
import time
from abc import ABC, abstractmethod
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from api_gpu.jobs import Event, Job
from api_gpu.outcomes import Clip, Finished, Queued
from api_gpu.outcomes import Progress as JobProgress
from api_gpu.uploads import OnBytes

LINE_SECONDS = 2.0
DONE_BARS = 5
MEGABYTE, KILOBYTE = 1_000_000, 1_000
# Of less, kilobytes tell more.
LEAST_MEGABYTES = 0.1
STARTING = "an encoder starts"


class Display(ABC):
    """Show the progress of a command. A context manager: it ends the bars."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @abstractmethod
    def transfer(self, label: str) -> OnBytes:
        """Show a transfer from its beginning; return what is to be called with its bytes."""

    @abstractmethod
    def event(self, job: Job, event: Event) -> None:
        """Show an event of a job."""

    @abstractmethod
    def message(self, text: str) -> None:
        """Show a line."""


def open_display(*, quiet: bool) -> Display:
    """Return bars when stderr is a terminal, else lines; what shows no progress where `quiet` is asked for."""
    if quiet:
        return Quiet()
    return Bars() if sys.stderr.isatty() else Lines()


class Quiet(Display):
    """Show no progress, but what would be missed."""

    def transfer(self, label: str) -> OnBytes:
        """Show nothing."""
        return lambda done, total: None

    def event(self, job: Job, event: Event) -> None:
        """Show nothing."""

    def message(self, text: str) -> None:
        """Show a line."""
        print(text, file=sys.stderr, flush=True)


class Lines(Quiet):
    """Print plain lines: the beginning of each transfer, each event, progress every LINE_SECONDS."""

    def __init__(self) -> None:
        self._last_time = 0.0

    def transfer(self, label: str) -> OnBytes:
        """Print a line when it begins, every LINE_SECONDS, and when it is done."""
        self.message(label)
        started = time.monotonic()

        def on_bytes(done: int, total: int | None) -> None:
            if done == total or self._due():
                self.message(f"{label}: {bytes_text(done, total, time.monotonic() - started)}")

        return on_bytes

    def event(self, job: Job, event: Event) -> None:
        """Print the event, but for progress within LINE_SECONDS after the last."""
        if not isinstance(event, JobProgress) or self._due():
            self.message(f"job {job.id}: {describe(event)}")

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._last_time < LINE_SECONDS:
            return False
        self._last_time = now
        return True


class Detail(ProgressColumn):
    """The text beside a bar."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields["detail"]), style="dim")


class Bars(Display):
    """Draw a live bar for each transfer and one for the job; of those that are full, the last DONE_BARS."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), Detail())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._jobs: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def transfer(self, label: str) -> OnBytes:
        """Draw a bar that fills with the bytes."""
        done = [task.id for task in self._progress.tasks if task.finished]
        for old in done[:-DONE_BARS]:
            self._progress.remove_task(old)
        bar = self._progress.add_task(label, total=None, detail="")
        started = time.monotonic()

        def on_bytes(done: int, total: int | None) -> None:
            detail = bytes_text(done, total, time.monotonic() - started)
            self._progress.update(bar, completed=done, total=total, detail=detail)

        return on_bytes

    def event(self, job: Job, event: Event) -> None:
        """Move the job's bar."""
        if job.id not in self._jobs:
            self._jobs[job.id] = self._progress.add_task(job.operation, total=None, detail="")
        bar = self._jobs[job.id]
        if isinstance(event, Clip):
            self.message(describe(event))
            return
        self._progress.update(bar, detail=describe(event))
        if isinstance(event, JobProgress) and event.frames_total:
            self._progress.update(bar, completed=event.frames_done, total=event.frames_total)
        elif isinstance(event, Finished):
            full = self._progress.tasks[self._progress.task_ids.index(bar)].total or 1
            self._progress.update(bar, completed=full if not event.job.error else None, total=full)

    def message(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


def describe(event: Event) -> str:
    """Return an event in words."""
    match event:
        case Queued(_, "COLD_START"):
            return STARTING
        case Queued(place, _, reason, starts_in):
            words = "next in the queue" if place <= 1 else f"number {place} in the queue"
            if reason:
                return f"{words}: {reason}"
            return f"{words} · starts in about {starts_in:.0f} s" if starts_in else words
        case Clip():
            return f"{event.id}: {event.error.message if event.error else 'done'}"
        case Finished(job):
            seconds = (job.queued_milliseconds + job.encoding_milliseconds) / 1000
            return f"{job.status.lower()} after {seconds:.1f} s{cost_text(job.cost_usd)}"
        case JobProgress():
            return frames_text(event)


def frames_text(progress: JobProgress) -> str:
    """Return frames, rate and time left in words, as far as they are known."""
    frames = f"{progress.frames_done}" + (f"/{progress.frames_total}" if progress.frames_total else "")
    words = [f"{frames} frames"]
    if progress.fps:
        words.append(f"{progress.fps:.0f} fps")
    if progress.total > 1:
        words.insert(0, f"{progress.processed} of {progress.total} done")
    if progress.phase == "COLD_START":
        words.append(STARTING)
    if progress.rented:
        words.append(f"{progress.rented} rented")
    if progress.seconds_left is not None:
        words.append(f"{progress.seconds_left:.0f} s left")
    return ", ".join(words) + cost_text(progress.cost_usd)


def cost_text(usd: float | None) -> str:
    """Return a cost in words, to be put after others; nothing where nothing was rented."""
    return "" if usd is None else f", ${usd:.4f}"


def bytes_text(done: int, total: int | None, seconds: float) -> str:
    """Return bytes and rate in words."""
    unit, name = (MEGABYTE, "MB") if max(done, total or 0) >= LEAST_MEGABYTES * MEGABYTE else (KILOBYTE, "kB")
    whole = f"/{total / unit:.1f}" if total is not None else ""
    return f"{done / unit:.1f}{whole} {name}, {done / unit / max(seconds, 1e-6):.0f} {name}/s"
