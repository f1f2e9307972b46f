"""How every operation writes its result."""

from collections.abc import Mapping, Sequence

from google.protobuf.message import Message

from apigpu.v1 import video_pb2
from encoder.plan import AudioStream
from rpc.errors import Unimplemented

MP4: Mapping[str, str] = {"f": "mp4", "movflags": "+faststart"}
# The coder `fast` takes half the time of the default; at this rate its noise is level, held against what the ear masks.
AAC: Mapping[str, str] = {"c:a": "aac", "b:a": "192k", "aac_coder": "fast"}
# What MP4 can hold and players of MP4 can be expected to play.
MP4_AUDIO = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")


def kept_audio(streams: Sequence[AudioStream]) -> dict[str, str]:
    """Options that copy each audio stream where MP4 can hold it, and make it AAC where not."""
    options: dict[str, str] = {}
    for number, stream in enumerate(streams):
        copied = stream.codec in MP4_AUDIO
        options[f"c:a:{number}"] = "copy" if copied else AAC["c:a"]
        if not copied:
            options |= {f"b:a:{number}": AAC["b:a"], f"aac_coder:a:{number}": AAC["aac_coder"]}
    return options


def not_yet(request: Message, *names: str) -> None:
    """Raise Unimplemented for a field that is set and that this encoder cannot follow: better than a result that is not
    what was asked for."""
    for field, value in request.ListFields():
        if field.name in names and value != video_pb2.CONTAINER_MP4:
            text = "this encoder cannot do that yet; leave it out."
            raise Unimplemented(f"{field.json_name}: {text}", fields={field.json_name: text})
