"""The worker: `python -m encoder.codecs.nvenc.worker FD` speaks to the driver for one encoder, over the socket FD.

Its first message describes the cards. Then each message to it is a request (request.py) with two file descriptors,
frames in and bitstream out, and is answered when the session has ended. The worker ends when the socket does.
"""

import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from encoder.codecs.card import Abilities, Card, CardReport, SizeLimits
from encoder.codecs.nvenc.driver import LOST, UNKNOWN, open_cards
from encoder.codecs.nvenc.request import (
    COMPLETE,
    DEVICE,
    FORMATS,
    LIMIT,
    MAX_MESSAGE_BYTES,
    SIZE,
    UNREAD,
    EncodeRequest,
    EncodeResult,
    Parameters,
)
from encoder.codecs.nvenc.session import DeviceError, Session, SessionLimitError, capabilities, encode_all
from encoder.codecs.nvenc.worker_io import FrameSource, open_nut, open_raw
from encoder.media.info import HD
from servicekit.codec import from_json, to_json

RETRY_SECONDS = 0.5
PROBE_SIZE = (256, 144)
PROBE_SECONDS = 50


class SessionServer:
    """Serves one socket. Each request has a thread; `_freed` wakes those that wait for a session to end."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._freed = threading.Condition()

    def serve(self) -> None:
        """Take requests until the other side is gone."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._channel, MAX_MESSAGE_BYTES, 2)
            if not data:
                return
            request = from_json(EncodeRequest, data)
            name = f"session {request.number}"
            threading.Thread(target=self._handle, args=(request, *descriptors), name=name).start()

    def _handle(self, request: EncodeRequest, frames: int, bitstream: int) -> None:
        try:
            result = self._encode(request, frames, bitstream)
        except Exception:  # whatever it was, the task must be told
            result = EncodeResult(request.number, DEVICE, 0, UNKNOWN)
            raise
        finally:
            os.close(bitstream)
            os.close(frames)
            with self._freed:
                self._freed.notify_all()
            self._channel.send(to_json(result))

    def _encode(self, request: EncodeRequest, frames: int, bitstream: int) -> EncodeResult:
        number = request.number
        source = open_raw(frames, request.raw) if request.raw else open_nut(frames)
        if source is None:
            return EncodeResult(number, COMPLETE, 0)
        if text := request.size_error(source.width, source.height):
            source.close()
            return EncodeResult(number, SIZE, 0, text)
        try:
            with closing(source), self._open_session(request, source, bitstream) as session:
                return EncodeResult(number, COMPLETE, encode_all(request, source, session, bitstream))
        except BrokenPipeError:
            return EncodeResult(number, UNREAD, 0)
        except (DeviceError, ValueError) as error:
            is_limit = isinstance(error, SessionLimitError)
            if isinstance(error, DeviceError) and not is_limit:
                print(json.dumps({"event": error.words, **request.log_ids}), file=sys.stderr)
            return EncodeResult(number, LIMIT if is_limit else DEVICE, 0, str(error))

    def _open_session(self, request: EncodeRequest, source: FrameSource, bitstream: int) -> Session:
        """Open a session; at the limit of sessions wait for one, where the request says so."""
        while True:
            try:
                return Session(request, source.width, source.height)
            except SessionLimitError:
                if not request.wait:
                    raise
            if _is_unread(bitstream):
                raise BrokenPipeError
            with self._freed:
                self._freed.wait(RETRY_SECONDS)


def _is_unread(bitstream: int) -> bool:
    """Return True once nobody holds the other end of a pipe."""
    poll = select.poll()
    poll.register(bitstream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


@contextmanager
def described_cards(parameters: Parameters) -> Iterator[bytes]:
    """Yield the first message of a worker: the cards, as JSON. A process of its own probes them: the library keeps the
    session in which it was told that a card cannot make a format, and ends the process that meets a lost card. The
    driver takes a third of a second to end that process, which nobody waits for who only wants to know: it is gone when
    the block is left."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(PROBE_SECONDS)  # ends it, should the driver hang
        try:
            os.write(writing, to_json(_probe_cards(parameters)))
            os.close(writing)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    try:
        with open(reading, "rb") as pipe:
            message = pipe.read()
        yield message or to_json(CardReport(LOST))
    finally:
        os.waitpid(child, 0)


def _probe_cards(parameters: Parameters) -> CardReport:
    try:
        names = open_cards()
    except OSError as error:
        return CardReport(str(error))
    return CardReport("", tuple(probe_card(number, name, parameters) for number, name in enumerate(names)))


def probe_card(number: int, name: str, parameters: Parameters) -> Card:
    """Return the description of a card, after a session was tried on it."""
    by_format: dict[str, dict[str, Any]] = {}
    for form in FORMATS:
        try:
            by_format[form] = capabilities(number, form)
        except DeviceError as error:
            last = error
            if error.is_of_opening:  # which no other format would change
                break
    formats = {form: _size_limits(caps) for form, caps in by_format.items()}
    abilities = {form: _abilities(caps) for form, caps in by_format.items()}
    card = Card(name, formats, "", abilities=abilities)
    if not by_format:
        return replace(card, fault=_log(last))
    fault = parameters.find_unsupported(card) or _try_session(number, parameters, formats[parameters.format])
    return replace(card, fault=fault)


def _size_limits(caps: dict[str, Any]) -> SizeLimits:
    return (caps["width_min"], caps["height_min"]), (caps["width_max"], caps["height_max"])


def _abilities(caps: dict[str, Any]) -> Abilities:
    return Abilities(caps["num_max_bframes"], bool(caps["support_lookahead"]))


def _try_session(number: int, parameters: Parameters, limits: SizeLimits) -> str:
    """Return why a session does not open and encode; "" when it does."""
    width, height = PROBE_SIZE
    request = EncodeRequest(parameters, Fraction(25), HD, Fraction(1), gpu=number, limits=limits)
    try:
        with Session(request, width, height) as session:
            units = session.encode(np.full((height * 3 // 2, width), 128, np.uint8)) + session.flush()
    except DeviceError as error:
        return _log(error)
    except ValueError as error:
        return str(error)
    return "" if units else "it encodes nothing"


def _log(error: DeviceError) -> str:
    print(error.words, file=sys.stderr)
    return str(error)


def main(descriptor: int, parameters: Parameters) -> None:
    """Serve the socket."""
    os.dup2(2, 1)  # the library writes to standard output
    channel = socket.socket(fileno=descriptor)
    with described_cards(parameters) as message:
        channel.send(message)
        open_cards()
    SessionServer(channel).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), from_json(Parameters, sys.argv[2].encode()))
