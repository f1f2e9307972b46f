"""Warnings about inputs: what of their streams a result takes otherwise than it is, or leaves out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from apigpu.v1 import video_pb2
from encoder.audio import mixing, tracks
from encoder.media.info import AudioStream, MediaInfo, Source, VideoStream

# Streams that a warning names one by one.
MAX_TOLD = 8


@dataclass(frozen=True)
class Note:
    """What a warning says of one input: its reason, the field of the input, what it is and what to do, and parts of
    that for programs."""

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


def cut_off_notes(source: Source, info: MediaInfo, seconds: float = 0.0) -> Iterator[Note]:
    """Yield that an input ends too early; `seconds` are what there is of it, 0 of a still."""
    if info.is_cut_off:
        length = f", {seconds:.3f} s," if seconds else ""
        text = f"the file is cut off; what is there{length} was taken. Send it whole, if more is wanted."
        metadata = {"seconds": f"{seconds:.3f}"} if seconds else {}
        yield Note(reason="INPUT_CUT_OFF", place=source.field, text=text, metadata=metadata)


def video_notes(source: Source, info: MediaInfo) -> Iterator[Note]:
    """Yield that a video ends too early, and which of several is shown."""
    if info.video is not None:
        yield from cut_off_notes(source, info, info.video.duration_seconds)
        yield from _size_notes(source, info.video)
    if info.video is not None and info.other_videos:
        shown = f"stream {info.video.index} ({info.video.width}×{info.video.height})"
        text = (
            f"of its {len(info.other_videos) + 1} videos {shown} is taken, by what the file calls its default and by "
            f"size; left out: {', '.join(info.other_videos[:MAX_TOLD])}. Give a file with one video, if another is "
            "wanted."
        )
        yield Note(
            reason="OTHER_VIDEO_DROPPED", place=source.field, text=text, metadata={"stream": str(info.video.index)}
        )


def _size_notes(source: Source, video: VideoStream) -> Iterator[Note]:
    if video.sizes:
        sizes = ", ".join(f"{width}×{height}" for width, height in video.sizes[:MAX_TOLD])
        text = (
            f"its pictures change their size ({sizes}); all are fitted into {video.width}×{video.height}, smaller ones "
            "enlarged between black bars. Give a recording of one size, if that is not wanted."
        )
        yield Note(reason="SIZE_CHANGES", place=source.field, text=text, metadata={"sizes": sizes})


def sound_choice_notes(source: Source, info: MediaInfo, why: str) -> Iterator[Note]:
    """Yield which track of sound is heard where only one can be; `why` says what for."""
    if info.sound is not None and len(info.audio) > 1:
        left_out = ", ".join(str(stream.index) for stream in info.audio[:MAX_TOLD] if stream is not info.sound)
        text = (
            f"of its {len(info.audio)} audio tracks stream {info.sound.index} is {why}, by what the file calls its "
            f"default and by channels; left out: {left_out}. Give a file with one track, if another is wanted."
        )
        yield Note(
            reason="OTHER_AUDIO_DROPPED", place=source.field, text=text, metadata={"stream": str(info.sound.index)}
        )


def loss_notes(source: Source, info: MediaInfo) -> Iterator[Note]:
    """Yield the tracks of a video that no result takes: subtitles, and sound that cannot be decoded."""
    if info.subtitles:
        text = "its subtitle tracks are left out; burn them in with caption, if they are to be seen."
        yield Note(reason="SUBTITLES_DROPPED", place=source.field, text=text)
    if info.unreadable_audio:
        streams = ", ".join(map(str, info.unreadable_audio[:MAX_TOLD]))
        text = (
            f"audio tracks that are empty, or in a format that cannot be decoded here, are left out: stream {streams}; "
            "convert them to AAC first, if they are to be heard."
        )
        yield Note(reason="AUDIO_UNREADABLE", place=source.field, text=text, metadata={"streams": streams})


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
