"""The worker: `python -m encoder.codecs.nvenc.worker FD` speaks to the driver for one encoder, over the socket FD.

Its first message tells of the cards. Then each message to it is an order (order.py) with two file descriptors, frames
in and bitstream out, and is answered when the session has ended. The worker ends when the socket does.
"""

import json
import os
import select
import socket
import sys
import threading
from contextlib import closing

from encoder.codecs.nvenc.cards import asked
from encoder.codecs.nvenc.driver import Cards
from encoder.codecs.nvenc.frames import Frames, contained, raw
from encoder.codecs.nvenc.parameters import Parameters
from encoder.codecs.nvenc.request import (
    DEVICE,
    LEFT,
    LIMIT,
    MAX_MESSAGE_BYTES,
    UNFIT,
    WHOLE,
    EncodeRequest,
    EncodeResult,
)
from encoder.codecs.nvenc.sdk_log import UNKNOWN
from encoder.codecs.nvenc.session import DeviceError, LimitError, Session, run

RETRY_SECONDS = 0.5


class Worker:
    """Serves one socket. Each order has a thread; `_freed` tells those that wait that a session has ended."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._freed = threading.Condition()

    def serve(self) -> None:
        """Take orders until the other side is gone."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._channel, MAX_MESSAGE_BYTES, 2)
            if not data:
                return
            order = EncodeRequest.unpacked(data)
            threading.Thread(target=self._work, args=(order, *descriptors), name=f"session {order.number}").start()

    def _work(self, order: EncodeRequest, frames: int, bitstream: int) -> None:
        try:
            ended = self._encoded(order, frames, bitstream)
        except Exception:  # whatever it was, the task must be told
            ended = EncodeResult(order.number, DEVICE, 0, UNKNOWN)
            raise
        finally:
            os.close(bitstream)
            os.close(frames)
            with self._freed:
                self._freed.notify_all()
            self._channel.send(ended.packed())

    def _encoded(self, order: EncodeRequest, frames: int, bitstream: int) -> EncodeResult:
        given = raw(frames, order.raw) if order.raw else contained(frames)
        if given is None:
            return EncodeResult(order.number, WHOLE, 0)
        if unfit := order.unfit(given.width, given.height):
            given.close()
            return EncodeResult(order.number, UNFIT, 0, unfit)
        try:
            with closing(given), self._opened(order, given, bitstream) as session:
                return EncodeResult(order.number, WHOLE, run(order, given, session, bitstream))
        except BrokenPipeError:
            return EncodeResult(order.number, LEFT, 0)
        except LimitError as error:
            return EncodeResult(order.number, LIMIT, 0, str(error))
        except DeviceError as error:
            print(error.words, file=sys.stderr)
            return EncodeResult(order.number, DEVICE, 0, str(error))
        except ValueError as error:
            return EncodeResult(order.number, DEVICE, 0, str(error))

    def _opened(self, order: EncodeRequest, given: Frames, bitstream: int) -> Session:
        """A session; where the order says so, when there is one."""
        while True:
            try:
                return Session(order, given.width, given.height)
            except LimitError:
                if not order.wait:
                    raise
            if _unread(bitstream):
                raise BrokenPipeError
            with self._freed:
                self._freed.wait(RETRY_SECONDS)


def _unread(bitstream: int) -> bool:
    """Whether nobody holds the other end of a pipe any more."""
    poll = select.poll()
    poll.register(bitstream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def main(descriptor: int, parameters: Parameters) -> None:
    """Serve the socket."""
    os.dup2(2, 1)  # the library writes to standard output
    channel = socket.socket(fileno=descriptor)
    channel.send(asked(parameters))
    Cards()  # what it opens stays open
    Worker(channel).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), Parameters(**json.loads(sys.argv[2])))
