"""Domain to messages: progress and results, for all who tell of them."""

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.tasks.runner import CONTENT_TYPE, Result, Step
from servicekit.chunks import Checksum


def progress(step: Step) -> encoder_pb2.EncodeProgress:
    """How far a task is."""
    message = encoder_pb2.EncodeProgress(frames_done=step.frames_done, frames_total=step.frames_total, fps=step.fps)
    if step.seconds_left is not None:
        message.seconds_left = step.seconds_left
    return message


def summary(result: Result, tally: Checksum) -> encoder_pb2.Summary:
    """A result, and the count and digest of its file."""
    return encoder_pb2.Summary(
        size_bytes=tally.size_bytes,
        sha256=tally.sha256,
        content_type=CONTENT_TYPE,
        codec=result.codec,
        codec_reason=result.codec_reason,
        frames=result.frames,
        duration_seconds=result.duration_seconds,
        width=result.width,
        height=result.height,
        encode_seconds=result.encode_seconds,
        warnings=[video_pb2.Warning(reason=w.reason, message=w.message, metadata=w.metadata) for w in result.warnings],
    )
