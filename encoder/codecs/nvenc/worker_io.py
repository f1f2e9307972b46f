"""The pipes of a session in the worker: NV12 frames with their times in, packets in the container NUT out."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from encoder.codecs.nvenc.request import EncodeRequest, RawVideo
from encoder.media.info import UNKNOWN

# Pictures that are read before they are taken; a 4K one has 12 MB.
AHEAD = 3
# Marks the time 0, as a reader takes the first packet of a file for its beginning.
ZERO, ZERO_RATE = "pcm_u8", 8000
# Each packet goes out when it comes, instead of waiting for one of the other stream.
AT_ONCE = {"max_interleave_delta": "1"}
H26X = {
    "primaries": "colour_primaries",
    "transfer": "transfer_characteristics",
    "matrix": "matrix_coefficients",
    "full_range": "video_full_range_flag",
    "aspect": "sample_aspect_ratio",
}
AV1 = {
    "primaries": "color_primaries",
    "transfer": "transfer_characteristics",
    "matrix": "matrix_coefficients",
    "full_range": "color_range",
}
LABELS = {"h264": ("h264_metadata", H26X), "hevc": ("hevc_metadata", H26X), "av1": ("av1_metadata", AV1)}
"""Filters that write color tags and the shape of pixels into a bitstream, which the library leaves out; their
options."""

Picture = np.ndarray[Any, np.dtype[np.uint8]]
TimedPictures = Iterator[tuple[int, Picture]]
"""Pictures as (PTS, array of height · 3/2 rows and width columns)."""


@dataclass(frozen=True)
class FrameSource:
    """Pictures with their PTS in units of `time_base`; each is valid until AHEAD more were taken. `close` ends what
    reads them, whether any was taken or not."""

    width: int
    height: int
    time_base: Fraction
    pictures: TimedPictures
    close: Callable[[], None]


def open_raw(descriptor: int, video: RawVideo) -> FrameSource:
    """Return frames that follow each other without anything between them."""
    pictures = _read_raw(descriptor, video)
    return FrameSource(video.width, video.height, 1 / video.rate, pictures, pictures.close)


def open_nut(descriptor: int) -> FrameSource | None:
    """Return frames in the container NUT, which keeps their times; None when there is not one."""
    try:
        container = av.open(f"pipe:{descriptor}", format="nut")
    except av.FFmpegError:
        return None
    stream = container.streams.video[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    assert stream.time_base is not None

    def pictures() -> TimedPictures:
        for packet in container.demux(stream):
            if packet.size:
                assert packet.pts is not None
                yield packet.pts, np.frombuffer(memoryview(packet), np.uint8).reshape(height * 3 // 2, width)

    return FrameSource(width, height, stream.time_base, pictures(), container.close)


def read_ahead(pictures: TimedPictures) -> Generator[tuple[int, Picture]]:
    """Yield the same, read on a thread, up to AHEAD before they are taken: a fifth more frames a second."""
    reader = ThreadPoolExecutor(1, "frames")
    try:
        following = deque(reader.submit(next, pictures, None) for _ in range(AHEAD))
        while (picture := following.popleft().result()) is not None:
            following.append(reader.submit(next, pictures, None))
            yield picture
    finally:
        reader.shutdown(cancel_futures=True)


def _read_raw(descriptor: int, video: RawVideo) -> Generator[tuple[int, Picture]]:
    pictures = [np.empty((video.height * 3 // 2, video.width), np.uint8) for _ in range(AHEAD + 1)]
    number = 0
    while _fill(descriptor, pictures[number % len(pictures)].data.cast("B")):
        yield number, pictures[number % len(pictures)]
        number += 1


def _fill(descriptor: int, buffer: memoryview) -> bool:
    """Read until the buffer is full; return False when the pipe ends before."""
    while buffer:
        count = os.readv(descriptor, [buffer])
        if not count:
            return False
        buffer = buffer[count:]
    return True


class Bitstream:
    """Writes packets of one session to a pipe. Raises BrokenPipeError when nobody reads any more."""

    def __init__(self, descriptor: int, request: EncodeRequest, source: FrameSource) -> None:
        self._container = av.open(f"pipe:{descriptor}", "w", format="nut", container_options=AT_ONCE)
        self._stream = self._container.add_mux_stream(
            request.parameters.format, width=source.width, height=source.height
        )
        self._stream.time_base = self._time_base = source.time_base
        zero = self._container.add_stream(ZERO, rate=ZERO_RATE, layout="mono")
        self._filter = BitStreamFilterContext(_label_filter(request), self._stream)
        self._write(av.Packet(b"\x80"), zero, Fraction(1, ZERO_RATE), 0, 0)

    def add(self, data: bytes, pts: int, dts: int, *, key: bool) -> None:
        """Write an access unit with its times, in units of the time base."""
        packet = av.Packet(data)
        packet.pts, packet.dts, packet.time_base, packet.is_keyframe = pts, dts, self._time_base, key
        for labeled in self._filter.filter(packet):
            self._write(labeled, self._stream, self._time_base, pts, dts)

    def close(self) -> None:
        """Write what is left."""
        self._container.close()

    def _write(
        self, packet: "av.Packet[Any]", stream: av.stream.Stream, time_base: Fraction, pts: int, dts: int
    ) -> None:
        packet.stream, packet.time_base, packet.pts, packet.dts = stream, time_base, pts, dts
        self._container.mux_one(packet)


def _label_filter(request: EncodeRequest) -> str:
    """Return the filter that labels the bitstream of a request; what is not known stays unsaid."""
    name, options = LABELS[request.parameters.format]
    tags, aspect = request.color_tags, request.pixel_aspect
    labels = {"aspect": f"{aspect.numerator}/{aspect.denominator}"}
    if tags != UNKNOWN:
        labels |= {field: str(int(value)) for field, value in asdict(tags).items()}
    words = ":".join(f"{options[label]}={value}" for label, value in labels.items() if label in options)
    return f"{name}={words}" if words else name
