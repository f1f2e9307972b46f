"""Packets: when the streams of a file begin and end, which packets hold the pictures before a cut, and what those have
in common that stand in one track. Each function reads the file once more."""

from collections.abc import Hashable, Iterator, Sequence
from fractions import Fraction

import av
from av.container import InputContainer

from encoder.media import outlines, timeline, webp
from encoder.media.containers import MP4_DEMUXER, NO_OPTIONS, PACKETS_AS_STORED, WEBP_DEMUXER, open_container
from encoder.media.info import MediaInfo, Source, Stream, VideoStream

# These write the length of each stream down; with the others it is a guess from the bit rate, or that of the whole.
EXACT_DURATION = ("mov", "wav", "w64", "flac", "aiff", "caf", WEBP_DEMUXER)
# A picture that begins so close to a cut is one that begins at it: files round their times, to a millisecond at worst.
CLOCK_SECONDS = 1e-3
# The most by which pictures are stored after one that is shown later, where files do not tell.
REORDERED_SECONDS = 2.0


def end_seconds(source: Source, info: MediaInfo, stream: Stream, beside: Sequence[Stream] = ()) -> float:
    """Return the seconds from the file's start to the end of one stream; counted by its packets where the file does not
    say. `beside` are the other streams that the same run of FFmpeg reads."""
    if stream.duration_seconds and info.demuxer in EXACT_DURATION:
        return stream.duration_seconds
    outlines.check_read_whole(source, info.demuxer)
    with open_container(source, (info.demuxer,)) as container:
        if stream.duration_seconds and info.is_counted and not timeline.may_jump(container.format):
            return stream.duration_seconds
        return max((end for _, end in _packet_times(container, stream, beside)), default=0.0)


def start_seconds(source: Source, info: MediaInfo, stream: Stream, beside: Sequence[Stream] = ()) -> float:
    """Return the seconds from the file's start to the start of one stream; see `end_seconds` for `beside`."""
    if info.demuxer == WEBP_DEMUXER:
        return 0.0
    if info.demuxer == MP4_DEMUXER and isinstance(stream, VideoStream):  # whose clock does not depend on what is read
        return stream.start_seconds
    outlines.check_read_whole(source, info.demuxer)
    with open_container(source, (info.demuxer,)) as container:
        taken = [container.streams[one.index] for one in (stream, *beside)]
        start, base = taken[0].start_time, taken[0].time_base
        if start is None or base is None:
            return 0.0
        return max(float(start * base - timeline.start_time(container, taken)), 0.0)


def packets_before(
    source: Source, info: MediaInfo, stream: VideoStream, seconds: float, beside: Sequence[Stream] = ()
) -> int:
    """Return how many packets, in the order of the file, hold every picture shown before `seconds`; 1 at least.
    `beside` are the other streams that the same run of FFmpeg reads.

    They are stored in the order of decoding: where B-frames are, pictures that are shown later can be among them.
    """
    needed = 1
    outlines.check_read_whole(source, info.demuxer)
    with open_container(source, (info.demuxer,)) as container:
        for number, (time, _) in enumerate(_packet_times(container, stream, beside), 1):
            if time < seconds - CLOCK_SECONDS:
                needed = number
    return needed


def _packet_times(container: InputContainer, chosen: Stream, beside: Sequence[Stream]) -> Iterator[tuple[float, float]]:
    """Yield the start and end of each packet of one stream."""
    streams = [container.streams[stream.index] for stream in (chosen, *beside)]
    return ((start, end) for index, start, end in timeline.iter_packets(container, streams) if index == chosen.index)


def shown_at(source: Source, info: MediaInfo, video: VideoStream, seconds: float) -> float:
    """Return when the picture begins that is shown at a time, both in seconds from the file's start; the time itself
    where packets are not timed."""
    if info.demuxer == WEBP_DEMUXER:
        return max((start for start, _ in webp.frame_times(source.path) if start <= seconds), default=seconds)
    found: float | None = None
    outlines.check_read_whole(source, info.demuxer)
    is_mp4 = info.demuxer == MP4_DEMUXER  # whose index has all times
    with open_container(source, (info.demuxer,), more=PACKETS_AS_STORED if is_mp4 else NO_OPTIONS) as container:
        stream = container.streams[video.index]
        told = Fraction(round(info.start_seconds * av.time_base), av.time_base)
        begin = told if is_mp4 else timeline.start_time(container, [stream])
        base = stream.time_base
        if base is None or timeline.may_jump(container.format):
            return seconds
        container.seek(int((seconds + float(begin)) / base), stream=stream)
        for packet in container.demux(stream):
            if packet.pts is None:
                break
            start = float(packet.pts * base - begin)
            if start <= seconds + CLOCK_SECONDS / 2:
                found = start if found is None else max(found, start)
            # None that is decoded after that is shown before; not all files tell when one is decoded.
            decoded = float(packet.dts * base - begin) if packet.dts is not None else start - REORDERED_SECONDS
            if decoded > seconds:
                break
    return seconds if found is None else max(found, 0.0)


def shown_times(
    source: Source, info: MediaInfo, video: VideoStream, beside: Sequence[Stream] = ()
) -> tuple[list[float], float]:
    """Return when the pictures of a video begin, and when the last one ends, in seconds from the file's start; no time
    where the index tells that none stands longer than LONG_SECONDS. See `end_seconds` for `beside`."""
    if info.demuxer == WEBP_DEMUXER:
        frames = list(webp.frame_times(source.path))
        return [start for start, _ in frames], frames[-1][1] if frames else 0.0
    if video.is_steady:
        return [], 0.0
    outlines.check_read_whole(source, info.demuxer)
    with open_container(source, (info.demuxer,)) as container:
        stream = container.streams[video.index]
        if info.demuxer == MP4_DEMUXER and timeline.is_steady(stream):
            return [], 0.0
        times = list(_packet_times(container, video, beside))
    starts = sorted(start for start, _ in times if start >= 0)
    return starts, max((end for _, end in times), default=0.0)


def track_format(source: Source, info: MediaInfo, video: VideoStream) -> tuple[Hashable, ...]:
    """Return what must be alike in videos whose packets are to stand in one track of MP4: parameter sets and all."""
    outlines.check_read_whole(source, info.demuxer)
    with open_container(source, (info.demuxer,)) as container:
        stream = container.streams[video.index]
        context = stream.codec_context
        return (
            *(stream.index, stream.time_base, context.name, context.extradata, getattr(context, "pix_fmt", None)),
            *(video.width, video.height, video.pixel_aspect, video.display_matrix, video.color_tags),
        )
