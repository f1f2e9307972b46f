"""Descriptions of the streams of an open file: which are taken, and what is known of them."""

import contextlib
import re
from collections.abc import Collection, Sequence
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream as AvAudio
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from av.stream import Stream as AvStream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideo

from encoder.media import choice, timeline
from encoder.media.containers import MP4_DEMUXER, demuxer_of, open_container
from encoder.media.info import PROTECTED_TEXT, AudioStream, ColorTags, MediaInfo, Source, VideoStream, bad_input
from encoder.media.programs import read_programs
from servicekit.errors import FailedPrecondition

# The curves of high dynamic range by their numbers in ITU-T H.273, table 3: PQ and HLG.
HDR = {16: "smpte2084", 18: "arib-std-b67"}
FULL_RANGE = 2

MAX_SIDE = 16384
MAX_PIXELS = 100_000_000
# What the largest layout that has a name has, twice over, and more than any file in use.
MAX_CHANNELS = 64
# Tags of tracks that Apple's stores protect.
PROTECTED = ("drms", "drmi")
LANGUAGE = re.compile(r"[a-z]{3}")
FIRST_FRAME_PACKETS = 256
# Of an index that is read in a fraction of a millisecond.
MAX_SEEN_FRAMES = 1000
# Frames a second: what stands for a rate where it is not known is that of the clock.
MAX_RATE = 1000
# Videos of a file of which the first frame is decoded, before the first of them is taken all the same.
MAX_TRIED = 4


