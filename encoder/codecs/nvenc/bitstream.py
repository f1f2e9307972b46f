"""The bitstream on its way out of the worker: packets in the container NUT, which keeps their times."""

from dataclasses import asdict
from fractions import Fraction
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from encoder.codecs.nvenc.request import EncodeRequest
from encoder.media.color import UNKNOWN

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
"""Filters that write colours and the shape of pixels into a bitstream, which the library leaves out; their options."""


class Bitstream:
    """Writes packets of one session to a pipe. Raises BrokenPipeError when nobody reads any more."""

    def __init__(self, descriptor: int, order: EncodeRequest, width: int, height: int, time_base: Fraction) -> None:
        form = order.parameters.format
        self._container = av.open(f"pipe:{descriptor}", "w", format="nut", container_options=AT_ONCE)
        self._stream = self._container.add_mux_stream(form, width=width, height=height)
        self._stream.time_base = self._time_base = time_base
        zero = self._container.add_stream(ZERO, rate=ZERO_RATE, layout="mono")
        self._filter = BitStreamFilterContext(_label(order), self._stream)
        self._write(av.Packet(b"\x80"), zero, Fraction(1, ZERO_RATE), 0, 0)

    def add(self, data: bytes, pts: int, dts: int, *, key: bool) -> None:
        """Write an access unit with its times, in units of the time base."""
        packet = av.Packet(data)
        packet.pts, packet.dts, packet.time_base, packet.is_keyframe = pts, dts, self._time_base, key
        for labelled in self._filter.filter(packet):
            self._write(labelled, self._stream, self._time_base, pts, dts)

    def close(self) -> None:
        """Write what is left."""
        self._container.close()

    def _write(
        self, packet: "av.Packet[Any]", stream: av.stream.Stream, time_base: Fraction, pts: int, dts: int
    ) -> None:
        packet.stream, packet.time_base, packet.pts, packet.dts = stream, time_base, pts, dts
        self._container.mux_one(packet)


def _label(order: EncodeRequest) -> str:
    """The filter for an order; what is not known stays unsaid."""
    name, options = LABELS[order.parameters.format]
    colours, aspect = order.colours, order.pixel_aspect
    facts = {"aspect": f"{aspect.numerator}/{aspect.denominator}"}
    if colours != UNKNOWN:
        facts |= {field: str(int(value)) for field, value in asdict(colours).items()}
    told = ":".join(f"{options[fact]}={value}" for fact, value in facts.items() if fact in options)
    return f"{name}={told}" if told else name
