"""Traces: spans of what the services do, of one trace from a caller's request to the last of its webhooks.

They are made by OpenTelemetry (extra `[otel]`) where a variable of its own says where to send them. Else nothing of it
is imported, and a span is nothing. The place in a trace that a caller gave (W3C `traceparent`) is handed on all the
same, and log lines carry the id of the trace.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Protocol

import structlog

from servicekit import log_context

log = structlog.get_logger("servicekit.tracing")

HEADER = "traceparent"
# Any of them turns traces on.
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
INTERNAL, SERVER, CLIENT = "INTERNAL", "SERVER", "CLIENT"
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

Fact = str | int | float | bool
Note = Callable[..., None]
"""Notes facts of a span, by name."""


class Tracer(Protocol):
    """Makes spans."""

    def span(
        self, name: str, kind: str, parent: str, started_at: float | None, facts: dict[str, Fact]
    ) -> AbstractContextManager[Note]:
        """Have the block be a span within the one around it, or within that of `parent`; it began at `started_at`
        (Unix seconds), or now."""

    def traceparent(self) -> str:
        """Return the place in a trace of the span that goes on; "" outside of any."""

    def close(self) -> None:
        """Send what is left."""


_tracer: Tracer | None = None
# What a caller gave, where nothing is traced here.
_given: ContextVar[str] = ContextVar("given_traceparent", default="")


def install(tracer: Tracer | None) -> None:
    """Have spans made by a tracer from now on; None for no more spans."""
    global _tracer
    _tracer = tracer


@contextlib.contextmanager
def configured(service: str, version: str) -> Iterator[None]:
    """Have the block be traced, where that is set; what is left of its spans is sent at its end. Raises ConfigError."""
    configure(service, version)
    try:
        yield
    finally:
        if (tracer := _tracer) is not None:
            install(None)
            tracer.close()


def configure(service: str, version: str) -> None:
    """Turn traces on where OTEL_EXPORTER_OTLP_ENDPOINT, or the like, is set; log a warning where the extra is missing.
    Raises ConfigError for settings of OpenTelemetry that cannot be used."""
    said = os.environ.get
    is_off = said("OTEL_SDK_DISABLED", "").lower() == "true" or said("OTEL_TRACES_EXPORTER") == "none"
    if is_off or not any(map(said, ENDPOINTS)):
        return
    try:
        from servicekit.otel import exporting
    except ImportError as error:
        text = 'OTEL_… is set, but nothing is traced: OpenTelemetry is missing; pip install "api-gpu[server,otel]"'
        log.warning(text, error=str(error))
        return
    install(exporting(service, version))


def span(
    name: str, kind: str = INTERNAL, started_at: float | None = None, **facts: Fact
) -> AbstractContextManager[Note]:
    """Have the block be a span, if anything is traced; what is yielded notes further facts of it."""
    return _NOTHING if _tracer is None else _tracer.span(name, kind, "", started_at, facts)


@contextlib.contextmanager
def border(name: str, parent: str, kind: str = SERVER, **facts: Fact) -> Iterator[Note]:
    """Have the block be a span of the trace that a `traceparent` names, where it is one, else of the one around it; its
    log lines carry the id of the trace."""
    given = parent if _TRACEPARENT.fullmatch(parent) else ""
    if _tracer is not None:
        with _tracer.span(name, kind, given, None, {**facts, **log_context.current()}) as note:
            log_context.learn(trace_id=trace_id(_tracer.traceparent()))
            yield note
        return
    token = _given.set(given or _given.get())
    log_context.learn(trace_id=trace_id(given))
    try:
        yield _note_nothing
    finally:
        _given.reset(token)


def nothing() -> AbstractContextManager[Note]:
    """Have the block be no span."""
    return _NOTHING


def traceparent() -> str:
    """Return the place in a trace of what goes on, as W3C has it; "" where it is part of none."""
    return _given.get() if _tracer is None else _tracer.traceparent()


def headers() -> tuple[tuple[str, str], ...]:
    """Return the header, or metadata, that tells a service that is called of the trace; nothing where there is none."""
    value = traceparent()
    return ((HEADER, value),) if value else ()


def trace_id(parent: str) -> str:
    """Return the id of the trace of a `traceparent`; "" of none."""
    found = _TRACEPARENT.fullmatch(parent)
    return found[1] if found else ""


def _note_nothing(**_: Fact) -> None:
    pass


_NOTHING: AbstractContextManager[Note] = nullcontext(_note_nothing)
