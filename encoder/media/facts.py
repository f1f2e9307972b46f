"""What the inputs of a task are, as whoever read them for its plan found: told beside its result."""

from apigpu.v1 import probe_pb2
from encoder.media.info import AudioStream, MediaInfo, Source, VideoStream

# Of one task.
MAX_FACTS = 24
# What FFmpeg, and Pillow, call a JPEG.
STILL_CODECS = {"mjpeg": "jpeg", "mpo": "jpeg"}


def note_film(source: Source, info: MediaInfo, stream: VideoStream | AudioStream | None) -> None:
    """Note what a video or a sound is, as the last one that looked knows it."""
    if stream is None:
        return
    size = stream.rotated_size if isinstance(stream, VideoStream) else (0, 0)
    _note(source, stream.codec, size, stream.duration_seconds or info.duration_seconds)


def note_still(source: Source, codec: str, size: tuple[int, int]) -> None:
    """Note what a picture is, by its size as it is shown."""
    _note(source, STILL_CODECS.get(codec, codec), size)


def _note(source: Source, codec: str, size: tuple[int, int], seconds: float = 0.0) -> None:
    noted = source.noted
    if noted is None or (source.field not in noted and len(noted) >= MAX_FACTS):
        return
    noted[source.field] = probe_pb2.MediaFacts(
        field=source.field,
        codec=codec,
        width=size[0],
        height=size[1],
        duration=round(seconds, 3),
        size_bytes=source.path.stat().st_size,
    )
