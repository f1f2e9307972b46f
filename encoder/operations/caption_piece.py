"""A piece of a captioned video: its packets, out of the ranges of the file, captioned by the clock of the whole, with
its sound beside it, so that the pieces one after the other are the whole."""

from dataclasses import replace
from fractions import Fraction
from functools import partial

import av

from apigpu.encoder.v1 import story_pb2
from encoder.audio import tracks
from encoder.captions import changes
from encoder.ffmpeg import filters
from encoder.media import keyframes, pieces, probe
from encoder.media.info import VideoStream, bad_input
from encoder.media.pieces import CLOCK_SECONDS, FRAGMENTS, CutIndex, PacketSpan
from encoder.operations import caption_splice, story_captions, story_codec
from encoder.operations.caption_splice import CaptionedFilm, SplicedRuns
from encoder.operations.caption_split import CAPTIONS, VIDEO
from encoder.operations.deviations import gather, video_notes
from encoder.operations.plan import Plan, PlanContext
from servicekit.errors import InvalidArgument

CUT, INDEX = "cut.mp4", "index.mp4"
# Of a day of pictures and sound.
MAX_INDEX_BYTES = 256 * 1024 * 1024
FALSE_KEYFRAME = (
    "its index names a picture as a keyframe that is none, so that it cannot be made in pieces; have it encoded anew "
    "(ffmpeg -i FILE -c:a copy NEW.mp4), or send it in another container, such as MKV."
)


def plan(part: story_pb2.CaptionPiece, context: PlanContext) -> Plan:
    """Plan a piece. Raises InvalidArgument, also for packets that are not where the index had them."""
    if part.picture.packets < 1:
        raise InvalidArgument("The piece of the video has no pictures.", reason="BAD_PART")
    source = context.source(VIDEO)
    spans = [PacketSpan(run.stream, run.first_dts, run.packets) for run in (part.picture, *part.sound)]
    cut = replace(source, path=context.folder / CUT, is_outline=False)
    seconds = pieces.cut_out(source, spans, cut.path, _own_index(part, context))
    if not keyframes.begins_with_one(cut):
        raise bad_input(source, FALSE_KEYFRAME)
    info, found = probe.probe_video(cut)
    video = _as_planned(part, found)
    given = filters.open_input(CUT, info, itsoffset=-CLOCK_SECONDS)
    script = story_captions.unpack(context.source(CAPTIONS), context.folder)
    words = (context.folder / script).read_text(encoding="utf-8")
    draw = partial(story_captions.draw_script, name=script)
    picture = filters.normalize_picture(given, info, video)
    if changes.are_shown(words, float(seconds[0]), float(seconds[1])):
        picture = draw(picture)
    frames = filters.filtered_frames(picture, given, video, info.audio)
    sound = [given[str(stream.index)] for stream in info.audio]
    options = {"copyts": None, "output_ts_offset": str(CLOCK_SECONDS), **FRAGMENTS}
    codec = story_codec.read(part, context.codec)
    threads = part.threads or context.threads
    shared = replace(context, codec=codec, threads=threads, sources={**context.sources, VIDEO: cut})
    output = shared.output(sound, {**tracks.keep(info.audio), **options}, cut)
    whole = codec.make_run(frames, output)
    made = SplicedRuns((whole,), codec.name)
    if part.HasField("splice"):
        film = CaptionedFilm(cut, info, video, words, draw, output, whole)
        made = caption_splice.plan_piece(film, shared, story_codec.read_fit(part.splice))
    return Plan(
        runs=made.runs,
        field=VIDEO,
        codec=codec.name,
        duration_seconds=float(seconds[1] - seconds[0]),
        frames_total=part.picture.packets,
        warnings=gather(video_notes(source, info)),
        size=frames.size,
        plays=True,
        progress=made.progress,
        extent=made.extent,
    )


def _own_index(part: story_pb2.CaptionPiece, context: PlanContext) -> CutIndex | None:
    """Lay out the index of the packets of a piece, which came with its captions; None for one without."""
    if not part.HasField("index"):
        return None
    own, path = part.index, context.folder / INDEX
    with context.source(CAPTIONS).path.open("rb") as file:
        file.seek(max(own.start, 0))
        data = file.read(max(min(own.end - own.start, MAX_INDEX_BYTES), 0))
    is_there = own.start >= 0 and 0 < len(data) == own.end - own.start
    if not is_there or len(own.bit_rates) != 1 + len(part.sound):
        raise InvalidArgument("The piece of the video came without its index.", reason="BAD_PART")
    path.write_bytes(data)
    return CutIndex(path, Fraction(own.begin_microseconds, av.time_base), own.bit_rates)


def _as_planned(part: story_pb2.CaptionPiece, found: VideoStream) -> VideoStream:
    """Return the video of a piece with what it has in common with the others, whatever the piece alone tells."""
    if not (part.width and part.height and part.rate_frames and part.rate_seconds):
        raise InvalidArgument("The piece of the video has no size, or no frame rate.", reason="BAD_PART")
    sizes = found.sizes
    if (found.width, found.height) != (part.width, part.height):
        sizes = sizes or ((found.width, found.height),)
    rate = Fraction(part.rate_frames, part.rate_seconds)
    return replace(found, width=part.width, height=part.height, sizes=sizes, frame_rate=rate)