def check_size(source: Source, width: int, height: int) -> None:
    """Raise InvalidArgument for a picture that is too large to be decoded."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise bad_input(
            source, f"{width}×{height} pixels are too many; {MAX_SIDE} a side and 100 megapixels are the most."
        )


def describe(source: Source, container: InputContainer, *, rotated: bool, is_still: bool) -> MediaInfo:
    """Return what an open file holds; `rotated` has the first frame of a video decoded, which tells how it is turned.
    Of a still the first picture counts.
    Raises InvalidArgument for a picture that is too large, FailedPrecondition for a file that is protected."""
    known = [stream for stream in container.streams if is_known(stream)]
    pictures = [stream for stream in known if isinstance(stream, AvVideo)]
    moving = _moving(source, container, pictures) if len(pictures) > 1 and not is_still else set()
    ranked = choice.rank_videos(pictures, moving) if moving else choice.without_covers(pictures)
    video, shown = _first_that_decodes(source, container, ranked, rotated=rotated)
    together = _program(source, container, shown)
    sounds = [stream for stream in container.streams if stream.type == "audio" and stream.id in together]
    heard = [stream for stream in sounds if isinstance(stream, AvAudio) and stream in known and _has_sound(stream)]
    if shown is None and heard:
        _check_protection(source, next(iter(container.demux(heard[0]))))
    return MediaInfo(
        demuxer=demuxer_of(container),
        duration_seconds=(container.duration or 0) / av.time_base,
        video=video,
        audio=tuple(_audio(container, stream) for stream in heard),
        subtitles=sum(stream.type == "subtitle" for stream in container.streams),
        start_seconds=(container.start_time or 0) / av.time_base,
        other_videos=tuple(_told(stream) for stream in ranked if stream is not shown and stream.index in moving),
        unreadable_audio=tuple(stream.index for stream in sounds if stream not in heard),
    )


def is_known(stream: AvStream) -> bool:
    """Return True for a stream that FFmpeg knows a decoder for; others have no codec, and are as good as absent."""
    return getattr(stream, "codec_context", None) is not None


def frame_rate(stream: AvVideo) -> Fraction:
    """Return the frames a second of a video as its file has them; 0 where it does not say."""
    rate = Fraction(stream.average_rate or stream.guessed_rate or 0)
    return rate if rate < MAX_RATE else Fraction(0)


def _moving(source: Source, container: InputContainer, streams: Sequence[AvVideo]) -> set[int]:
    """Return the indices of those streams that have more than one picture. Where the file does not say, they are
    looked for."""
    found = {stream.index for stream in streams if stream.frames > 1}
    untold = {stream.index for stream in streams if not stream.frames}
    if untold:
        seen: set[int] = set()
        with (
            open_container(source, (demuxer_of(container),)) as again,
            contextlib.suppress(av.FFmpegError),
        ):
            for packet in again.demux(*(again.streams[index] for index in untold)):
                if packet.size and packet.stream_index in seen:
                    found.add(packet.stream_index)
                seen.add(packet.stream_index)
                if untold <= found:
                    break
    return found


def _first_that_decodes(
    source: Source, container: InputContainer, ranked: Sequence[AvVideo], *, rotated: bool
) -> tuple[VideoStream | None, AvVideo | None]:
    """Return the first of some streams whose beginning decodes; the very first where none does."""
    tried: list[VideoStream] = []
    for stream in ranked[:MAX_TRIED]:
        if not tried:
            tried.append(_video(source, container, stream, rotated=rotated))
        else:  # what was read to decode the one before is gone
            with open_container(source, (demuxer_of(container),)) as again:
                anew = next(one for one in again.streams.video if one.index == stream.index)
                tried.append(_video(source, again, anew, rotated=rotated))
        if tried[-1].decodes:
            return tried[-1], stream
    return (tried[0], ranked[0]) if tried else (None, None)


def _program(source: Source, container: InputContainer, shown: AvVideo | None) -> Collection[int]:
    """Return the identifiers of the streams that go with a video: of a transport stream those of its program."""
    everything = {stream.id for stream in container.streams}
    if container.format.name != "mpegts" or shown is None or len(everything) < 3:
        return everything
    return next((program for program in read_programs(source.path) if shown.id in program), everything)


def _has_sound(stream: AvAudio) -> bool:
    """Return True if there is something in a stream of sound that can be decoded."""
    return bool(stream.codec_context.sample_rate and stream.codec_context.layout.nb_channels)


def _told(stream: AvVideo) -> str:
    return f"stream {stream.index} ({stream.codec_context.width}×{stream.codec_context.height})"


def _video(source: Source, container: InputContainer, stream: AvVideo, *, rotated: bool) -> VideoStream:
    check_size(source, stream.codec_context.width, stream.codec_context.height)
    duration = _duration(container, stream)
    first = _first_frame(source, container, stream) if rotated else None
    # Where pictures come seldom, the first one tells what the beginning of the file did not.
    width, height = stream.codec_context.width, stream.codec_context.height
    check_size(source, width, height)
    rate = frame_rate(stream)
    layout = stream.codec_context.format
    return VideoStream(
        index=stream.index,
        codec=stream.codec.canonical_name,
        width=width,
        height=height,
        rotation_degrees=_quarter_turns(first.rotation) if first is not None else 0,
        display_matrix=_display_matrix(first) if first is not None else (),
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
        frame_rate=rate,
        frames=stream.frames or round(duration * rate),
        duration_seconds=duration,
        transparent=layout is not None and (layout.has_palette or any(part.is_alpha for part in layout.components)),
        decodes=first is not None or not rotated,
        color_tags=_color_tags(first if first is not None else stream.codec_context),
        transfer=HDR.get(first.color_trc, "") if first is not None else "",
        interlaced=first is not None and bool(first.interlaced_frame),
        rgb=layout is not None and (layout.is_rgb or layout.has_palette),
        tiled=bool(stream.disposition & Disposition.dependent),
        is_steady=_is_seen_steady(container, stream),
        start_seconds=_start(container, stream),
    )


def _is_seen_steady(container: InputContainer, stream: AvVideo) -> bool:
    """Return True for a video whose index is short enough to be read by the way, and has short steps alone."""
    is_short = 0 < stream.frames <= MAX_SEEN_FRAMES
    return is_short and demuxer_of(container) == MP4_DEMUXER and timeline.is_steady(stream)


def _start(container: InputContainer, stream: AvStream) -> float:
    """Return the seconds from the file's start to the stream's."""
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    return max(float(stream.start_time * stream.time_base - timeline.start_time(container)), 0.0)


def _audio(container: InputContainer, stream: AvAudio) -> AudioStream:
    language = stream.language or ""
    layout = stream.codec_context.layout
    return AudioStream(
        index=stream.index,
        codec=stream.codec.canonical_name,
        duration_seconds=_duration(container, stream),
        bit_rate=stream.bit_rate or 0,
        sample_rate=stream.codec_context.sample_rate or 0,
        language=language if LANGUAGE.fullmatch(language) else "",
        channels=layout.nb_channels,
        layout=layout.name,
        places=tuple(channel.name for channel in layout.channels[:MAX_CHANNELS]),
        is_default=choice.is_default(stream),
        is_secondary=choice.is_secondary(stream),
    )


def _check_protection(source: Source, packet: "Packet[AvVideo] | Packet[AvAudio]") -> None:
    """Raise FailedPrecondition for a packet that nobody can decode without a key."""
    if packet.has_sidedata("encryption_info") or _tag(packet.stream) in PROTECTED:
        message = f"{source.field}: {PROTECTED_TEXT}"
        raise FailedPrecondition(message, reason="UNSUPPORTED_INPUT", fields={source.field: PROTECTED_TEXT})


def _tag(stream: AvVideo | AvAudio) -> str:
    """Return the tag that a file has for the codec of a stream; "" for one that is no text."""
    with contextlib.suppress(UnicodeDecodeError):
        return stream.codec_context.codec_tag
    return ""


def _first_frame(source: Source, container: InputContainer, stream: AvVideo) -> VideoFrame | None:
    """Return the first frame, which has the rotation and the color tags; None when it cannot be decoded."""
    # Threads would take memory for a frame each, and longer to start than one frame takes.
    stream.codec_context.thread_count = 1
    with contextlib.suppress(av.FFmpegError):
        for count, packet in enumerate(container.demux(stream)):
            _check_protection(source, packet)
            for frame in stream.decode(packet):
                return frame
            if count >= FIRST_FRAME_PACKETS:
                break
    return None


def _quarter_turns(degrees: float) -> int:
    """Return the turn of a picture where it is one of 90, 180 or 270 degrees; by any other its size stays, as FFmpeg
    has it."""
    nearest = round(degrees / 90) * 90
    return nearest % 360 if abs(degrees - nearest) < 1 else 0


def _display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)  # type: ignore[call-overload]  # as its __getitem__ is
    return tuple(np.frombuffer(bytes(matrix), np.int32).tolist()) if matrix is not None else ()


def _color_tags(told: VideoFrame | VideoCodecContext) -> ColorTags:
    return ColorTags(told.color_primaries, told.color_trc, told.colorspace, told.color_range == FULL_RANGE)


def _duration(container: InputContainer, stream: AvStream) -> float:
    """Return the seconds from the file's start to the stream's end; 0 when the file does not say."""
    # The clock of fragments need not begin at 0: what stands there for a length is the time at the end.
    fragmented = container.format.name.startswith("mov") and not stream.frames
    if fragmented or timeline.may_jump(container.format):
        return 0.0
    if stream.duration is None or stream.time_base is None:
        return (container.duration or 0) / av.time_base
    start = (stream.start_time or 0) * stream.time_base - timeline.start_time(container)
    return float(start + stream.duration * stream.time_base)
