"""The end of a captioned video that was made in pieces: they are put together by copying, picture and sound."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import ffmpeg

from apigpu.encoder.v1 import story_pb2
from encoder.ffmpeg.command import COPY, FfmpegRun
from encoder.media.containers import MP4_DEMUXER, NO_OPTIONS, PACKETS_AS_STORED
from encoder.media.info import Source
from encoder.media.pieces import CLOCK_SECONDS
from encoder.operations.joining import PIECES, PieceTracks, Skeletons, StretchedFilm, check_alike, tracks_of
from encoder.operations.plan import Extent, Plan, PlanContext, Run, container, copy_video, is_streamable
from servicekit.errors import InvalidArgument


def plan(part: story_pb2.CaptionJoin, context: PlanContext) -> Plan:
    """Plan the joining. Raises FailedPrecondition for pieces that do not fit together."""
    if not part.piece_count:
        raise InvalidArgument("The video has no pieces.", reason="BAD_PART")
    skeletons = Skeletons.read(context) if context.composes and not is_streamable(part) else None
    context = skeletons.context if skeletons else context
    pieces = context.listed(PIECES, part.piece_count)
    stored = PACKETS_AS_STORED if skeletons else NO_OPTIONS
    check_alike(skeletons.with_other_headers(pieces) if skeletons else pieces, options=stored)
    tracks = tracks_of(pieces[0])
    whole = _run(part, context, tracks, pieces, stored)
    runs: tuple[Run, ...] = (whole,)
    film: StretchedFilm | None = None
    if skeletons:
        places = (tracks.video, *tracks.sound)
        film = StretchedFilm(skeletons, places, pieces, skeletons.ends(pieces, places))
        if len(film.ends) < len(pieces):
            is_stretched = partial(film.is_stretched, Path(context.result))
            runs = (_run(part, context, tracks, film.ends, stored), lambda: None if is_stretched() else whole)
    return Plan(
        runs=runs,
        field=PIECES,
        codec=COPY,
        duration_seconds=part.seconds,
        frames_total=part.frames,
        streamable=is_streamable(part),
        extent=lambda: Extent(whole_reason=part.whole_reason),
        compose=film.compose if film else None,
    )


def _run(
    part: story_pb2.CaptionJoin,
    context: PlanContext,
    tracks: PieceTracks,
    pieces: Sequence[Source],
    stored: Mapping[str, str],
) -> FfmpegRun:
    """Return the run that puts pieces together."""
    # Fragments tell their times: files of them, one after the other, are one file.
    name = "concat:" + "|".join(piece.path.name for piece in pieces)
    options = {"protocol_whitelist": "concat,file,pipe", **stored}
    given = ffmpeg.input(name, f=MP4_DEMUXER, itsoffset=-CLOCK_SECONDS, **options)
    sound = [given[str(index)] for index in tracks.sound]
    joined = Source(PIECES, pieces[0].path.with_name(name))
    copied: dict[str, str | None] = {"copyts": None, **({"c:a": "copy"} if sound else {})}
    output = context.output(sound, {**copied, **container(part)}, joined)
    return output.run(given[str(tracks.video)], copy_video(tracks.codec))
