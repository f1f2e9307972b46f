"""The end of a captioned video that was made in pieces: they are put together by copying, picture and sound."""

import ffmpeg

from apigpu.encoder.v1 import story_pb2
from encoder.ffmpeg.command import COPY
from encoder.media import probe
from encoder.media.containers import MP4_DEMUXER, VIDEO_DEMUXERS
from encoder.media.info import Source
from encoder.media.pieces import CLOCK_SECONDS
from encoder.operations.joining import PIECES, check_alike
from encoder.operations.plan import Extent, Plan, PlanContext, container, copy_video, is_streamable
from servicekit.errors import InvalidArgument


def plan(part: story_pb2.CaptionJoin, context: PlanContext) -> Plan:
    """Plan the joining. Raises FailedPrecondition for pieces that do not fit together."""
    if not part.piece_count:
        raise InvalidArgument("The video has no pieces.", reason="BAD_PART")
    pieces = context.listed(PIECES, part.piece_count)
    check_alike(pieces)
    info = probe.probe(pieces[0], VIDEO_DEMUXERS)
    assert info.video is not None
    # Fragments tell their times: files of them, one after the other, are one file.
    name = "concat:" + "|".join(piece.path.name for piece in pieces)
    given = ffmpeg.input(name, f=MP4_DEMUXER, protocol_whitelist="concat,file,pipe", itsoffset=-CLOCK_SECONDS)
    sound = [given[str(stream.index)] for stream in info.audio]
    joined = Source(PIECES, pieces[0].path.with_name(name))
    copied: dict[str, str | None] = {"copyts": None, **({"c:a": "copy"} if sound else {})}
    output = context.output(sound, {**copied, **container(part)}, joined)
    return Plan(
        runs=(output.run(given[str(info.video.index)], copy_video(info.video)),),
        field=PIECES,
        codec=COPY,
        duration_seconds=part.seconds,
        frames_total=part.frames,
        streamable=is_streamable(part),
        extent=lambda: Extent(whole_reason=part.whole_reason),
    )
