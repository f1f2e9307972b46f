"""What child processes print, as lines of the log of the service."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import structlog

# What the service says of a line itself.
OWN = ("timestamp", "level", "logger", "exception", "event")
# What would be no fact to structlog.
TAKEN = ("self", "method_name", "exc_info", "stack_info", "_record", "_from_structlog")
LEVELS = ("debug", "info", "warning", "error")


async def relay(process: asyncio.subprocess.Process, name: str, log: structlog.stdlib.BoundLogger) -> None:
    """Log what a child prints on stderr as `name`, until it ends: of an event in JSON its text as `message` and its
    facts, other text as a warning."""
    assert process.stderr is not None
    async for line in _lines(process.stderr):
        level, facts = _facts(line.decode(errors="replace").strip())
        getattr(log, level)(name, **facts)
    await process.wait()


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the reader takes; a child must not be held up by what nobody reads
            continue
        if not line:
            return
        yield line


def _facts(text: str) -> tuple[str, dict[str, Any]]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):  # of what is nested too deep
        said = None
    if not isinstance(said, dict) or "event" not in said:
        return "warning", {"message": text}
    level = said.get("level")
    facts = {name: value for name, value in said.items() if name not in OWN + TAKEN}
    trace = {"message": f"{said['event']}\n{said['exception']}"} if "exception" in said else {}
    return level if level in LEVELS else "warning", {**facts, "message": said["event"], **trace}
