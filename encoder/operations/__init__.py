"""The operations, by the name of their field in apigpu.v1.Operation."""

from encoder.operations import addaudio, caption, concat, img2vid, thumbnail
from encoder.operations.plan import Operation

OPERATIONS: dict[str, Operation] = {
    "caption": caption.plan,
    "img2vid": img2vid.plan,
    "addaudio": addaudio.plan,
    "concat": concat.plan,
    "thumbnail": thumbnail.plan,
}
