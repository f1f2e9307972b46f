"""What may be said of how a result plays: it becomes text of playlists, and byte ranges of a file."""

import re

from apigpu.encoder.v1.encoder_pb2 import Playback

# The segments of half a day.
MAX_BYTES = 64 * 1024
# Those of the tracks of a file. Source: RFC 6381, 3.3.
CODECS = re.compile(r"(?:[A-Za-z0-9.]{1,32}(?:,[A-Za-z0-9.]{1,32}){0,3})?")


def playback_fault(told: Playback, size_bytes: int) -> str:
    """Return what is wrong with what is told of a result of that size; "" where nothing is."""
    if told.ByteSize() > MAX_BYTES:
        return "it has more segments than one can have"
    if not CODECS.fullmatch(told.codec):
        return "its codec has a name that no codec has"
    if not told.segment_bytes or len(told.segment_bytes) != len(told.segment_milliseconds):
        return "its segments have not each a size and a length"
    if not (told.header_bytes and all(told.segment_bytes) and all(told.segment_milliseconds)):
        return "its header or a segment is empty"
    if told.header_bytes + sum(told.segment_bytes) > size_bytes:
        return "its segments are larger than it is"
    return ""
