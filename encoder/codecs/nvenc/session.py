"""A session on the card: frames in, bitstream out. The only file that imports PyNvVideoCodec."""

import threading
from contextlib import closing
from fractions import Fraction
from typing import Any, Self

import PyNvVideoCodec

from encoder.codecs.nvenc.bitstream import Bitstream
from encoder.codecs.nvenc.driver import drop_left_context
from encoder.codecs.nvenc.frames import Frames, Picture, ahead
from encoder.codecs.nvenc.request import EncodeRequest
from encoder.codecs.nvenc.sdk_log import AT_LIMIT, meaning

IDR, INTRA = 3, 2
# The library's first conversion of an array imports NumPy under a lock that knows nothing of Python's: two threads that
# come to it at once wait for each other for ever.
_first_picture = threading.Lock()


class DeviceError(Exception):
    """The card, its driver or the library failed. The text is for people; `words` are the library's, for the log."""

    def __init__(self, words: str) -> None:
        super().__init__(meaning(words))
        self.words = words


class LimitError(DeviceError):
    """The card has no session more to give."""


class Session:
    """An open session, for one thread. A context manager: it closes the session."""

    def __init__(self, order: EncodeRequest, width: int, height: int) -> None:
        words = order.parameters.words(order.rate, order.gpu)
        try:
            self._encoder = PyNvVideoCodec.CreateEncoder(width, height, "NV12", True, **words)
        except Exception as error:  # the library has no base class of its own that can be relied on
            told = _told(error)
            if isinstance(told, LimitError):
                drop_left_context(order.gpu)
            raise told from error
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        del self._encoder  # the library has no other way to close

    def encode(self, picture: Picture) -> list[dict[str, Any]]:
        """Take a picture; the access units that are ready, in order of decoding. Raises DeviceError."""
        try:
            if self._started:
                return list(self._encoder.Encode(picture))
            with _first_picture:
                self._started = True
                return list(self._encoder.Encode(picture))
        except Exception as error:
            raise _told(error) from error

    def end(self) -> list[dict[str, Any]]:
        """The access units that were held back. Raises DeviceError."""
        try:
            return list(self._encoder.EndEncode())
        except Exception as error:
            raise _told(error) from error


def run(order: EncodeRequest, frames: Frames, session: Session, descriptor: int) -> int:
    """Encode all frames; how many there were. Raises DeviceError, BrokenPipeError when nobody reads any more."""
    clock = Clock(min(order.parameters.b_frames, 2), frames.time_base, order.rate)
    bitstream = Bitstream(descriptor, order, frames.width, frames.height, frames.time_base)
    with closing(bitstream), closing(ahead(frames.pictures)) as pictures:
        for pts, picture in pictures:
            _checked_size(picture, frames)
            clock.shown.append(pts)
            _put(bitstream, clock, session.encode(picture))
        _put(bitstream, clock, session.end())
    return len(clock.shown)


class Clock:
    """The times of packets. The library counts pictures as they are shown; a decoder must have packet n by the time at
    which picture n − `delay` is shown, where `delay` pictures can be decoded before one that is shown earlier."""

    def __init__(self, delay: int, time_base: Fraction, rate: Fraction) -> None:
        self.shown: list[int] = []
        self._delay = delay
        self._step = max(round(1 / (rate * time_base)), 1) if rate > 0 else 1
        self._sent = 0

    def next_dts(self) -> int:
        """When the next packet must be decoded."""
        number = self._sent - self._delay
        self._sent += 1
        return self.shown[number] if number >= 0 else self.shown[0] + number * self._step


def _put(bitstream: Bitstream, clock: Clock, units: list[dict[str, Any]]) -> None:
    for unit in units:
        pts = clock.shown[unit["timestamp"]]
        bitstream.add(unit["data"], pts, min(clock.next_dts(), pts), key=unit["picture_type"] in (IDR, INTRA))


def _checked_size(picture: Picture, frames: Frames) -> None:
    """The library reads as much as it expects, whatever is there."""
    if picture.shape != (frames.height * 3 // 2, frames.width):
        raise DeviceError(f"a frame has the shape {picture.shape}")


def _told(error: Exception) -> DeviceError:
    words = " ".join(str(error).split())
    return (LimitError if AT_LIMIT.search(words) else DeviceError)(words)


def capabilities(gpu: int, form: str) -> dict[str, Any]:
    """What a card can do in a format, by the library's names (NV_ENC_CAPS in nvEncodeAPI.h, lower case). Raises
    DeviceError where it cannot make it."""
    try:
        return dict(PyNvVideoCodec.GetEncoderCaps(gpuid=gpu, codec=form))
    except Exception as error:
        raise _told(error) from error
