"""Spans on their way to a receiver of OTLP, by gRPC; and one that is away."""

import threading
from concurrent import futures

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from servicekit import tracing


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self):
        self.exports, self.contexts = [], []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def Export(self, request, context):
        self.contexts.append(context)
        self.may_answer.wait()
        self.exports.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def receiver():
    server = grpc.server(futures.ThreadPoolExecutor(1))
    made = Receiver()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(made, server)
    made.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield made
    server.stop(None).wait()


def test_spans_are_sent_by_grpc_at_the_latest_at_the_end(monkeypatch, receiver):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with tracing.configured("gateway", "1"), tracing.border("call", ""):
        pass
    (export,) = receiver.exports
    assert [span.name for span in export.resource_spans[0].scope_spans[0].spans] == ["call"]


def test_a_receiver_that_does_not_answer_does_not_hold_up_the_end(monkeypatch, receiver):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    receiver.may_answer.clear()
    with tracing.configured("gateway", "1"), tracing.border("call", ""):
        pass
    assert receiver.contexts[0].is_active()  # nobody has given up the call, nor waits for its end
    receiver.may_answer.set()
