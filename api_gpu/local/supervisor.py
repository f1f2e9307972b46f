"""A service as a child process: started, listened to, started again when it dies."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from servicekit.process import die_with_parent

BAD_SETTING = 2
SHOWN_LEVELS = ("warning", "error", "critical")
MAX_DEATHS = 5
DEATHS_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 0.2
MAX_PAUSE_SECONDS = 5.0
LINE_BYTES = 1024 * 1024

Say = Callable[[str], None]


class ChildEnded(Exception):
    """A service that cannot be kept running; the text holds its last message."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Child:
    """`python -m NAME` with `environment`. Its warnings and errors, and what is no log line, go to `say`."""

    def __init__(self, name: str, environment: Mapping[str, str], say: Say) -> None:
        self.name = name
        self.has_served = False
        self._environment = {**os.environ, **environment}
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        self._last_line = "it said nothing"

    async def keep_running(self) -> None:
        """Run the service until `stop`. Raises ChildEnded when it refuses its settings or dies again and again."""
        while not self._stopping.is_set():
            code = await self._run()
            if self._stopping.is_set():
                return
            pause = self._pause_after(code)
            self._say(f"{self.name} ended ({_ending(code)}); starting it again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def stop(self, seconds: float) -> None:
        """Ask it to end; kill it when it has not after `seconds`."""
        self._stopping.set()
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self._say(f"{self.name} did not end within {seconds:g} s and is killed")
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _run(self) -> int:
        child = die_with_parent([sys.executable, "-m", self.name])
        self._process = await asyncio.create_subprocess_exec(
            *child.command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            preexec_fn=child.preexec,
            # Out of the terminal's reach: Ctrl-C is for the parent, which ends its children in the right order.
            process_group=0,
        )
        if self._stopping.is_set():  # it was asked to stop while it started
            self._signal(signal.SIGTERM)
        assert self._process.stderr is not None
        await self._listen(self._process.stderr)
        return await self._process.wait()

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stderr.readline()
            except ValueError:  # longer than LINE_BYTES; it is in the log file
                continue
            if not line:
                return
            if text := shown(line.decode(errors="replace").rstrip()):
                self._last_line = text.strip()
                self._say(f"{self.name}: {text.removeprefix(f'{self.name}: ')}")

    def _pause_after(self, code: int) -> float:
        if code == BAD_SETTING and not self.has_served:
            raise ChildEnded(f"cannot start: {self._last_line}", BAD_SETTING)
        self._deaths.append(time.monotonic())
        if len(self._deaths) == MAX_DEATHS and self._deaths[-1] - self._deaths[0] < DEATHS_SECONDS:
            often = f"{MAX_DEATHS} times within {DEATHS_SECONDS:g} s"
            raise ChildEnded(f"{self.name} died {often}; its last message: {self._last_line}", 1)
        recent = sum(self._deaths[-1] - death < DEATHS_SECONDS for death in self._deaths)
        return min(FIRST_PAUSE_SECONDS * 2.0 ** (recent - 1), MAX_PAUSE_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def shown(line: str) -> str:
    """What a terminal shows of a line of a service's stderr: a log event of a warning or worse, other text as it is."""
    try:
        event: Any = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, dict) or "event" not in event:
        return line
    if event.get("level") not in SHOWN_LEVELS:
        return ""
    hidden = ("event", "level", "logger", "timestamp", "exception")
    pairs = [f"{key}={value}" for key, value in event.items() if key not in hidden]
    return " ".join([f"{event['level']}:", str(event["event"]), *pairs]) + _exception(event)


def _exception(event: Mapping[str, Any]) -> str:
    return f"\n{event['exception']}" if event.get("exception") else ""


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
