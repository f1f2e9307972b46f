"""Spans of OpenTelemetry, in memory; and what remains of traces without it."""

import asyncio
import sys

import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from servicekit import log_context, tracing
from servicekit.errors import ConfigError, NotFound
from servicekit.otel import OtelTracer

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    tracer = OtelTracer("test", "1", SimpleSpanProcessor(exporter))
    tracing.install(tracer)
    yield exporter.get_finished_spans
    tracing.install(None)
    tracer.close()


def ids():
    return dict(log_context.current())


def test_spans_stand_within_each_other_and_within_that_of_the_caller(spans):
    with log_context.about(request_id="r"), tracing.border("call", PARENT, method="M") as note:
        assert ids() == {"request_id": "r", "trace_id": TRACE}
        note(status=200)
        with tracing.span("inner", tracing.CLIENT, started_at=12.5, runs=2):
            assert tracing.headers() == (("traceparent", tracing.traceparent()),)
            assert tracing.trace_id(tracing.traceparent()) == TRACE
    inner, call = spans()
    assert (call.name, call.kind.name, dict(call.attributes)) == (
        "call",
        "SERVER",
        {"method": "M", "request_id": "r", "status": 200},
    )
    assert f"{call.parent.span_id:016x}" == SPAN
    assert (inner.parent.span_id, inner.start_time, inner.attributes["runs"]) == (call.context.span_id, 12.5e9, 2)
    assert call.resource.attributes["service.name"] == "api-gpu-test"


async def test_a_task_goes_on_with_the_span_that_started_it(spans):
    async def work():
        with tracing.span("work"):
            pass

    with tracing.border("call", ""):
        await asyncio.create_task(work())
    work_span, call = spans()
    assert work_span.parent.span_id == call.context.span_id


@pytest.mark.parametrize("parent", ["", "junk", f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01", PARENT + "-more"])
def test_what_is_no_place_in_a_trace_begins_a_new_one(spans, parent):
    with log_context.about(request_id="r"), tracing.border("call", parent):
        assert ids()["trace_id"] not in (TRACE, "0" * 32)
    (call,) = spans()
    assert call.parent is None


def test_errors_end_a_span_as_callers_are_told_of_them(spans):
    for error in (
        NotFound("there is no such job", reason="JOB_NOT_FOUND"),
        ValueError("secret"),
        asyncio.CancelledError(),
    ):
        with pytest.raises(type(error)), tracing.span("work"):
            raise error
    told, failed, cancelled = spans()
    assert (told.status.description, told.attributes["reason"]) == ("there is no such job", "JOB_NOT_FOUND")
    assert (failed.status.status_code.name, failed.status.description) == ("ERROR", "ValueError")
    assert (cancelled.status.status_code.name, cancelled.attributes["code"]) == ("UNSET", "CANCELLED")


def test_without_traces_what_a_caller_gave_is_handed_on():
    with log_context.about(request_id="r"), tracing.border("call", PARENT), tracing.span("inner") as note:
        note(runs=1)
        assert (tracing.traceparent(), ids()["trace_id"]) == (PARENT, TRACE)
        with tracing.border("call", "junk"):
            assert tracing.traceparent() == PARENT
    assert tracing.headers() == ()


def test_a_protocol_that_there_is_not_is_named(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_PROTOCOL=http/json: give http/protobuf or grpc"):
        tracing.configure("gateway", "1")


def test_a_variable_of_opentelemetry_that_cannot_be_used_is_told_in_words(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "zip")
    with pytest.raises(ConfigError, match=r'OTEL_….*: Invalid value "zip" for .*OTEL_EXPORTER_OTLP_COMPRESSION'):
        tracing.configure("gateway", "1")


def test_where_the_extra_is_missing_the_log_says_so(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
    monkeypatch.setitem(sys.modules, "servicekit.otel", None)
    with structlog.testing.capture_logs() as found:
        tracing.configure("gateway", "1")
    (line,) = found
    assert line["log_level"] == "warning"
    assert 'pip install "api-gpu[server,otel]"' in line["event"]
