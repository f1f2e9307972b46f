"""Films that are composed of ranges of others, carried out as a gateway does; and the tables of MP4 that they have."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import av

from apigpu.encoder.v1 import encoder_pb2
from encoder.media.mp4_boxes import Box, iter_boxes
from tests.support.encoder_harness import Client

PLACES = (b"stsc", b"stco", b"co64")
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")


def index_alone(data: bytes, summary: encoder_pb2.Summary) -> bytes:
    """A result of which all but its index is a hole."""
    assert 0 < summary.index_bytes < len(data)
    return bytes(len(data) - summary.index_bytes) + data[-summary.index_bytes :]


async def compose(
    client: Client, part: bytes, inputs: Mapping[str, bytes], summaries: Mapping[str, encoder_pb2.Summary], path: Path
) -> encoder_pb2.Summary:
    """Have a film composed of inputs of which nothing but the index is sent, into a file."""
    task = encoder_pb2.Task(id="compose", part=part, composes=True)
    given = {field: index_alone(data, summaries[field]) for field, data in inputs.items()}
    done = await client.encode(task, given)
    assert done.summary is not None
    assert done.summary.composed
    sources = list(inputs.values())
    film = bytes(done.data) + b"".join(sources[found.input][found.start : found.end] for found in done.summary.composed)
    path.write_bytes(film)
    return done.summary


def same(one: encoder_pb2.Summary, other: encoder_pb2.Summary) -> bool:
    """Whether summaries tell the same, but for the bytes that were sent and what FFmpeg said."""
    return _told(one) == _told(other)


def _told(summary: encoder_pb2.Summary) -> encoder_pb2.Summary:
    told = encoder_pb2.Summary()
    told.CopyFrom(summary)
    for field in ("composed", "size_bytes", "sha256", "encode_seconds", "log"):
        told.ClearField(field)
    return told


def packets(path: Path) -> list[tuple[object, ...]]:
    """All packets of a file, track by track in their order, with times, flags and a digest of their bytes."""
    with av.open(str(path)) as opened:
        found = [
            (one.stream_index, one.pts, one.dts, one.duration, one.is_keyframe, hashlib.sha256(bytes(one)).digest())
            for one in opened.demux()
            if one.size
        ]
    return sorted(found, key=lambda one: one[0])


def tables(path: Path) -> list[tuple[str, bytes]]:
    """The boxes of a movie but for those that tell where samples lie, each with its path."""
    data = path.read_bytes()
    return [found for box in iter_boxes(data, 0, len(data)) if box.kind == b"moov" for found in _tables(data, box, "")]


def _tables(data: bytes, box: Box, path: str) -> list[tuple[str, bytes]]:
    name = f"{path}/{box.kind.decode()}"
    if box.kind in PLACES:
        return []
    if box.kind == b"stsd":
        return [(name, _without_peaks(data[box.start : box.end]))]
    if box.kind not in CONTAINERS:
        return [(name, data[box.start : box.end])]
    return [found for inner in iter_boxes(data, box.start, box.end) for found in _tables(data, inner, name)]


def _without_peaks(described: bytes) -> bytes:
    """Sample descriptions without the highest bit rates, of which FFmpeg rounds one up and the other down."""
    made = bytearray(described)
    for kind, place in ((b"esds", 26), (b"btrt", 8)):
        if (found := described.find(kind)) >= 0:
            made[found + place : found + place + 4] = bytes(4)
    return bytes(made)


def longest_stretch_seconds(path: Path) -> float:
    """The longest time of one track that lies in a file before something of another."""
    with av.open(str(path)) as opened:
        packets = [one for one in opened.demux() if one.size]
        stored = sorted((one.pos or 0, one.stream_index, float((one.dts or 0) * one.time_base)) for one in packets)
    longest, begin = 0.0, stored[0]
    for packet in stored:
        if packet[1] != begin[1]:
            begin = packet
        longest = max(longest, packet[2] - begin[2])
    return longest
