"""Warnings about inputs: what of their streams a result takes otherwise than it is, or leaves out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from apigpu.v1 import video_pb2
from encoder.audio import mixing, tracks
from encoder.media.info import AudioStream, Source


@dataclass(frozen=True)
class Note:
    """What a warning says of one input: its reason, the field of the input, what it is and what to do, and parts of that for
    programs."""

    reason: str
    place: str
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)


def gather(notes: Iterable[Note]) -> tuple[video_pb2.Warning, ...]:
    """Return notes as warnings: one where the same is to be said of several inputs."""
    groups: dict[tuple[str, str], list[Note]] = {}
    for note in notes:
        groups.setdefault((note.reason, note.text), []).append(note)
    return tuple(_warning(group) for group in groups.values())


def _warning(notes: list[Note]) -> video_pb2.Warning:
    fields = ", ".join(dict.fromkeys(note.place for note in notes))
    metadata = {**notes[0].metadata, "fields": fields}
    return video_pb2.Warning(reason=notes[0].reason, message=f"{fields}: {notes[0].text}", metadata=metadata)


def track_notes(source: Source, streams: Iterable[AudioStream]) -> Iterator[Note]:
    """Yield what is changed in streams of sound that become tracks of the result, copied where they can be."""
    for stream in streams:
        if not tracks.is_copied(stream):
            yield from encoded_notes(source, stream)


def encoded_notes(source: Source, stream: AudioStream) -> Iterator[Note]:
    """Yield what is changed in a stream of sound that is made AAC."""
    if mixing.needs_mixing(stream) and stream.channels > mixing.STEREO:
        yield _mixed_down(source, stream)
    yield from _resampled(source, stream)


def mix_notes(source: Source, stream: AudioStream) -> Iterator[Note]:
    """Yield what is changed in a stream of sound that is brought to stereo at 48 kHz, to be mixed or joined."""
    if stream.channels > mixing.STEREO:
        yield _mixed_down(source, stream)
    yield from _resampled(source, stream)


def _mixed_down(source: Source, stream: AudioStream) -> Note:
    text = (
        f"its sound of {stream.channels} channels ({stream.layout}) is mixed down to stereo; give a mix of your own, "
        "if another is wanted."
    )
    metadata = {"channels": str(stream.channels), "layout": stream.layout, "stream": str(stream.index)}
    return Note(reason="AUDIO_MIXED_DOWN", place=source.field, text=text, metadata=metadata)


def _resampled(source: Source, stream: AudioStream) -> Iterator[Note]:
    if stream.sample_rate > tracks.MAX_RATE:
        text = (
            f"its sound of {stream.sample_rate} Hz is brought to {tracks.MAX_RATE} Hz, the most that players and "
            "platforms take; nothing need be done."
        )
        yield Note(reason="AUDIO_RESAMPLED", place=source.field, text=text, metadata={"rate": str(stream.sample_rate)})
