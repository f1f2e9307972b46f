"""Those who suffer: somebody who asks for `/health`, and an honest client whose small jobs follow one another.

They run in a process of their own (`python -m attack.victims DATA_DIR HTTP_URL FOLDER`), so that the work of an
attacker is not taken for the gateway's. Over stdin they are told to begin and to end, and answer with their samples as
JSON. What has no answer yet at the end counts with the seconds that it has waited.
"""

import asyncio
import contextlib
import json
import math
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from api_gpu import Client
from bench import plain
from tools import scratch
from tools.pair import Pair

HEALTH_PAUSE_SECONDS = 0.1
JOB_PAUSE_SECONDS = 0.2
TIMEOUT_SECONDS = 60.0
# How long the end waits for those that are under way.
LAST_SECONDS = 20.0
JOB_VIDEO_SECONDS = 2.0
SUBTITLES = "1\n00:00:00,000 --> 00:00:02,000\nHi\n"


@dataclass
class Series:
    """Seconds that each of several calls took, and the errors of those that failed."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.seconds)

    def percentile(self, percent: float) -> float:
        """Return the nearest-rank percentile, in seconds."""
        ranked = sorted(self.seconds)
        return ranked[math.ceil(percent / 100 * len(ranked)) - 1] if ranked else math.inf

    def is_under(self, seconds: float) -> bool:
        """Return True if none failed, and 99 of 100 took less than `seconds`."""
        return not self.errors and self.percentile(99) < seconds

    @property
    def text(self) -> str:
        failed = f"; {len(self.errors)} failed: {self.errors[0][:80]}" if self.errors else ""
        return f"{self.percentile(99) * 1000:.0f} ms (p50 {self.percentile(50) * 1000:.0f}, {self.count}){failed}"


@dataclass
class Samples:
    """What the victims met with."""

    health: Series = field(default_factory=Series)
    jobs: Series = field(default_factory=Series)


class Victims:
    """The process of the victims, from outside."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @classmethod
    @contextlib.contextmanager
    def of(cls, pair: Pair) -> Iterator["Victims"]:
        """Start them; they end with the block."""
        pipe = subprocess.PIPE
        with scratch.folder("victims") as folder:
            command = [sys.executable, "-m", "attack.victims", str(pair.data_dir), pair.http_url, folder]
            with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
                try:
                    yield cls(process)
                finally:
                    process.kill()

    async def begin(self) -> None:
        """Let them begin, and wait until they have."""
        assert await self._ask("begin") == "begun"

    async def end(self) -> Samples:
        """Let them end, and return what they met with."""
        found = json.loads(await self._ask("end"))
        return Samples(Series(**found["health"]), Series(**found["jobs"]))

    async def _ask(self, word: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(word, file=self._process.stdin, flush=True)
        return (await asyncio.to_thread(self._process.stdout.readline)).strip()


class Caller:
    """Does one thing over and over in a thread of its own, and notes how long each took."""

    def __init__(self, work: Callable[[], object], pause_seconds: float) -> None:
        self._work = work
        self._pause_seconds = pause_seconds
        self._series = Series()
        self._is_ending = threading.Event()
        self._since = 0.0
        # A daemon: a call that never returns holds up nobody.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> Series:
        """End it, and return what it has noted, the call that hangs included."""
        self._is_ending.set()
        self._thread.join(LAST_SECONDS)
        if self._thread.is_alive():
            self._series.seconds.append(time.monotonic() - self._since)
            self._series.errors.append("no answer yet")
        return self._series

    def _run(self) -> None:
        while not self._is_ending.wait(self._pause_seconds):
            self._since = time.monotonic()
            try:
                self._work()
            except Exception as error:  # whatever it is, an honest caller got it in place of an answer
                self._series.errors.append(f"{type(error).__name__}: {error}")
            self._series.seconds.append(time.monotonic() - self._since)


def serve(data_dir: Path, http_url: str, folder: Path, lines: IO[str]) -> None:
    """Do what the lines say until they end."""
    video, subtitles, out = folder / "small.mp4", folder / "small.srt", folder / "out.mp4"
    plain.make_video(video, JOB_VIDEO_SECONDS, "320x180")
    subtitles.write_text(SUBTITLES)
    with Client.local(data_dir) as client:

        def job() -> None:
            client.download(client.caption(video, subtitles).wait().asset, out)
            out.unlink()

        def health() -> None:
            # A new connection each time, as a load balancer's.
            with urllib.request.urlopen(f"{http_url}/health", timeout=TIMEOUT_SECONDS) as response:
                response.read()

        job()
        callers: list[Caller] = []
        for line in lines:
            if line.strip() == "begin":
                callers = [Caller(health, HEALTH_PAUSE_SECONDS), Caller(job, JOB_PAUSE_SECONDS)]
                print("begun", flush=True)
            else:
                print(json.dumps(asdict(Samples(*(caller.end() for caller in callers)))), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.stdin)
