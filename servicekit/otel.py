"""The one file that speaks to OpenTelemetry: its tracer, and where spans are sent."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from servicekit.errors import ConfigError, ServiceError
from servicekit.tracing import HEADER, Fact, Note

PROPAGATOR = TraceContextTextMapPropagator()
# As OpenTelemetry has them; the newer one goes first.
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
CLOSE_SECONDS = 2.0
HTTP, GRPC = "http/protobuf", "grpc"


class OtelTracer:
    """Implements servicekit.tracing.Tracer."""

    def __init__(self, service: str, version: str, processor: SpanProcessor) -> None:
        """Make spans of a service, which are handed to a processor. OTEL_SERVICE_NAME goes before its name."""
        own = {"service.name": os.environ.get("OTEL_SERVICE_NAME") or f"api-gpu-{service}", "service.version": version}
        self._provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("api-gpu", version)

    def span(
        self, name: str, kind: str, parent: str, started_at: float | None, facts: dict[str, Fact]
    ) -> contextlib.AbstractContextManager[Note]:
        """See servicekit.tracing.Tracer."""
        around = PROPAGATOR.extract({HEADER: parent}) if parent else None
        start = None if started_at is None else round(started_at * 1e9)
        made = self._tracer.start_span(name, around, SpanKind[kind], facts, start_time=start)
        return _run(made)

    def traceparent(self) -> str:
        """See servicekit.tracing.Tracer."""
        carrier: dict[str, str] = {}
        PROPAGATOR.inject(carrier)
        return carrier.get(HEADER, "")

    def close(self) -> None:
        """Send what is left, in the time that there is: a receiver that is away holds up no end of a service."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)


@contextlib.contextmanager
def _run(span: Span) -> Iterator[Note]:
    """Have the block be a span, which ends with it; errors are noted as callers are told of them."""

    def note(**facts: Fact) -> None:
        span.set_attributes(facts)

    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield note
        except ServiceError as error:
            note(code=error.code.name, reason=error.reason)
            span.set_status(Status(StatusCode.ERROR, error.message))
            raise
        except asyncio.CancelledError:
            note(code="CANCELLED")
            raise
        except Exception as error:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def exporting(service: str, version: str) -> OtelTracer:
    """Return a tracer whose spans are sent by OTLP, as the variables of OpenTelemetry say. Raises ConfigError."""
    try:
        return OtelTracer(service, version, BatchSpanProcessor(_exporter()))
    except ConfigError:
        raise
    except Exception as error:  # its packages raise errors of several kinds for variables of theirs
        raise ConfigError(f"OTEL_…: OpenTelemetry cannot be set up as its variables say: {error}") from error


def _exporter() -> SpanExporter:
    name = next((name for name in PROTOCOLS if os.environ.get(name)), PROTOCOLS[-1])
    protocol = os.environ.get(name) or HTTP
    if protocol == HTTP:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

        return HttpExporter()
    if protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    raise ConfigError(f"{name}={protocol}: give {HTTP} or {GRPC}")
