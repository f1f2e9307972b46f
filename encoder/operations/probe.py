"""probe: what a file holds, told as data. It makes no file."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import ffmpeg

from apigpu.v1 import caption_style_pb2, probe_pb2, video_pb2
from encoder.audio import soundtrack
from encoder.captions import formats, styles
from encoder.captions.formats import Script, SubtitleError, Subtitles, kinds
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import FfmpegRun
from encoder.media import media_report, outlines, signatures, still_report, wholeness
from encoder.media.containers import MP4_DEMUXER
from encoder.media.info import MediaInfo, Source, bad_input
from encoder.media.reading import note_reading
from encoder.operations import subtitles
from encoder.operations.deviations import MAX_TOLD, Note, gather, video_notes
from encoder.operations.plan import Plan, PlanContext
from encoder.operations.subtitles import CaptionOptions
from servicekit.errors import InvalidArgument

FIELD, STATS, FONTS = "url", "loudness.json", "fonts"
CAPTIONED = "url_srt"
TEXT_HEAD_BYTES = 4096
MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# What text has none of.
CONTROLS = bytes({*range(32)} - {*b"\t\n\v\f\r\x1a\x1b"})
NOTHING_KNOWN = (
    "it is neither a video, sound, an image nor subtitles that can be read here, or it is damaged or cut off; send it "
    "again, or convert it first."
)
BROKEN_OFF = "the file is cut off, and nothing of it can be read; send it whole."
OTHER_FILES = (kinds.ARCHIVE, kinds.DOCUMENT, kinds.PICTURES, kinds.CONVERT)
CUT_OFF = "the file is cut off; operations refuse it, unless allow_partial is set. Send it whole."
NO_SOUND = "its loudness was asked for, and it has no sound that can be decoded; leave loudness out."
UNREADABLE = (
    "audio tracks that are empty, or in a format that cannot be decoded here, are not used: stream {}; convert them to "
    "AAC first, if they are to be heard."
)
# What subtitles are laid out on where no video is known.
CANVAS_WIDTH, CANVAS_HEIGHT, CANVAS_RATE = 1920, 1080, 25


def plan(request: video_pb2.ProbeRequest, context: PlanContext) -> Plan:
    """Plan a probe: all is read now, but for the loudness of sound, which FFmpeg measures."""
    source = context.source(FIELD)
    if source.is_outline and request.loudness:
        raise outlines.outline_too_small(source)
    if still_report.is_image(source):
        image = still_report.describe(source, context.folder)
        return _plan(image.report, [*image.warnings, *gather(_notes(source, image.report, request))])
    if _is_text(source):
        signatures.check_image(source)
        return _caption_plan(request, source, context)
    try:
        media = media_report.describe(source)
    except InvalidArgument as error:
        return _caption_plan(request, source, context, error)
    if not (media.report.video or media.report.audio or media.report.subtitles):
        raise bad_input(source, NOTHING_KNOWN)
    notes = [*_notes(source, media.report, request), *_media_notes(source, media.info)]
    if not request.loudness or media.info.sound is None:
        return _plan(media.report, gather(notes))
    run = _loudness_run(source, media.info, context)
    return replace(
        _plan(media.report, gather(notes)),
        runs=(run,),
        report=lambda: _with_loudness(media.report, context.folder / STATS),
    )


def _plan(report: probe_pb2.MediaReport, warnings: Iterable[video_pb2.Warning]) -> Plan:
    return Plan(
        runs=(),
        field=FIELD,
        codec="",
        duration_seconds=0.0,
        frames_total=0,
        warnings=tuple(warnings),
        content_type="",
        report=lambda: report,
    )


def _notes(source: Source, report: probe_pb2.MediaReport, request: video_pb2.ProbeRequest) -> Iterator[Note]:
    if report.HasField("whole") and not report.whole:
        yield Note("INPUT_CUT_OFF", source.field, CUT_OFF)
    if request.loudness and not any(track.taken for track in report.audio):
        yield Note("NO_AUDIO", "loudness", NO_SOUND)


def _media_notes(source: Source, info: MediaInfo) -> Iterator[Note]:
    yield from video_notes(source, replace(info, is_cut_off=False))
    if info.unreadable_audio:
        streams = ", ".join(map(str, info.unreadable_audio[:MAX_TOLD]))
        yield Note("AUDIO_UNREADABLE", source.field, UNREADABLE.format(streams), {"streams": streams})


def _is_text(source: Source) -> bool:
    """Return True for a file that begins as text does."""
    with source.path.open("rb") as file:
        head = file.read(TEXT_HEAD_BYTES)
    return head.startswith(MARKS) or len(head.translate(None, CONTROLS)) == len(head)


def _caption_plan(
    request: video_pb2.ProbeRequest, source: Source, context: PlanContext, error: InvalidArgument | None = None
) -> Plan:
    """Plan the probe of subtitles. Of a file that could be no media either, the `error` of that is raised."""
    try:
        report, warnings = _read_subtitles(source, context)
    except SubtitleError as fault:
        if error is None:
            raise InvalidArgument.field(FIELD, str(fault), reason="BAD_SUBTITLES") from fault
        raise _unusable(source, error, fault) from fault
    for warning in warnings:
        warning.message = warning.message.replace(f"{CAPTIONED}:", f"{FIELD}:", 1)
    return _plan(report, [*warnings, *gather(_notes(source, report, request))])


def _unusable(source: Source, error: InvalidArgument, fault: SubtitleError) -> InvalidArgument:
    """Return the error of a file that is neither media, for the `error`, nor subtitles, for the `fault`."""
    signatures.check_image(source)
    if str(fault).endswith(OTHER_FILES):
        return bad_input(source, str(fault))
    if wholeness.lacks_index(source.path):
        return error
    is_cut_off = wholeness.is_cut_off(source.path, MP4_DEMUXER)
    return bad_input(source, BROKEN_OFF if is_cut_off else NOTHING_KNOWN)


def _read_subtitles(source: Source, context: PlanContext) -> tuple[probe_pb2.MediaReport, list[video_pb2.Warning]]:
    """Return what a file of subtitles holds, and what caption would warn of. Raises SubtitleError."""
    note_reading(source.field)
    size_bytes = source.path.stat().st_size
    if size_bytes > subtitles.MAX_SUBTITLES_BYTES:
        raise SubtitleError(f"it is text of more than {subtitles.MAX_SUBTITLES_BYTES} bytes, and no subtitles.")
    decoded = formats.decode(source.path.read_bytes(), "", source.charset)
    captions = formats.parse(decoded.text)
    options = CaptionOptions(field=FIELD, style=styles.complete_style(caption_style_pb2.CaptionStyle()))
    timing = subtitles.check_times(captions, options, math.inf, lambda: math.inf)
    canvas = subtitles.Canvas(CANVAS_WIDTH, CANVAS_HEIGHT, Fraction(CANVAS_RATE), context.folder / FONTS)
    try:
        _, warnings = subtitles.lay_out(captions, options, context, [], canvas)
    except InvalidArgument as error:  # well-formed, and yet nothing of it can be drawn here
        warnings = [video_pb2.Warning(reason=error.reason, message=error.message)]
    report = probe_pb2.MediaReport(
        kind=probe_pb2.MediaReport.SUBTITLES,
        container=formats.name_of(decoded.text),
        size_bytes=size_bytes,
        captions=_caption_report(captions, decoded.encoding),
    )
    return report, [*decoded.warnings, *timing, *warnings]


def _caption_report(captions: Subtitles | Script, encoding: str) -> probe_pb2.CaptionReport:
    timed = captions.events if isinstance(captions, Script) else captions.cues
    report = probe_pb2.CaptionReport(
        encoding=encoding,
        cues=len(timed),
        left_out=len(captions.left_out),
        first_seconds=max(min(caption.start_ms for caption in timed), 0) / 1000,
        last_seconds=max(max(caption.end_ms for caption in timed), 0) / 1000,
    )
    if isinstance(captions, Subtitles) and captions.language:
        report.language = captions.language[:64]
    return report


def _loudness_run(source: Source, info: MediaInfo, context: PlanContext) -> FfmpegRun:
    assert info.sound is not None
    given = filters.open_input(source.path.name, info)
    measured = soundtrack.measure(given[str(info.sound.index)], STATS)
    output = ffmpeg.output(measured, "-", f="null")
    # What is cut off is told of, and measured as far as it goes.
    return replace(context.output((), {}).run_reading(output, ()), cut_off_signs="")


def _with_loudness(report: probe_pb2.MediaReport, stats: Path) -> probe_pb2.MediaReport:
    """Return the report with what FFmpeg measured."""
    found = json.loads(stats.read_text())
    values = {
        "integrated_lufs": float(found["input_i"]),
        "true_peak_dbtp": float(found["input_tp"]),
        "range_lu": float(found["input_lra"]),
    }
    loudness = probe_pb2.LoudnessReport(**{name: value for name, value in values.items() if math.isfinite(value)})
    told = probe_pb2.MediaReport()
    told.CopyFrom(report)
    for track in told.audio:
        if track.taken:
            track.loudness.CopyFrom(loudness)
    return told
