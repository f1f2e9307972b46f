"""Logs by structlog, one line an event: text on a terminal or where it is wanted, JSON elsewhere and in the file."""

import logging
import logging.handlers
import sys
import time
from pathlib import Path
from typing import Any

import structlog

from servicekit.disk import DiskFloor
from servicekit.log_context import add_ids

LEVELS = ("debug", "info", "warning", "error")
# How lines on stderr look; auto: for people on a terminal, else for programs.
AUTO, JSON, CONSOLE = FORMATS = ("auto", "json", "console")
FILE_BYTES = 10 * 1024 * 1024
FILES = 5
# Of warnings and errors of one kind so many are written in so many seconds.
FIRST = 5
REPEAT_SECONDS = 10.0
MAX_EVENT_LETTERS = 200
# Logs leave half of the space free that files of users must.
FLOOR_SHARE = 0.5


def configure(service: str, level: str, logs_dir: Path | None, log_format: str = AUTO) -> None:
    """Send structlog and logging to stderr in one of FORMATS and, where `logs_dir` is given, to a rotated file there,
    which is of JSON."""
    shared: list[Any] = [
        add_ids,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    as_json = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # Plain tracebacks: those of rich show the values of variables, keys among them, and hold the loop for a second.
    is_terminal = sys.stderr.isatty()
    as_text = [structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)]
    stderr = logging.StreamHandler(sys.stderr)
    is_text = log_format == CONSOLE or (log_format == AUTO and is_terminal)
    stderr.setFormatter(_formatter(as_text if is_text else as_json, shared))
    handlers: list[logging.Handler] = [stderr]
    if logs_dir is not None:
        logs_dir.mkdir(parents=True, exist_ok=True)
        file = LogFile(logs_dir / f"{service}.log", maxBytes=FILE_BYTES, backupCount=FILES, delay=True)
        file.setFormatter(_formatter(as_json, shared))
        handlers.append(file)
    logging.basicConfig(handlers=handlers, level=level.upper(), force=True)
    for handler in handlers:
        handler.addFilter(RepeatLimit(handler))
    for name in ("httpx", "httpcore", "asyncio", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)


class RepeatLimit(logging.Filter):
    """Let a handler write the first warnings and errors of one kind in some seconds, and then only their number.

    Records of one logger with one text are of one kind, whatever their facts. What goes wrong with each of many
    connections would otherwise fill the disk.
    """

    def __init__(self, handler: logging.Handler, first: int = FIRST, seconds: float = REPEAT_SECONDS) -> None:
        super().__init__()
        self._handler = handler
        self._first = first
        self._seconds = seconds
        self._counts: dict[tuple[str, int, str], int] = {}
        self._ends_at = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now >= self._ends_at:
            self._ends_at = now + self._seconds
            self.report()
        if record.levelno < logging.WARNING:
            return True
        kind = (record.name, record.levelno, _event(record))
        self._counts[kind] = count = self._counts.get(kind, 0) + 1
        return count <= self._first

    def report(self) -> None:
        """Write how many records were left out since the last report."""
        counts, self._counts = self._counts, {}
        for (name, level, event), count in counts.items():
            if count > self._first:
                text = f"{event} (and {count - self._first} times more in about {self._seconds:g} s)"
                self._handler.handle(logging.LogRecord(name, level, __file__, 0, text, None, None))


def _event(record: logging.LogRecord) -> str:
    """Return the text that records of one kind share: structlog's event, or the template, at most its first line."""
    event = record.msg.get("event", "") if isinstance(record.msg, dict) else record.msg
    return str(event).partition("\n")[0][:MAX_EVENT_LETTERS]


class LogFile(logging.handlers.RotatingFileHandler):
    """A rotated file that takes no more lines while its disk is nearly full; they are on stderr all the same."""

    def emit(self, record: logging.LogRecord) -> None:
        if DiskFloor(Path(self.baseFilename).parent).has_room(FLOOR_SHARE):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # logging's own name
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def _formatter(renderers: list[Any], shared: list[Any]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        foreign_pre_chain=shared,
    )
