"""Domain to messages: progress and results, for all who tell of them."""

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.tasks.result_stream import ResultStream
from encoder.tasks.runner import Result, Step


def progress(step: Step) -> encoder_pb2.EncodeProgress:
    """How far a task is."""
    message = encoder_pb2.EncodeProgress(frames_done=step.frames_done, frames_total=step.frames_total, fps=step.fps)
    if step.seconds_left is not None:
        message.seconds_left = step.seconds_left
    return message


def summary(result: Result, sent: ResultStream) -> encoder_pb2.Summary:
    """Return what the encoder says of a result, with count and digest of all files that were sent."""
    made, tally = result.measures, sent.tally
    return encoder_pb2.Summary(
        size_bytes=tally.size_bytes,
        sha256=tally.sha256,
        content_type=result.content_type,
        codec=result.codec,
        codec_reason=result.codec_reason,
        frames=made.frames,
        duration_seconds=made.duration_seconds,
        width=made.width,
        height=made.height,
        encode_seconds=result.encode_seconds,
        warnings=[video_pb2.Warning(reason=w.reason, message=w.message, metadata=w.metadata) for w in result.warnings],
        files=[
            encoder_pb2.ResultFile(
                name=one.file.name,
                content_type=one.file.content_type,
                size_bytes=one.tally.size_bytes,
                sha256=one.tally.sha256,
            )
            for one in sent.files
        ],
    )
