"""What of a large MP4 one picture of it needs, told by its index."""

import contextlib
from collections.abc import Iterable
from itertools import islice

import numpy as np

from encoder.media import mp4_boxes, packet_index, wholeness
from encoder.media.containers import MP4_DEMUXER, PACKETS_AS_STORED, open_container
from encoder.media.info import MediaInfo, Range, Source, VideoStream
from encoder.media.outlines import outline_too_small
from encoder.media.packet_index import StreamIndex
from encoder.media.packets import REORDERED_SECONDS
from encoder.media.sizes import SizeReader
from encoder.media.timeline import LONG_SECONDS
from servicekit.chunks import HEAD_BYTES

# The most of a file that is asked for to find its index.
MAX_INDEX_BYTES = 32 * 1024 * 1024
# FFmpeg seeks 3/23 s before a picture, by the times of decoding, as pictures may be decoded in another order.
SEEK_SECONDS = 0.2
# Of HEVC it takes a keyframe that is shown before that, too: one that is decoded so long before a picture is.
OPEN_KEY_SECONDS = 1.0
# Before the index of a plain file.
MAX_BOXES = 100
# The box of a hole.
NOTHING = bytes(4)


def index_range(source: Source) -> list[Range]:
    """Return the range of an MP4 in which its index is, as far as that has not come with its beginning; none where it
    has. Raises FailedPrecondition for one that is too large, and for a file that has none that can be found: of other
    kinds the beginning does not tell what is wrong with them."""
    with mp4_boxes.mapped(source.path) as data, contextlib.suppress(ValueError):
        if data[4:8] not in wholeness.KINDS:
            raise outline_too_small(source)
        for box in islice(mp4_boxes.iter_boxes(data, 0, len(data)), MAX_BOXES):
            if box.kind == b"moov":
                return _small_enough(source, HEAD_BYTES, box.end) if box.end > HEAD_BYTES else []
            if box.kind == NOTHING:
                return _small_enough(source, box.start - mp4_boxes.SIZE_AND_KIND.size, box.end)
    raise outline_too_small(source)


def _small_enough(source: Source, start: int, end: int) -> list[Range]:
    if end - start > MAX_INDEX_BYTES:
        raise outline_too_small(source)
    return [(start, end)]


def find(source: Source, info: MediaInfo, shown: float) -> list[Range]:
    """Return the ranges of a file by which the picture is decoded that begins at a time, in seconds from the file's
    start, with what tells what the file holds; none where its index does not tell.

    They begin with the keyframe that FFmpeg decodes from: where keyframes are far apart, that is much of the film, and
    yet all of it is needed."""
    index = packet_index.read_index(source, info) if not info.other_videos else None
    if index is None or info.video is None:
        return []
    picture = index.picture
    times = picture.times * float(picture.time_base) - float(index.start)
    if len(times) < 2 or float(np.diff(times).max()) > LONG_SECONDS:
        return []
    keys = np.flatnonzero(picture.keys)
    before = keys[times[keys] <= shown - (OPEN_KEY_SECONDS if info.video.codec == "hevc" else SEEK_SECONDS)]
    first = int(before[-1]) if len(before) else 0
    last = int(np.searchsorted(times, shown + REORDERED_SECONDS, side="right"))
    runs: list[tuple[StreamIndex, range]] = [(picture, range(first, max(last, first + 1)))]
    head = (0, min(HEAD_BYTES, index.size_bytes))
    return _merged([head, *packet_index.ranges_of(index, runs)])


def _merged(ranges: Iterable[Range]) -> list[Range]:
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def check_size(source: Source, info: MediaInfo, video: VideoStream, shown: float) -> None:
    """Raise FailedPrecondition where the pictures around a time, which have come, are of another size than those that
    came before, of which alone the film was told."""
    with open_container(source, (MP4_DEMUXER,), more=PACKETS_AS_STORED) as container:
        stream = next(one for one in container.streams.video if one.index == video.index)
        base = stream.time_base
        assert base is not None
        reader = SizeReader(stream)
        container.seek(int((shown - SEEK_SECONDS + info.start_seconds) / base), stream=stream)
        for packet in container.demux(stream):
            if packet.dts is None or float(packet.dts * base) - info.start_seconds > shown:
                break
            reader.read(packet)
        if not set(reader.found) <= {*video.sizes, (stream.codec_context.width, stream.codec_context.height)}:
            raise outline_too_small(source)
