"""A session on the card: frames in, bitstream out. The only file that imports PyNvVideoCodec."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from fractions import Fraction
from typing import Any, Self

import PyNvVideoCodec

from encoder.codecs.nvenc.driver import AT_LIMIT, destroy_leftover_context, explain
from encoder.codecs.nvenc.request import EncodeRequest
from encoder.codecs.nvenc.set_numbers import renumbered
from encoder.codecs.nvenc.worker_io import Bitstream, FrameSource, Picture, read_ahead

IDR, INTRA = 3, 2
# The library's first conversion of an array imports NumPy under a lock that knows nothing of Python's: two threads that
# come to it at once wait for each other for ever.
_first_picture = threading.Lock()


class DeviceError(Exception):
    """The card, its driver or the library failed. The text is for people; `words` are the library's, for the log."""

    def __init__(self, words: str) -> None:
        super().__init__(explain(words))
        self.words = words

    @property
    def is_of_opening(self) -> bool:
        """True where no session opened: it was not asked for a format yet."""
        return "nvEncOpenEncodeSessionEx" in self.words


class SessionLimitError(DeviceError):
    """The card has no session more to give."""


class Session:
    """An open session, for one thread. A context manager: it closes the session."""

    def __init__(self, request: EncodeRequest, width: int, height: int) -> None:
        words = request.settings.words(width, height, request.rate, request.gpu, request.max_level, request.max_tier)
        try:
            with _device_errors():
                self._encoder = PyNvVideoCodec.CreateEncoder(width, height, "NV12", True, **words)
        except SessionLimitError:
            destroy_leftover_context(request.gpu)
            raise
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        del self._encoder  # the library has no other way to close

    def encode(self, picture: Picture) -> list[dict[str, Any]]:
        """Take a picture; return the access units that are ready, in order of decoding. Raises DeviceError."""
        with _device_errors(), nullcontext() if self._started else _first_picture:
            self._started = True
            return list(self._encoder.Encode(picture))

    def flush(self) -> list[dict[str, Any]]:
        """Return the access units that were held back. Raises DeviceError."""
        with _device_errors():
            return list(self._encoder.EndEncode())


def encode_all(request: EncodeRequest, source: FrameSource, session: Session, descriptor: int) -> int:
    """Encode all frames; return how many there were. Raises DeviceError, BrokenPipeError when nobody reads any more."""
    times = PacketTimes(min(request.settings.b_frames, 2), source.time_base, request.rate)
    bitstream = Bitstream(descriptor, request, source)
    with closing(bitstream), closing(read_ahead(source.pictures)) as pictures:
        for pts, picture in pictures:
            # The library reads as much as it expects, whatever is there.
            if picture.shape != (source.height * 3 // 2, source.width):
                raise DeviceError(f"a frame has the shape {picture.shape}")
            times.shown.append(pts)
            _write(bitstream, times, session.encode(picture), request)
        _write(bitstream, times, session.flush(), request)
    return len(times.shown)


class PacketTimes:
    """The times of packets. The library counts pictures as they are shown; a decoder must have packet n by the time at
    which picture n − `delay` is shown, where `delay` pictures can be decoded before one that is shown earlier."""

    def __init__(self, delay: int, time_base: Fraction, rate: Fraction) -> None:
        self.shown: list[int] = []
        self._delay = delay
        self._step = max(round(1 / (rate * time_base)), 1) if rate > 0 else 1
        self._sent = 0

    def next_dts(self) -> int:
        """Return the time at which the next packet must be decoded."""
        number = self._sent - self._delay
        self._sent += 1
        return self.shown[number] if number >= 0 else self.shown[0] + number * self._step


def _write(bitstream: Bitstream, times: PacketTimes, units: list[dict[str, Any]], request: EncodeRequest) -> None:
    number, form = request.sets_number, request.parameters.format
    for unit in units:
        pts = times.shown[unit["timestamp"]]
        data = renumbered(bytes(unit["data"]), number, form) if number else unit["data"]
        bitstream.add(data, pts, min(times.next_dts(), pts), key=unit["picture_type"] in (IDR, INTRA))


@contextmanager
def _device_errors() -> Iterator[None]:
    """Translate the errors of the library."""
    try:
        yield
    except Exception as error:  # the library has no base class of its own that can be relied on
        words = " ".join(str(error).split())
        raise (SessionLimitError if AT_LIMIT.search(words) else DeviceError)(words) from error


def capabilities(gpu: int, form: str) -> dict[str, Any]:
    """Return what a card can do in a format, by the library's names (NV_ENC_CAPS in nvEncodeAPI.h, lower case). Raises
    DeviceError where it cannot make it."""
    with _device_errors():
        return dict(PyNvVideoCodec.GetEncoderCaps(gpuid=gpu, codec=form))
