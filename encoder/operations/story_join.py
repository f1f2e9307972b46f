"""The end of a story: the pieces of its scenes put together by copying, with the sound of the film."""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import ffmpeg

from apigpu.encoder.v1 import story_pb2
from encoder.ffmpeg.command import COPY
from encoder.media import mp4_boxes, packets, probe
from encoder.media.info import Source, VideoStream
from encoder.operations.plan import Plan, PlanContext, container, copy_video, is_streamable
from encoder.operations.story_scene import film_rate, timescale
from servicekit.errors import FailedPrecondition

LIST = "pieces.ffconcat"
PIECES, SOUND = "pieces", "sound"
MICROSECONDS = 1_000_000


def plan(part: story_pb2.JoinPart, context: PlanContext) -> Plan:
    """Plan the joining. No frame is encoded again. Raises FailedPrecondition for pieces that do not fit together."""
    rate = film_rate(part.film)
    pieces = context.listed(PIECES, len(part.pieces))
    video = _check_pieces(pieces, part.pieces)
    _write_list(context, pieces, part.pieces, rate)
    options = {"f": "concat", "safe": 1, "format_whitelist": "concat,mov", "protocol_whitelist": "file,pipe"}
    listed = ffmpeg.input(LIST, auto_convert=0, **options)
    sound = []
    if part.has_sound:
        source = context.source(SOUND)
        sound = [ffmpeg.input(source.path.name, f="mov", protocol_whitelist="file,pipe")["a:0"]]
    times = {"movie_timescale": timescale(rate), "video_track_timescale": timescale(rate)}
    output = context.output(sound, {**({"c:a": "copy"} if sound else {}), **times, **container(part)})
    seconds = float(part.film.frames / rate)
    return Plan(
        runs=(output.run(listed["v:0"], copy_video(video)),),
        field=PIECES,
        codec=COPY,
        duration_seconds=seconds,
        frames_total=part.film.frames,
        finish=partial(mp4_boxes.end_edit_lists, seconds=seconds) if sound and not is_streamable(part) else None,
        streamable=is_streamable(part),
        required_audio_field=SOUND if sound else "",
    )


def _check_pieces(pieces: Sequence[Source], counts: Sequence[int]) -> VideoStream:
    """Return the video of the first piece. Raises FailedPrecondition where one has other frames than were planned, or
    another codec or parameter set than the first: what would come of it is a broken file."""
    first, expected = None, None
    for piece, count in zip(pieces, counts, strict=True):
        info, video = probe.probe_video(piece)
        found = (info.demuxer, packets.track_format(piece, info, video))
        first, expected = first or video, expected or found
        if video.frames != count or not packets.is_copyable(piece, info, video):
            raise unfit(piece, f"it has {video.frames} frames where {count} were planned")
        if found != expected:
            raise unfit(piece, "it was encoded otherwise than the first one")
    assert first is not None
    return first


def unfit(piece: Source, why: str) -> FailedPrecondition:
    """Return the error of a piece that others cannot be joined with; `why` says what it is."""
    text = f"{piece.field}: {why}, so that the pieces of the film do not fit together; give all encoders one version "
    text += "of api-gpu, of FFmpeg and of the card's driver, and submit the job again."
    return FailedPrecondition(text, reason="PIECES_DIFFER")


def _write_list(context: PlanContext, pieces: Sequence[Source], counts: Sequence[int], rate: Fraction) -> None:
    """Write the list by which FFmpeg reads the pieces: the length of each, to the microsecond, so that no error adds
    up."""
    ends = [round(frames / rate * MICROSECONDS) for frames in itertools.accumulate(counts)]
    lines = [
        f"file {piece.path.name}\nduration {(end - start) / MICROSECONDS:.6f}\n"
        for piece, (start, end) in zip(pieces, itertools.pairwise((0, *ends)), strict=True)
    ]
    (context.folder / LIST).write_text("ffconcat version 1.0\n" + "".join(lines))
