"""Ids that log lines carry, and lines of children."""

import asyncio
import contextvars
from types import SimpleNamespace

import structlog

from servicekit import log_context
from servicekit.child_logs import relay


def told(**facts):
    return log_context.add_ids(None, "info", {"event": "it happened"} | facts)


def test_lines_carry_what_was_bound_and_learned():
    assert told() == {"event": "it happened"}
    with log_context.about(request_id="r", task=""):
        log_context.learn(job="j", attempt="")
        assert told() == {"event": "it happened", "request_id": "r", "job": "j"}
        with log_context.about(job="other"):
            assert told() == {"event": "it happened", "request_id": "r", "job": "other"}
        assert told(job="said") == {"event": "it happened", "request_id": "r", "job": "said"}
    assert told() == {"event": "it happened"}


def test_what_is_learned_outside_of_a_block_is_on_no_line():
    contextvars.Context().run(log_context.learn, job="j")
    assert contextvars.Context().run(told) == {"event": "it happened"}


async def test_what_a_call_learns_is_known_to_the_request_around_it():
    async def call():
        with log_context.about(request_id="r"):
            log_context.learn(job="j")

    async def other():
        with log_context.about(request_id="r", task="t"):
            log_context.learn(attempt="a")

    with log_context.about(request_id="r"):
        await asyncio.gather(asyncio.create_task(call()), asyncio.create_task(other()))
        assert told() == {"event": "it happened", "request_id": "r", "job": "j"}


async def ended():
    return 0


async def test_lines_of_children_keep_their_facts():
    stderr = asyncio.StreamReader(limit=1024)
    stderr.feed_data(b'{"event": "a card failed", "level": "error", "task": "j.0", "timestamp": "T"}\n')
    stderr.feed_data(b"x" * 5000 + b"\nplain\n[1]\n")
    stderr.feed_eof()
    process = SimpleNamespace(stderr=stderr, wait=ended)
    with structlog.testing.capture_logs() as found:
        await relay(process, "child", structlog.get_logger("test"))
    assert found[0] == {"event": "child", "log_level": "error", "message": "a card failed", "task": "j.0"}
    assert [line["message"] for line in found[-2:]] == ["plain", "[1]"]
    assert {line["log_level"] for line in found[1:]} == {"warning"}


async def test_no_line_of_a_child_ends_the_reading_of_its_lines():
    stderr = asyncio.StreamReader()
    stderr.feed_data(b"[" * 60_000 + b"\n")
    for taken in ("self", "event", "method_name", "exc_info", "_record"):
        stderr.feed_data(b'{"event": "odd", "level": "error", "%s": "x"}\n' % taken.encode())
    stderr.feed_data(b"the last\n")
    stderr.feed_eof()
    with structlog.testing.capture_logs() as found:
        await relay(SimpleNamespace(stderr=stderr, wait=ended), "child", structlog.get_logger("test"))
    assert (len(found), found[-1]["message"]) == (7, "the last")
