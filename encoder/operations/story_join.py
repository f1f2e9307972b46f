"""The end of a story: the pieces of its scenes put together by copying, with the sound of the film."""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import ffmpeg

from apigpu.encoder.v1 import story_pb2
from encoder.ffmpeg.command import COPY
from encoder.media import mp4_boxes
from encoder.media.containers import NO_OPTIONS, PACKETS_AS_STORED
from encoder.media.info import Source
from encoder.operations.joining import PIECES, Skeletons, check_alike, tracks_of
from encoder.operations.plan import Plan, PlanContext, container, copy_video, is_streamable
from encoder.operations.story_scene import film_rate, timescale

LIST = "pieces.ffconcat"
SOUND = "sound"
MICROSECONDS = 1_000_000


def plan(part: story_pb2.JoinPart, context: PlanContext) -> Plan:
    """Plan the joining. No frame is encoded again. Raises FailedPrecondition for pieces that do not fit together."""
    rate = film_rate(part.film)
    skeletons = Skeletons.read(context) if context.composes and not is_streamable(part) else None
    context = skeletons.context if skeletons else context
    pieces = context.listed(PIECES, len(part.pieces))
    stored = PACKETS_AS_STORED if skeletons else NO_OPTIONS
    ahead = check_alike(pieces, part.pieces, stored)
    tracks = tracks_of(pieces[0])
    _write_list(context, pieces, part.pieces, rate)
    options = {"f": "concat", "safe": 1, "format_whitelist": "concat,mov", "protocol_whitelist": "file,pipe", **stored}
    listed = ffmpeg.input(LIST, auto_convert=0, **options)
    sound = []
    if part.has_sound:
        source = context.source(SOUND)
        sound = [ffmpeg.input(source.path.name, f="mov", protocol_whitelist="file,pipe", **stored)["a:0"]]
    scale = timescale(rate)
    times = {"movie_timescale": scale, "video_track_timescale": scale}
    output = context.output(sound, {**({"c:a": "copy"} if sound else {}), **times, **container(part)})
    seconds = float(part.film.frames / rate)
    composed = [([piece.field for piece in pieces], (tracks.video,)), *([([SOUND], (0,))] if sound else [])]
    return Plan(
        runs=(output.run(listed["v:0"], {**copy_video(tracks.codec), "bsf:v": _even_decoding(ahead, rate)}),),
        field=PIECES,
        codec=COPY,
        duration_seconds=seconds,
        frames_total=part.film.frames,
        finish=partial(mp4_boxes.end_edit_lists, seconds=seconds) if sound and not is_streamable(part) else None,
        streamable=is_streamable(part),
        required_audio_field=SOUND if sound else "",
        compose=skeletons.composing(*composed) if skeletons else None,
    )


def _even_decoding(ahead: int, rate: Fraction) -> str:
    """Return the bitstream filter by which all pictures are decoded in the steps of the film, so many ahead of those
    that are shown: pieces tell it of themselves alone, in which more or fewer are decoded early."""
    return f"setts=pts=PTS:dts=(N-{ahead})*{int(int(timescale(rate)) / rate)}"


def _write_list(context: PlanContext, pieces: Sequence[Source], counts: Sequence[int], rate: Fraction) -> None:
    """Write the list by which FFmpeg reads the pieces: the length of each, to the microsecond, so that no error adds
    up."""
    ends = [round(frames / rate * MICROSECONDS) for frames in itertools.accumulate(counts)]
    lines = [
        f"file {piece.path.name}\nduration {(end - start) / MICROSECONDS:.6f}\n"
        for piece, (start, end) in zip(pieces, itertools.pairwise((0, *ends)), strict=True)
    ]
    (context.folder / LIST).write_text("ffconcat version 1.0\n" + "".join(lines))
