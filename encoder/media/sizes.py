"""Sizes that change in mid-file: recordings of calls (WebRTC) follow the line and the window, joined files their parts.

What sets the size stands at the beginning of pictures that need no other: in VP8, VP9 and MPEG-2 as numbers, in H.264,
HEVC and AV1 in a set of parameters. Those are told apart by their bytes, and one picture is decoded for each.

Sources: RFC 6386, 9.1 (VP8); ISO/IEC 13818-2, 6.2.2.1 (MPEG-2); ITU-T H.264, 7.3.1 and B.1; ITU-T H.265, 7.3.1; AV1
Bitstream Specification, 5.3 (OBUs); ISO/IEC 14496-15, 5.3.3 (lengths in MP4).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream as AvVideo

from encoder.media.containers import MP4_DEMUXER, open_container
from encoder.media.info import Source, VideoStream
from encoder.media.vp9 import Vp9Sizes

Sizes = tuple[int, int]

# Enough for what stands before the picture itself.
HEAD_BYTES = 8192
# So many zeros are a hole.
HOLE_BYTES = 16
# Sets of parameters, of which a picture each is decoded; a file with more is one that somebody made to be long.
MAX_SETS = 64
START_CODE, SEQUENCE_START = b"\x00\x00\x01", b"\x00\x00\x01\xb3"
VP8_START = b"\x9d\x01\x2a"
AV1_SEQUENCE = 1
# By the codec: in which bits of the first byte of a unit its kind stands, and the kind of a set of parameters.
PARAMETER_SETS = {"h264": (0, 0x1F, 7), "hevc": (1, 0x3F, 33)}


@dataclass
class SizeReader:
    """Reads the sizes of one stream from its packets, in the order of the file."""

    stream: AvVideo
    found: dict[Sizes, None] = field(default_factory=dict)
    _sets: set[bytes] = field(default_factory=set)
    _vp9: Vp9Sizes = field(default_factory=Vp9Sizes)

    def read(self, packet: "Packet[AvVideo]") -> None:
        """Note the size of the pictures of a packet, where it tells."""
        codec = self.stream.codec.canonical_name
        if codec == "vp9":
            for size in self._vp9.read(bytes(packet)):
                self._note(size)
            return
        head = bytes(memoryview(packet)[:HEAD_BYTES]) if packet.is_keyframe else b""
        if head and codec in NUMBERS:
            self._note(NUMBERS[codec](head))
        elif head and (parameters := _parameters(self.stream, head)) and parameters not in self._sets:
            self._sets.add(parameters)
            if len(self._sets) <= MAX_SETS:
                self._note(_decoded_size(self.stream, packet))

    def _note(self, size: Sizes | None) -> None:
        if size is not None and min(size) > 0:
            self.found.setdefault(size)


def read_sizes(source: Source, demuxer: str, video: VideoStream) -> tuple[Sizes, ...]:
    """Return the sizes that the pictures of a video have, in the order in which they come; none where it is not told by
    their heads."""
    if not _are_told(video):
        return ()
    with open_container(source, (demuxer,)) as container:
        return _sizes_in(container, demuxer, video)


def read_sizes_again(container: InputContainer, demuxer: str, video: VideoStream) -> tuple[Sizes, ...] | None:
    """Return what `read_sizes` does, of a file that is open, and of which no more is read after that; None where there
    is no way back to its beginning that is sure."""
    stream = next(one for one in container.streams.video if one.index == video.index)
    if not _are_told(video):
        return ()
    if demuxer != MP4_DEMUXER or not stream.frames:  # of fragments the index is where they are
        return None
    try:
        container.seek(0)
    except av.FFmpegError:
        return None
    return _sizes_in(container, demuxer, video)


def _are_told(video: VideoStream) -> bool:
    return video.codec in (*NUMBERS, *PARAMETER_SETS, "vp9", "av1")


def _sizes_in(container: InputContainer, demuxer: str, video: VideoStream) -> tuple[Sizes, ...]:
    stream = next(one for one in container.streams.video if one.index == video.index)
    reader = SizeReader(stream)
    for other in container.streams:
        other.discard = Discard.default if other is stream else Discard.all
    if demuxer == MP4_DEMUXER and video.codec != "vp9":
        stream.discard = Discard.nonkey
    with suppress(av.FFmpegError):  # which whoever decodes it will meet, and tell
        for packet in container.demux(stream):
            if demuxer == MP4_DEMUXER and _is_in_hole(packet):
                break
            if packet.size:
                reader.read(packet)
    return tuple(reader.found)


def _is_in_hole(packet: "Packet[AvVideo]") -> bool:
    """Return True for a packet of MP4 that is in a hole of an outline: no unit and no picture begins so. Of a long film
    there are thousands."""
    return bool(packet.size) and not any(memoryview(packet)[:HOLE_BYTES])


def _decoded_size(stream: AvVideo, packet: "Packet[AvVideo]") -> Sizes | None:
    """Return the size of a picture that needs no other, by decoding it."""
    decoder = CodecContext.create(stream.codec.name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    decoder.extradata = stream.codec_context.extradata
    with suppress(av.FFmpegError):
        for frame in (*decoder.decode(packet), *decoder.decode(None)):
            return frame.width, frame.height
    return None


def _parameters(stream: AvVideo, head: bytes) -> bytes:
    """Return the sets of parameters that a packet begins with; none where it has none."""
    codec = stream.codec.canonical_name
    if codec == "av1":
        return b"".join(body for kind, body in _av1_units(head) if kind == AV1_SEQUENCE)
    place, mask, wanted = PARAMETER_SETS[codec]
    extra = stream.codec_context.extradata or b""
    units = _lengthy_units(head, extra, codec) if extra[:1] == b"\x01" else _started_units(head)
    return b"".join(unit for unit in units if unit and unit[0] >> place & mask == wanted)


def _started_units(head: bytes) -> Iterator[bytes]:
    """Yield units that start codes stand before."""
    return iter(head.split(START_CODE)[1:])


def _lengthy_units(head: bytes, extra: bytes, codec: str) -> Iterator[bytes]:
    """Yield units that their length stands before."""
    place = 4 if codec == "h264" else 21
    size = (extra[place] & 3) + 1 if len(extra) > place else 4
    start = 0
    while start + size < len(head):
        length = int.from_bytes(head[start : start + size], "big")
        yield head[start + size : start + size + length]
        start += size + length


def _av1_units(head: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and body of units of AV1 that tell their length."""
    start = 0
    while start + 2 < len(head) and head[start] & 2:
        kind, place = head[start] >> 3 & 0x0F, start + (2 if head[start] & 4 else 1)
        length = shift = 0
        while place < len(head) and shift < 35:
            length |= (head[place] & 0x7F) << shift
            shift, place = shift + 7, place + 1
            if not head[place - 1] & 0x80:
                break
        yield kind, head[place : place + length]
        start = place + length


def _vp8_size(head: bytes) -> Sizes | None:
    if head[3:6] != VP8_START:
        return None
    return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF


def _mpeg2_size(head: bytes) -> Sizes | None:
    place = head.find(SEQUENCE_START)
    if place < 0 or len(head) < place + 7:
        return None
    both = int.from_bytes(head[place + 4 : place + 7], "big")
    return both >> 12, both & 0xFFF


NUMBERS: Mapping[str, Callable[[bytes], Sizes | None]] = {"vp8": _vp8_size, "mpeg2video": _mpeg2_size}
"""By the codec: what reads a size that stands in the head of a picture."""
