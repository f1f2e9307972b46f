"""The index of an MP4: where the packets of its streams lie, and when they are decoded, told without reading one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import av
import numpy as np
from av.container import InputContainer
from av.stream import Stream as AvStream
from numpy.typing import NDArray

from encoder.media import mp4_boxes
from encoder.media.containers import MP4_DEMUXER, PACKETS_AS_STORED, open_container
from encoder.media.info import MediaInfo, Range, Source, Stream
from encoder.media.mp4_boxes import MAX_BOXES, Box

# Boxes of media, and of nothing.
MEDIA = (b"mdat", b"free", b"skip", b"wide")
# Of a box whose body is not read.
BOX_HEAD_BYTES = 16
# What lies between two ranges is read with them where it is no more.
GAP_BYTES = 64 * 1024
# Of one piece; where a file is so badly woven, more is read than needed.
MAX_RANGES = 64
# Packets that are looked at behind a keyframe: as many as streams reorder.
REORDERED_PACKETS = 32


@dataclass(frozen=True)
class StreamIndex:
    """The packets of a stream in the order of the file's index: when they are decoded by the clock of the stream, where
    each begins, its bytes, and whether it is a keyframe; and the bits of a second of it, as FFmpeg has them."""

    stream: int
    time_base: Fraction
    times: NDArray[np.int64]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    keys: NDArray[np.bool_]
    bit_rate: int = 0


@dataclass(frozen=True)
class FilmIndex:
    """The index of a file: that of the picture, those of the sound; where the file begins, in seconds by its own clock;
    what of it must be there to read it; and its bytes."""

    picture: StreamIndex
    sound: tuple[StreamIndex, ...]
    start: Fraction
    head: tuple[Range, ...]
    size_bytes: int


def read_index(source: Source, info: MediaInfo) -> FilmIndex | None:
    """Return the index of a video; None where it does not name every packet, an edit list cuts into the picture, or
    the boxes of the file are not all whole."""
    if info.demuxer != MP4_DEMUXER or info.video is None:
        return None
    with open_container(source, (MP4_DEMUXER,), more=PACKETS_AS_STORED) as container:
        streams: tuple[Stream, ...] = (info.video, *info.audio)
        found = [_stream_index(container, stream) for stream in streams]
        known = [one for one in found if one is not None]
        if len(known) < len(found) or len(container.chapters()) > 0:
            return None
        start = Fraction(round(info.start_seconds * av.time_base), av.time_base)
    head = _head(source)
    if not head:
        return None
    picture, *sound = known
    return FilmIndex(picture, tuple(sound), start, head, source.path.stat().st_size)


def _stream_index(container: InputContainer, stream: Stream) -> StreamIndex | None:
    own = container.streams[stream.index]
    entries = own.index_entries
    count = len(entries)
    if not count or count != own.frames or own.time_base is None:
        return None
    table = np.fromiter(
        ((one.timestamp, one.pos, one.size, one.is_keyframe, one.is_discard) for one in entries),
        np.dtype([("time", "i8"), ("pos", "i8"), ("size", "i8"), ("key", "?"), ("out", "?")]),
        count,
    )
    is_picture = own.type == "video"
    if is_picture and (table["out"].any() or not table["key"][0]):
        return None
    # Each by itself, as numbers that lie apart are copied at every search in them.
    times, offsets, sizes, keys = (table[name].copy() for name in ("time", "pos", "size", "key"))
    return StreamIndex(stream.index, own.time_base, times, offsets, sizes, keys, own.codec_context.bit_rate or 0)


def _head(source: Source) -> tuple[Range, ...]:
    """Return what of a file is not media; nothing where its boxes do not end with it, as where bytes stand behind them,
    or are too many."""
    with mp4_boxes.mapped(source.path) as data:
        try:
            boxes = list(islice(mp4_boxes.iter_boxes(data, 0, len(data)), MAX_BOXES))
        except ValueError:
            return ()
        return tuple(_without_media(boxes)) if boxes[-1].end == len(data) else ()


def _without_media(boxes: Sequence[Box]) -> Iterator[Range]:
    """Yield all boxes but those of media, of which only the head."""
    end = 0
    for box in boxes:
        yield end, min(end + BOX_HEAD_BYTES, box.end) if box.kind in MEDIA else box.end
        end = box.end


def closed_keyframes(source: Source, index: FilmIndex, places: Sequence[int]) -> dict[int, int]:
    """Return when keyframes are shown, by their place in the index: those behind which nothing is shown that is shown
    before them."""
    found: dict[int, int] = {}
    with open_container(source, (MP4_DEMUXER,)) as container:
        stream = container.streams[index.picture.stream]
        for place in places:
            shown = _shown_from(container, stream, int(index.picture.times[place]))
            if shown and min(shown) == shown[0]:
                found[place] = shown[0]
    return found


def _shown_from(container: InputContainer, stream: AvStream, time: int) -> list[int]:
    """Return when the packets are shown that are decoded from a time on, the first few of them."""
    container.seek(time, stream=stream)
    shown: list[int] = []
    for packet in container.demux(stream):
        if packet.dts is None or packet.pts is None or len(shown) == REORDERED_PACKETS:
            break
        if packet.dts >= time:
            shown.append(packet.pts)
    return shown


def ranges_of(index: FilmIndex, runs: Sequence[tuple[StreamIndex, range]]) -> list[Range]:
    """Return what of a file is read for some packets of its streams, and for its index."""
    starts = np.concatenate(
        [np.array([start for start, _ in index.head], np.int64)]
        + [stream.offsets[run.start : run.stop] for stream, run in runs]
    )
    ends = np.concatenate(
        [np.array([end for _, end in index.head], np.int64)]
        + [stream.offsets[run.start : run.stop] + stream.sizes[run.start : run.stop] for stream, run in runs]
    )
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    gaps = starts[1:] - ends[:-1]
    wide = np.flatnonzero(gaps > GAP_BYTES)
    cuts = np.sort(wide[np.argsort(gaps[wide], kind="stable")[::-1][: MAX_RANGES - 1]])
    firsts, lasts = np.concatenate([[0], cuts + 1]), np.concatenate([cuts, [len(starts) - 1]])
    return [(int(starts[first]), int(ends[last])) for first, last in zip(firsts, lasts, strict=True)]
