"""What a file of moving pictures or sound holds, told in full: every stream, its colors and its times.

Of an outline only the index is read; of a whole file every packet is counted, which tells what heads leave out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from av.audio.stream import AudioStream as AvAudio
from av.container import InputContainer
from av.stream import Disposition
from av.stream import Stream as AvStream
from av.video.stream import VideoStream as AvVideo

from apigpu.v1 import probe_pb2
from encoder.media import choice, outlines, probe, streams, wholeness
from encoder.media.containers import AUDIO_DEMUXERS, check_claims, open_container
from encoder.media.counting import PacketCount, count_packets, ends_early
from encoder.media.info import UNSPECIFIED, AudioStream, ColorTags, MediaInfo, Source, Stream, VideoStream
from servicekit.errors import ServiceError

MAX_VIDEOS, MAX_TRACKS = 16, 64
# Of a steady rate: files round their times, to a millisecond at worst.
STEADY_SECONDS = 2.1e-3
# Whose frames have no times, but a rate.
ALWAYS_STEADY = ("avi",)
MIN_TIMED = 3
PICTURES_OF_TEXT = ("hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub")
RANGES = {1: "limited", 2: "full"}
# By their numbers in ITU-T H.273, tables 2 to 4, FFmpeg's names.
PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020"}
PRIMARIES |= {10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213"}
TRANSFERS = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100"}
TRANSFERS |= {10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12"}
TRANSFERS |= {16: "smpte2084", 17: "smpte428", 18: "arib-std-b67"}
MATRICES = {0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc"}
MATRICES |= {10: "bt2020c", 11: "smpte2085", 14: "ictcp"}
HDR_NAMES = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class ReportedMedia:
    """What a file holds, for operations and for people."""

    info: MediaInfo
    report: probe_pb2.MediaReport


def describe(source: Source) -> ReportedMedia:
    """Return what a file holds. Raises InvalidArgument for one that cannot be read, FailedPrecondition for one that is
    protected, and where more of an outline is needed."""
    try:
        reported = _describe(source)
    except ServiceError as error:
        if not source.is_outline:
            raise
        raise outlines.outline_too_small(source) from error
    if source.is_outline and not _is_told(source, reported.info):
        raise outlines.outline_too_small(source)
    return reported


def _is_told(source: Source, info: MediaInfo) -> bool:
    """Return True if an outline tells all that the whole would."""
    taken = info.video or info.sound
    is_read = info.video is None or info.video.decodes
    return taken is not None and bool(taken.duration_seconds) and is_read and outlines.tells_length(source, info)


def _describe(source: Source) -> ReportedMedia:
    check_claims(source)
    with open_container(source, AUDIO_DEMUXERS) as container:
        info = streams.describe(source, container, rotated=True, is_still=False)
    if info.video is not None and not source.is_outline:
        info = replace(info, video=probe.on_canvas(source, info, info.video))
    with open_container(source, (info.demuxer,)) as container:
        taken = _taken(info)
        count = None
        if taken and not source.is_outline:
            timed = info.video.index if info.video else None
            count = count_packets(container, [container.streams[stream.index] for stream in taken], timed)
        report = probe_pb2.MediaReport(
            kind=_kind(info),
            container=info.demuxer,
            size_bytes=source.path.stat().st_size,
            video=_videos(container, info, count),
            audio=_sounds(container, info, count),
            subtitles=_subtitles(container),
        )
    _set(report, duration=max(count.ends.values()) if count else info.duration_seconds)
    _set(report, bit_rate=round(report.size_bytes * 8 / report.duration) if report.duration else 0)
    if ends_early(source, info.demuxer, taken, count):
        report.whole = False
    elif wholeness.tells_end(info.demuxer):
        report.whole = True
    return ReportedMedia(info, report)


def _kind(info: MediaInfo) -> "probe_pb2.MediaReport.Kind.ValueType":
    if info.video is not None:
        return probe_pb2.MediaReport.VIDEO
    is_sound = info.audio or info.unreadable_audio
    return probe_pb2.MediaReport.AUDIO if is_sound else probe_pb2.MediaReport.SUBTITLES


def _taken(info: MediaInfo) -> list[Stream]:
    """Return the streams that operations take."""
    return [*([info.video] if info.video else []), *info.audio]


def _set(message: Any, **values: Any) -> None:
    """Set the fields whose values are known: neither 0, "" nor None; seconds to the microsecond."""
    for name, value in values.items():
        if value:
            setattr(message, name, round(value, 6) if isinstance(value, float) else value)


def _videos(container: InputContainer, info: MediaInfo, count: PacketCount | None) -> Iterator[probe_pb2.VideoTrack]:
    known = [stream for stream in container.streams if isinstance(stream, AvVideo) and streams.is_known(stream)]
    shown = choice.without_covers(known)
    first = info.video.index if info.video else -1
    for stream in sorted(shown, key=lambda stream: stream.index != first)[:MAX_VIDEOS]:
        is_taken = info.video is not None and stream.index == info.video.index
        track = _video(stream)
        if is_taken and info.video is not None:
            _add_shown(track, info.video, stream)
            _add_times(track, info, stream, count)
        yield track


def _video(stream: AvVideo) -> probe_pb2.VideoTrack:
    context = stream.codec_context
    aspect = stream.sample_aspect_ratio or Fraction(1)
    track = probe_pb2.VideoTrack(
        stream=stream.index,
        codec=stream.codec.canonical_name,
        width=context.width,
        height=context.height,
        pixel_aspect=float(aspect),
    )
    _set(
        track,
        profile=context.profile,
        frame_rate=float(streams.frame_rate(stream)),
        frames=stream.frames,
        bit_rate=stream.bit_rate,
        language=_language(stream),
    )
    if context.format is not None:
        _set(track, pixel_format=context.format.name, bit_depth=max(part.bits for part in context.format.components))
    return track


def _add_shown(track: probe_pb2.VideoTrack, video: VideoStream, stream: AvVideo) -> None:
    """Add what the first picture tells."""
    width, height = video.rotated_size
    track.width, track.height = video.width, video.height
    track.rotation = clockwise(video.rotation_degrees)
    track.shown_width, track.shown_height = max(round(width * video.rotated_aspect), 1), height
    track.interlaced, track.transparent, track.decodable = video.interlaced, video.transparent, video.decodes
    add_colors(track.color, video.color_tags)
    _set(track.color, range=RANGES.get(int(stream.codec_context.color_range)))


def clockwise(degrees: int) -> int:
    """Return a turn as people tell it, of one that is told against the clock."""
    return -degrees % 360


def add_colors(report: probe_pb2.ColorReport, tags: ColorTags) -> None:
    """Add the names of tags."""
    _set(
        report,
        primaries=PRIMARIES.get(tags.primaries),
        transfer=TRANSFERS.get(tags.transfer),
        matrix=MATRICES.get(tags.matrix) if tags.matrix != UNSPECIFIED else None,
        hdr=HDR_NAMES.get(tags.transfer),
    )


def _add_times(track: probe_pb2.VideoTrack, info: MediaInfo, stream: AvVideo, count: PacketCount | None) -> None:
    """Add lengths and rates of the video that is taken: counted ones, else those of the index."""
    assert info.video is not None
    if count is not None:
        starts = np.sort(np.fromiter(count.starts, np.float64))
        _set(track, frames=count.packets[stream.index] or info.video.frames, duration=count.ends[stream.index])
    else:
        base = float(stream.time_base or 0)
        starts = np.fromiter((entry.timestamp * base for entry in stream.index_entries), np.float64)
        _set(track, frames=stream.frames, duration=info.video.duration_seconds)
        if len(starts) < stream.frames:  # an index of some of the pictures
            return
    if len(starts) < MIN_TIMED:
        return
    steps = np.diff(starts)
    track.variable_frame_rate = info.demuxer not in ALWAYS_STEADY and bool(np.ptp(steps) > 2 * STEADY_SECONDS)
    if not stream.frames and float(steps.mean()) > 0:  # the rate of the head is a guess
        track.frame_rate = round(1 / float(steps.mean()), 3)


def _sounds(container: InputContainer, info: MediaInfo, count: PacketCount | None) -> Iterator[probe_pb2.AudioTrack]:
    heard = {stream.index: stream for stream in info.audio}
    for stream in [stream for stream in container.streams if stream.type == "audio"][:MAX_TRACKS]:
        track = probe_pb2.AudioTrack(
            stream=stream.index,
            codec=_codec(stream),
            default=choice.is_default(stream),
            taken=info.sound is not None and stream.index == info.sound.index,
            decodable=stream.index not in info.unreadable_audio and streams.is_known(stream),
        )
        _set(track, language=_language(stream))
        if isinstance(stream, AvAudio) and streams.is_known(stream):
            _set(track, profile=stream.codec_context.profile, bit_rate=stream.bit_rate)
            _add_layout(track, stream)
        _add_seconds(track, heard.get(stream.index), count)
        yield track


def _add_layout(track: probe_pb2.AudioTrack, stream: AvAudio) -> None:
    layout = stream.codec_context.layout
    _set(
        track,
        sample_rate=stream.codec_context.sample_rate,
        channels=layout.nb_channels,
        layout="" if layout.name.endswith(" channels") or not layout.nb_channels else layout.name,
    )


def _add_seconds(track: probe_pb2.AudioTrack, sound: AudioStream | None, count: PacketCount | None) -> None:
    if sound is not None:
        _set(track, duration=count.ends[sound.index] if count else sound.duration_seconds)


def _subtitles(container: InputContainer) -> Iterator[probe_pb2.SubtitleTrack]:
    found = [stream for stream in container.streams if stream.type == "subtitle"]
    for stream in found[:MAX_TRACKS]:
        track = probe_pb2.SubtitleTrack(
            stream=stream.index,
            codec=_codec(stream),
            default=choice.is_default(stream),
            forced=bool(stream.disposition & Disposition.forced),
            pictures=_codec(stream) in PICTURES_OF_TEXT,
        )
        _set(track, language=_language(stream))
        yield track


def _codec(stream: AvStream) -> str:
    return str(stream.codec.canonical_name) if streams.is_known(stream) else "unknown"


def _language(stream: AvStream) -> str:
    language = stream.language or ""
    return language if streams.LANGUAGE.fullmatch(language) and language != "und" else ""
