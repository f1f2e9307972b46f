"""Whether keyframes are what their file says: some files flag every picture, or each that others refer to, and decoding
from such a one on gives garbage."""

import contextlib
from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream as AvVideo

from encoder.media.containers import MP4_DEMUXER, open_container
from encoder.media.info import Source
from encoder.media.packet_index import FilmIndex

# Of a packet that is there both ends are no zeros, as holes of outlines are.
EDGE_BYTES = 64


def are_true(source: Source, index: FilmIndex) -> bool:
    """Return True unless pictures that the index has for keyframes are none. The second one, one in the middle and the
    last one are decoded, as far as they are there; where none is, an index that flags all pictures is not believed."""
    flagged = np.flatnonzero(index.picture.keys)
    if len(flagged) < 2:
        return True
    tried = sorted({int(flagged[place]) for place in (1, len(flagged) // 2, -1)})
    with open_container(source, (MP4_DEMUXER,)) as container:
        found = list(_judged(container, index, tried))
    return all(found) and (bool(found) or not index.picture.keys.all())


def _judged(container: InputContainer, index: FilmIndex, places: list[int]) -> Iterator[bool]:
    """Yield of each packet that is there whether it is a keyframe."""
    stream = container.streams[index.picture.stream]
    assert isinstance(stream, AvVideo)
    for place in places:
        time = int(index.picture.times[place])
        container.seek(time, stream=stream)
        packet = next((one for one in container.demux(stream) if one.dts is None or one.dts >= time), None)
        if packet is not None and packet.dts == time and _is_there(packet):
            yield decodes_alone(stream, packet)


def _is_there(packet: "Packet[AvVideo]") -> bool:
    data = memoryview(packet)
    return any(data[:EDGE_BYTES]) and any(data[-EDGE_BYTES:])


def begins_with_one(source: Source) -> bool:
    """Return True for an MP4 of one video whose first packet is a keyframe."""
    with open_container(source, (MP4_DEMUXER,)) as container:
        stream = container.streams.video[0]
        return decodes_alone(stream, next(container.demux(stream)))


def decodes_alone(stream: AvVideo, packet: "Packet[AvVideo]") -> bool:
    """Return True for a packet of which a picture comes that refers to no other, as decoders have it."""
    if not stream.codec_context.is_open:
        # Threads would take memory for a frame each, and longer to start than one frame takes.
        stream.codec_context.thread_count = 1
    frames = []
    with contextlib.suppress(av.FFmpegError):
        if stream.codec_context.is_open:
            stream.codec_context.flush_buffers()
        frames = [*stream.decode(packet), *stream.decode(None)]
    return bool(frames) and frames[0].key_frame and frames[0].pict_type == PictureType.I
