"""One trace from a request by HTTP to the webhook of its job, as a receiver of OTLP has it from a real pair."""

import contextlib
import gzip
import http.server
import threading
import time

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration.gateway.test_task_logs import lines_of
from tests.support.until import until_sync
from tools.pair import running

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes spans at /v1/traces, and calls of webhooks elsewhere."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            self.server.exports.append(ExportTraceServiceRequest.FromString(body))
        else:
            self.server.calls.append(dict(self.headers))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def receiving():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads, server.exports, server.calls = True, [], []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def receiver():
    with receiving() as server:
        yield server


@pytest.fixture(scope="module")
def traced_pair(tmp_path_factory, receiver):
    endpoint = f"http://127.0.0.1:{receiver.server_port}"
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "FETCH_ALLOW_CIDRS": "127.0.0.0/8",
    }
    with running(tmp_path_factory.mktemp("traced"), **settings) as pair:
        yield pair


def service_of(resource):
    (name,) = [entry.value.string_value for entry in resource.resource.attributes if entry.key == "service.name"]
    return name


def spans_of(receiver):
    """The spans of the trace so far, by service and name."""
    return {
        (service_of(resource), span.name): span
        for export in list(receiver.exports)
        for resource in export.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if span.trace_id.hex() == TRACE
    }


def test_one_trace_leads_from_the_request_to_the_webhook(traced_pair, receiver, media):
    began = time.time()
    with httpx.Client(base_url=traced_pair.http_url, headers={"X-API-Key": traced_pair.key}, timeout=60) as client:
        asset = client.put("/assets/still.png", content=media.image.read_bytes()).raise_for_status().json()
        wanted = {"images": [{"id": "a", "image_url": asset["name"], "duracao": 0.2}], "frame_rate": 10}
        options = {"webhook_url": f"http://127.0.0.1:{receiver.server_port}/hook", "webhook_events": ["job.ended"]}
        answer = client.post("/video/img2vid", json=wanted | options, headers={"traceparent": PARENT})
    job = answer.raise_for_status().json()["stats"]["jobId"]
    encode = "apigpu.encoder.v1.EncoderService/Encode"
    last = ("api-gpu-gateway", "webhook")
    until_sync(lambda: spans_of(receiver).keys() >= {last, ("api-gpu-encoder", encode)})
    spans = spans_of(receiver)
    names = {(service, name): name for service, name in spans}
    by_id = {span.span_id: names[key] for key, span in spans.items()}
    above = {key[1]: by_id.get(span.parent_span_id, "") for key, span in spans.items()}
    assert (
        above.items()
        >= {
            "task": "apigpu.v1.VideoService/Img2Vid",
            "apigpu.v1.VideoService/Img2Vid": "HTTP POST",
            "queue": "task",
            "prepare inputs": "task",
            "encode": "task",
            "send inputs": "encode",
            "store results": "encode",
            encode: "encode",
            "receive inputs": encode,
            "plan": encode,
            "ffmpeg": encode,
            "check results": "ffmpeg",  # while it ends
            "send results": encode,
            "webhook": "apigpu.v1.VideoService/Img2Vid",
        }.items()
    )
    queue = spans["api-gpu-gateway", "queue"]
    assert began * 1e9 < queue.start_time_unix_nano < queue.end_time_unix_nano
    assert {"runs", "frames", "cpu_seconds"} <= {fact.key for fact in spans["api-gpu-encoder", "plan"].attributes}
    assert TRACE in receiver.calls[0]["traceparent"]
    for service in ("gateway", "encoder"):
        told = lines_of(traced_pair, service, job=job)
        assert told
        assert {line["trace_id"] for line in told} == {TRACE}
