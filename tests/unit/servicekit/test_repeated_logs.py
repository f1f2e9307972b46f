"""Logs: warnings and errors of one kind are limited, and counted."""

import io
import json
import logging

import pytest
import structlog

from servicekit.logs import RepeatLimit


@pytest.fixture
def written():
    """A stream, and a logger that writes into it under a limit of 2 in a while; then `passed` ends the while."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()]
        )
    )
    limit = RepeatLimit(handler, first=2, seconds=3600)
    handler.addFilter(limit)
    logger = logging.Logger("toy", logging.DEBUG)
    logger.addHandler(handler)
    return stream, logger, handler


def events(stream):
    return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


def test_the_first_of_a_kind_are_written_and_the_rest_are_not(written):
    stream, logger, _ = written
    for number in range(1000):
        logger.error("socket.accept() out of system resource\nsocket: %d", number)
        logger.warning("another")
    assert len(events(stream)) == 4


def test_what_is_not_a_warning_has_no_limit(written):
    stream, logger, _ = written
    for _ in range(100):
        logger.info("request")
    assert events(stream) == ["request"] * 100


def test_events_of_structlog_are_of_one_kind_whatever_their_facts(written):
    stream, logger, _ = written
    for number in range(100):
        logger.warning({"event": "cannot read", "number": number, "error": str(number)})
    assert len(events(stream)) == 2


def test_what_was_left_out_is_counted(written):
    stream, logger, handler = written
    handler.filters[:] = [RepeatLimit(handler, first=2, seconds=0.0)]
    logger.error("broken")
    assert events(stream) == ["broken"]  # each is a while of its own
    limit = handler.filters[0] = RepeatLimit(handler, first=2, seconds=3600)
    for _ in range(10):
        logger.error("broken")
    limit.report()
    logger.info("calm")
    assert events(stream)[-2:] == ["broken (and 8 times more in about 3600 s)", "calm"]
