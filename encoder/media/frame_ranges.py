"""What of a large MP4 one picture of it needs, told by its index."""

from collections.abc import Iterable

import numpy as np

from encoder.media import packet_index
from encoder.media.info import MediaInfo, Source
from encoder.media.packet_index import Range, StreamIndex
from encoder.media.packets import REORDERED_SECONDS
from encoder.media.timeline import LONG_SECONDS

# By its beginning it is told what a file holds.
HEAD_BYTES = 1024 * 1024
# A keyframe that is decoded so long before a picture is shown before it, in a film whose pictures stand for moments.
KEY_SECONDS = 1.0


def find(source: Source, info: MediaInfo, at: float) -> list[Range]:
    """Return the ranges of a file by which the picture is decoded that is shown at a time, in seconds from the file's
    start, with what tells what the file holds; none where its index does not tell."""
    index = packet_index.read_index(source, info) if not info.other_videos else None
    if index is None:
        return []
    picture = index.picture
    times = picture.times * float(picture.time_base) - float(index.start)
    if len(times) < 2 or float(np.diff(times).max()) > LONG_SECONDS:
        return []
    keys = np.flatnonzero(picture.keys)
    before = keys[times[keys] <= at - KEY_SECONDS]
    first = int(before[-1]) if len(before) else 0
    last = int(np.searchsorted(times, at + REORDERED_SECONDS, side="right"))
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
