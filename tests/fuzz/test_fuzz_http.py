"""HTTP as nobody should write it: an answer below 500, or an end of the connection; and health goes on."""

import pytest
from hypothesis import strategies as st

from gateway.rest.routes import endpoints
from tests.integration.gateway.rest.conftest import running
from tests.support.fuzz import fuzz, in_loop, joined
from tests.support.raw_http import exchange, statuses

PATHS = [path for _, path in (each.split() for each in endpoints())]
METHODS = st.sampled_from(
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "X" * 30]
)
TARGETS = st.sampled_from(PATHS) | joined(
    st.sampled_from(
        [
            *PATHS,
            "/",
            "//",
            "/..",
            "%2e%2e",
            "%2f",
            "%00",
            "%ff",
            "%",
            "?",
            "&",
            "=",
            "#",
            ":",
            "{",
            "a",
            "é",
            "\\",
            ";",
        ]
    ),
    8,
)
NAMES = st.sampled_from(
    [
        *(
            "Host",
            "Content-Length",
            "Transfer-Encoding",
            "Content-Type",
            "Content-Encoding",
            "Content-Digest",
            "Expect",
        ),
        *("X-API-Key", "Authorization", "Grpc-Timeout", "Grpc-Metadata-A", "Grpc-Metadata-A-bin", "Range", "If-Range"),
        *("Prefer", "Accept", "Connection", "Upgrade", "X-Forwarded-For", "X-Request-Id", "Cookie", "Last-Event-ID"),
    ]
)
HEADER_VALUES = joined(
    st.sampled_from(
        [
            "0",
            "1",
            "-1",
            "99999999999999999999",
            "chunked",
            "gzip",
            "bytes=0-",
            "100-continue",
            "k",
            "Bearer ",
            "=",
            ";",
            ",",
            "é",
            "\t",
        ]
    ),
    4,
)
HEADERS = st.lists(st.tuples(NAMES | st.text("abc-", min_size=1, max_size=8), HEADER_VALUES), max_size=6)
BODIES = st.binary(max_size=200) | joined(st.sampled_from([*'{}[]:,"', "url_video", "images", "1", "null"]), 20).map(
    str.encode
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with in_loop(running(tmp_path_factory.mktemp("served"))) as opened:
        yield opened


def check(served, data):
    runner, gateway = served
    found = statuses(runner.run(exchange(gateway.port, data)))
    assert [status for status in found if status >= 500 and status != 501] == []


@fuzz(examples=60, method=METHODS, target=TARGETS, headers=HEADERS, body=BODIES)
def test_requests(served, method, target, headers, body):
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: x",
        *(f"{name}: {value}" for name, value in headers),
        "Connection: close",
    ]
    head = "\r\n".join(lines).encode("latin-1", errors="ignore")
    check(served, head + b"\r\n\r\n" + body)


@fuzz(
    examples=40,
    text=joined(
        st.sampled_from(
            [
                "GET / HTTP/1.1",
                "HTTP/2.0",
                "\r\n",
                "\n",
                ":",
                " ",
                "Host: x",
                "0\r\n\r\n",
                "Transfer-Encoding: chunked",
                "\0",
                "PRI *",
            ]
        ),
        12,
    ),
)
def test_what_is_hardly_http(served, text):
    check(served, text.encode())


@fuzz(body=BODIES, length=st.integers(0, 300))
def test_bodies_that_end_elsewhere_than_announced(served, body, length):
    lines = ("POST /video/caption HTTP/1.1", "Host: x", "X-API-Key: k", "Content-Type: application/json")
    check(served, "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode() + body)


def test_it_serves_on(served):
    runner, gateway = served
    answer = runner.run(exchange(gateway.port, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    assert statuses(answer) == [200]
