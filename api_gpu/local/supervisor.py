"""Supervision of a service as a child process: it is started, and restarted when it dies."""

import asyncio
import contextlib
import json
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from servicekit.backoff import Backoff
from servicekit.process import die_with_parent, module_command

BAD_SETTING = 2
SHOWN_LEVELS = ("warning", "error", "critical")
MAX_DEATHS = 5
DEATHS_SECONDS = 30.0
RESTART_BACKOFF = Backoff(first_seconds=0.2, max_seconds=5.0, jitter=0)
LINE_BYTES = 1024 * 1024

Report = Callable[[str], None]


class ServiceFailed(Exception):
    """A service cannot be kept running; the text holds its last message."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class ServiceProcess:
    """Supervise `python -m NAME`, which has this environment and nothing else of ours.

    Its warnings and errors, and text that is no log line, go to `report`.
    """

    def __init__(self, name: str, environment: Mapping[str, str], report: Report) -> None:
        self.name = name
        self.has_served = False
        self._environment = dict(environment)
        self._report = report
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        self._last_line = "no message"

    async def keep_running(self) -> None:
        """Run the service until `stop`. Raises ServiceFailed when it refuses its settings or dies again and again."""
        while not self._stopping.is_set():
            code = await self._run()
            if self._stopping.is_set():
                return
            pause = self._restart_pause(code)
            self._report(f"{self.name} ended ({_exit_text(code)}); starting it again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def stop(self, seconds: float) -> None:
        """Send SIGTERM, and SIGKILL when the service has not ended after `seconds`."""
        self._stopping.set()
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self._report(f"{self.name} did not end within {seconds:g} s and is killed")
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _run(self) -> int:
        child = die_with_parent(module_command(self.name))
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
        await self._forward(self._process.stderr)
        return await self._process.wait()

    async def _forward(self, stderr: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stderr.readline()
            except ValueError:  # longer than LINE_BYTES; it is in the log file
                continue
            if not line:
                return
            if text := terminal_text(line.decode(errors="replace").rstrip()):
                self._last_line = text.strip()
                self._report(f"{self.name}: {text.removeprefix(f'{self.name}: ')}")

    def _restart_pause(self, code: int) -> float:
        if code == BAD_SETTING and not self.has_served:
            raise ServiceFailed(f"cannot start: {self._last_line}", BAD_SETTING)
        self._deaths.append(time.monotonic())
        if len(self._deaths) == MAX_DEATHS and self._deaths[-1] - self._deaths[0] < DEATHS_SECONDS:
            often = f"{MAX_DEATHS} times within {DEATHS_SECONDS:g} s"
            raise ServiceFailed(f"{self.name} died {often}; its last message: {self._last_line}", 1)
        recent = sum(self._deaths[-1] - death < DEATHS_SECONDS for death in self._deaths)
        return RESTART_BACKOFF.pause_seconds(recent)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def terminal_text(line: str) -> str:
    """Return what to show of a line of stderr: a log event of a warning or worse in words, other text as it is."""
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


def _exit_text(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
