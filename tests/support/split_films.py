"""Captioned videos in pieces, carried out as a gateway does: the task that plans, then those that it answers with."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import av

from apigpu.encoder.v1 import encoder_pb2, story_pb2
from apigpu.v1 import video_pb2
from gateway.sources.outline import ByteRanges
from tests.support import composing, media
from tests.support.encoder_harness import Client

RATE = 10
# Of a video that has some 5 Mb in a second, and its index at the beginning.
LARGE = ("-vf", "scale=480x270,noise=alls=40:allf=t", "-b:v", "5500k", "-movflags", "+faststart")


class StoredPacket(NamedTuple):
    """A packet of a track: when it is shown and for how long, by the clock of the track, and of sound its bytes."""

    shown: int
    ticks: int
    data: bytes


def write_film(path: Path, seconds: int, *options: object) -> Path:
    """A tiny video with two tracks of sound, the second of which ends early, and a keyframe every two seconds."""
    picture = f"testsrc2=size=96x54:rate={RATE}:duration={seconds}"
    sounds = ["-f", "lavfi", "-i", f"sine=duration={seconds}", "-f", "lavfi", "-i", "sine=frequency=300:duration=5"]
    x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", str(2 * RATE), "-pix_fmt", "yuv420p"]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-c:a", "aac", "-b:a", "32k", "-metadata:s:a:1", "language=por"]
    media.run("-f", "lavfi", "-i", picture, *sounds, *maps, *x264, *options, path)
    return path


def with_gap(film: Path, path: Path, gap_bytes: int) -> Path:
    """The same film with a box of nothing before its index, which is at its end: as large as it is to be."""
    data = film.read_bytes()
    place = data.rindex(b"moov") - 4
    free = (gap_bytes + 8).to_bytes(4, "big") + b"free" + bytes(gap_bytes)
    path.write_bytes(data[:place] + free + data[place:])
    return path


def subtitles(seconds: int, wanted: Iterable[int] | None = None) -> str:
    """A caption in each second, or in those that are wanted, all of which say the same."""
    places = range(min(seconds, 60)) if wanted is None else wanted
    lines = (f"00:00:{at:02d},300 --> 00:00:{at:02d},800\nCAPTION" for at in places)
    return "\n\n".join(f"{number}\n{line}" for number, line in enumerate(lines, 1))


def ranges(entry: encoder_pb2.FurtherInput, own_index: bool = True) -> list[tuple[int, int]]:
    """The ranges of an input that a task gets, one that knows an index of its own or another one."""
    pairs = [(found.start, found.end) for found in entry.ranges or entry.planned_ranges]
    left_out = [(found.start, found.end) for found in entry.index_ranges] if own_index else []
    return list(ByteRanges(entry.source_bytes, tuple(pairs)).without(left_out).ranges)


def by_older_gateway(plan: encoder_pb2.Summary) -> encoder_pb2.Summary:
    """The same plan as gateways of earlier versions carry it out: pieces get more than they need."""
    older = encoder_pb2.Summary()
    older.CopyFrom(plan)
    for entry in (entry for task in older.further for entry in task.inputs):
        entry.ClearField("index_ranges")
        entry.ClearField("planned_ranges")
    return older


def without_own_indexes(plan: encoder_pb2.Summary) -> encoder_pb2.Summary:
    """The same plan as encoders of earlier versions made it."""
    older = by_older_gateway(plan)
    for task in older.further:
        part = story_pb2.StoryPart.FromString(task.part)
        if part.HasField("caption_piece"):
            part.caption_piece.ClearField("index")
        task.part = part.SerializeToString()
    return older


def sparse(data: bytes, parts: Sequence[tuple[int, int]]) -> bytes:
    """A file of which only these parts are there."""
    made = bytearray(len(data))
    for start, end in parts:
        made[start:end] = data[start:end]
    return bytes(made)


async def join(
    clients: Sequence[Client],
    planned: encoder_pb2.Summary,
    inputs: Mapping[str, bytes],
    captions: bytes,
    path: Path,
    composed: Path | None = None,
) -> list[encoder_pb2.Summary]:
    """Carry out the tasks of a plan, the encoders by turns, into a file; and once more as one that is `composed`.
    Return what the tasks tell."""
    results: list[bytes] = []
    summaries: list[encoder_pb2.Summary] = []
    for task, client in zip(planned.further, cycle(clients), strict=False):
        given: dict[str, Path | bytes] = {}
        for entry in task.inputs:
            match entry.WhichOneof("source"):
                case "request_field":
                    given[entry.field] = sparse(inputs[entry.request_field], ranges(entry))
                case "planned":
                    given[entry.field] = sparse(captions, ranges(entry) or [(0, len(captions))])
                case _:
                    given[entry.field] = results[entry.task]
        job = encoder_pb2.Task(id=task.item.replace(" ", "-"), part=task.part, codec=task.codec)
        done = await client.encode(job, given)
        assert done.summary is not None
        results.append(bytes(done.data))
        summaries.append(done.summary)
    path.write_bytes(results[-1])
    if composed is not None:
        task = planned.further[-1]
        assert task.composes
        pieces = {entry.field: results[entry.task] for entry in task.inputs}
        told = {entry.field: summaries[entry.task] for entry in task.inputs}
        summary = await composing.compose(clients[0], task.part, pieces, told, composed)
        assert composing.same(summary, summaries[-1])
    return summaries


def request(srt: str, **options: object) -> video_pb2.Operation:
    """A request for captions."""
    return video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="film.mp4", srt_text=srt, **options))


def tracks(path: Path) -> list[list[StoredPacket]]:
    """The packets of each track, those of the picture in the order in which they are shown, without their bytes."""
    with av.open(str(path)) as opened:
        found: dict[int, list[StoredPacket]] = {stream.index: [] for stream in opened.streams}
        kinds = {stream.index: stream.type for stream in opened.streams}
        for packet in opened.demux():
            if packet.pts is not None:
                data = bytes(packet) if kinds[packet.stream_index] == "audio" else b""
                found[packet.stream_index].append(StoredPacket(packet.pts, packet.duration or 0, data))
    return [sorted(packets) if kinds[index] == "video" else packets for index, packets in found.items()]
