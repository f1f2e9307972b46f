"""Probing: the streams of a file, by PyAV. Only containers that cannot name other files are opened.

A playlist (HLS, DASH, ffconcat, SDP) or an image pattern makes FFmpeg read files that nobody uploaded, whatever the
file's name says. So each kind of input has a list of demuxers that may open it, and FFmpeg is later told to use the one
that did, rather than to guess again.
"""

import contextlib
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import av
from av.audio.stream import AudioStream as AvAudio
from av.container import InputContainer
from av.stream import Disposition
from av.stream import Stream as AvStream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideo

from encoder.media import heif, mp4_claims, timeline, webp
from encoder.media.info import ANIMATIONS, AudioStream, ColorTags, MediaInfo, Source, VideoStream, bad_input
from encoder.media.reading import note_reading

Stream = VideoStream | AudioStream

MP4_DEMUXER = "mov"
WEBP_DEMUXER = "webp_anim"
VIDEO_DEMUXERS = (MP4_DEMUXER, "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "nut", "gif", "apng")
AUDIO_DEMUXERS = (
    *VIDEO_DEMUXERS,
    *("mp3", "wav", "w64", "flac", "aac", "aiff", "caf", "au", "amr", "ac3", "eac3", "dts", "wv", "ape", "tta"),
)
# Not TIFF, of which FFmpeg makes black where it knows not what is inside: see media/stills.py.
IMAGE_DEMUXERS = ("png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "gif", "apng", "mjpeg")
# AVIF and HEIC are of the family of MP4: what sets a still apart from a video is its brand.
HEIF_DEMUXERS = (MP4_DEMUXER,)
HEIF_BRANDS = ("avif", "avis", "heic", "heix", "heim", "heis", "mif1")
# These write the length of each stream down; with the others it is a guess from the bit rate, or that of the whole.
EXACT_DURATION = ("mov", "wav", "w64", "flac", "aiff", "caf", WEBP_DEMUXER)

# The curves of high dynamic range by their numbers in ITU-T H.273, table 3: PQ and HLG.
HDR = {16: "smpte2084", 18: "arib-std-b67"}
FULL_RANGE = 2

MAX_SIDE = 16384
MAX_PIXELS = 100_000_000
HEAD_BYTES = 64
LANGUAGE = re.compile(r"[a-z]{3}")
OPEN_SECONDS = 30.0
FIRST_FRAME_PACKETS = 256
# A picture that begins so close to a cut is one that begins at it: files round their times, to a millisecond at worst.
CLOCK_SECONDS = 1e-3
# The most by which pictures are stored after one that is shown later, where files do not tell.
REORDERED_SECONDS = 2.0
DAMAGED = "the file is damaged; send it again, or convert it first."
IMAGES = "PNG, JPEG, WebP, AVIF, HEIC, BMP, TIFF or GIF"
ACCEPTED = {
    VIDEO_DEMUXERS: ("a video", "MP4, MOV, MKV, WebM, AVI, MPEG-TS, FLV, WMV, GIF or animated WebP"),
    AUDIO_DEMUXERS: ("audio", "MP3, M4A, AAC, WAV, FLAC, Ogg or a video with sound"),
    IMAGE_DEMUXERS: ("an image", IMAGES),
}


def probe(source: Source, demuxers: tuple[str, ...]) -> MediaInfo:
    """Return what the file holds. Raises InvalidArgument when none of `demuxers` opens it, or its picture is too
    large."""
    if MP4_DEMUXER in demuxers:
        _check_claims(source)
    with _open(source, demuxers) as container:
        return _describe(source, container, rotated=demuxers == VIDEO_DEMUXERS)


def _check_claims(source: Source) -> None:
    try:
        mp4_claims.check_claims(source.path)
    except mp4_claims.TooManySamples as error:
        text = "its index claims more pictures and samples than the file can hold; convert it first."
        raise bad_input(source, text) from error


def probe_video(source: Source) -> tuple[MediaInfo, VideoStream]:
    """Probe a file that must hold a moving picture. Where it does not say how long it is, packets are counted."""
    info = _describe_webp_animation(source, as_video=True) or probe(source, VIDEO_DEMUXERS)
    if info.video is None:
        raise bad_input(source, "the file has no video stream; give a video.")
    check_size(source, info.video.width, info.video.height)
    if info.demuxer in ANIMATIONS and info.video.duration_seconds and info.video.frames <= 1:
        raise bad_input(source, "it is a picture that does not move; give a video, or make a clip of it with img2vid.")
    return (info, info.video) if info.video.duration_seconds else _probe_packets(source, info, info.video)


def _probe_packets(source: Source, info: MediaInfo, video: VideoStream) -> tuple[MediaInfo, VideoStream]:
    streams: list[Stream] = [video, *info.audio]
    ends, frames = {stream.index: 0.0 for stream in streams}, 0
    with _open(source, (info.demuxer,)) as container:
        for index, _, end in timeline.iter_packets(container, [container.streams[index] for index in ends]):
            ends[index] = max(ends[index], end)
            frames += index == video.index
    video = replace(video, frames=frames, duration_seconds=ends[video.index])
    audio = tuple(replace(stream, duration_seconds=ends[stream.index]) for stream in info.audio)
    return replace(info, duration_seconds=max(ends.values()), video=video, audio=audio), video


def probe_image(source: Source) -> tuple[MediaInfo, VideoStream]:
    """Probe a file that must be a still; of an animation the first frame counts."""
    if is_heif(source):
        info = _with_grid_size(source, probe(source, HEIF_DEMUXERS))
    else:
        info = _describe_webp_animation(source) or probe(source, IMAGE_DEMUXERS)
    if info.video is None or not info.video.width:
        raise bad_input(source, f"the image cannot be read; give {IMAGES}.")
    check_size(source, info.video.width, info.video.height)
    return info, info.video


def is_heif(source: Source) -> bool:
    """Return True for a file that says it is a picture of HEIF: HEIC or AVIF."""
    first = head(source)
    if first[4:8] != b"ftyp":
        return False
    # The brand of the file, then those that it is compatible with, as far as they stand at its beginning.
    brands = {first[place : place + 4].decode("latin-1") for place in (8, *range(16, min(first[3], HEAD_BYTES), 4))}
    return not brands.isdisjoint(HEIF_BRANDS)


def head(source: Source) -> bytes:
    """Return the first HEAD_BYTES of a file."""
    with source.path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _describe_webp_animation(source: Source, *, as_video: bool = False) -> MediaInfo | None:
    """Return an animated WebP, or its first frame; None when the file is none."""
    found = webp.describe(head(source))
    if found is None:
        return None
    times = list(webp.frame_times(source.path)) if as_video else []
    seconds = times[-1][1] if times else 0.0
    stream = VideoStream(
        index=0,
        codec="webp",
        width=found.width,
        height=found.height,
        rotation_degrees=0,
        pixel_aspect=Fraction(1),
        frame_rate=Fraction(round(1000 * len(times) / seconds), 1000) if seconds else Fraction(0),
        frames=len(times) if as_video else 1,
        duration_seconds=seconds,
        transparent=found.transparent,
        rgb=True,
    )
    return MediaInfo(WEBP_DEMUXER, seconds, stream, ())


def _with_grid_size(source: Source, info: MediaInfo) -> MediaInfo:
    """Return the info of a HEIF file with the size of the whole picture, where only a tile was described."""
    if info.video is None or not info.video.tiled:
        return info
    try:
        whole = heif.describe(source.path)
    except ValueError as error:
        raise bad_input(source, DAMAGED) from error
    return replace(info, video=replace(info.video, width=whole.width, height=whole.height))


def probe_audio(source: Source) -> tuple[MediaInfo, AudioStream]:
    """Probe a file that must hold sound; the first audio stream is the one that counts."""
    info = probe(source, AUDIO_DEMUXERS)
    if not info.audio:
        raise bad_input(source, "the file has no audio stream; give an audio file, or a video with sound.")
    return info, info.audio[0]


def end_seconds(source: Source, info: MediaInfo, stream: Stream, beside: Sequence[Stream] = ()) -> float:
    """Return the seconds from the file's start to the end of one stream; counted by its packets where the file does not
    say. `beside` are the other streams that the same run of FFmpeg reads."""
    if stream.duration_seconds and info.demuxer in EXACT_DURATION:
        return stream.duration_seconds
    with _open(source, (info.demuxer,)) as container:
        return max((end for _, end in _packet_times(container, stream, beside)), default=0.0)


def start_seconds(source: Source, info: MediaInfo, stream: Stream, beside: Sequence[Stream] = ()) -> float:
    """Return the seconds from the file's start to the start of one stream; see `end_seconds` for `beside`."""
    if info.demuxer == WEBP_DEMUXER:
        return 0.0
    with _open(source, (info.demuxer,)) as container:
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
    with _open(source, (info.demuxer,)) as container:
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
    with _open(source, (info.demuxer,)) as container:
        stream = container.streams[video.index]
        begin = timeline.start_time(container, [stream])
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


def track_format(source: Source, info: MediaInfo, video: VideoStream) -> tuple[Hashable, ...]:
    """Return what must be alike in videos whose packets are to stand in one track of MP4: parameter sets and all."""
    with _open(source, (info.demuxer,)) as container:
        stream = container.streams[video.index]
        context = stream.codec_context
        return (
            *(stream.index, stream.time_base, context.name, context.extradata, getattr(context, "pix_fmt", None)),
            *(video.width, video.height, video.pixel_aspect, video.rotation_degrees, video.color_tags),
        )


def is_copyable(source: Source, info: MediaInfo, video: VideoStream) -> bool:
    """Whether the packets of a video can be put after those of another: all are timed, none is cut away by an edit
    list, and the first needs no other."""
    with _open(source, (info.demuxer,)) as container:
        is_first = True
        for packet in container.demux(container.streams[video.index]):
            if packet.size and (packet.pts is None or packet.is_discard):
                return False
            if is_first and not packet.is_keyframe:
                return False
            is_first = False
        return not is_first


@contextlib.contextmanager
def _open(source: Source, demuxers: tuple[str, ...]) -> Iterator[InputContainer]:
    options = {"format_whitelist": ",".join(demuxers), "protocol_whitelist": "file"}
    note_reading(source.field)
    try:
        container = av.open(str(source.path), container_options=options, timeout=OPEN_SECONDS)
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:
        what, accepted = ACCEPTED.get(demuxers, ("", ""))
        text = f"the file is not {what} that can be read, or it is cut off; give {accepted}." if what else DAMAGED
        raise bad_input(source, text) from error
    with container:
        try:
            yield container
        except MemoryError:
            raise
        except (av.FFmpegError, IndexError) as error:  # streams of a damaged file can come and go
            raise bad_input(source, DAMAGED) from error


def check_size(source: Source, width: int, height: int) -> None:
    """Raise InvalidArgument for a picture that is too large to be decoded."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise bad_input(
            source, f"{width}×{height} pixels are too many; {MAX_SIDE} a side and 100 megapixels are the most."
        )


def _describe(source: Source, container: InputContainer, *, rotated: bool) -> MediaInfo:
    # What FFmpeg knows no decoder for has no codec: such streams are as good as absent.
    known = [stream for stream in container.streams if getattr(stream, "codec_context", None) is not None]
    pictures = (s for s in known if isinstance(s, AvVideo) and not s.disposition & Disposition.attached_pic)
    video = next(pictures, None)
    return MediaInfo(
        demuxer=container.format.name.split(",")[0],
        duration_seconds=(container.duration or 0) / av.time_base,
        video=_video(source, container, video, rotated=rotated) if video is not None else None,
        audio=tuple(_audio(container, stream) for stream in known if isinstance(stream, AvAudio)),
        subtitles=sum(stream.type == "subtitle" for stream in container.streams),
        start_seconds=(container.start_time or 0) / av.time_base,
    )


def _video(source: Source, container: InputContainer, stream: AvVideo, *, rotated: bool) -> VideoStream:
    width, height = stream.codec_context.width, stream.codec_context.height
    check_size(source, width, height)
    rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    duration = _duration(container, stream)
    first = _first_frame(container, stream) if rotated else None
    layout = stream.codec_context.format
    return VideoStream(
        index=stream.index,
        codec=stream.codec.canonical_name,
        width=width,
        height=height,
        rotation_degrees=round(first.rotation / 90) * 90 % 360 if first is not None else 0,
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
        frame_rate=Fraction(rate),
        frames=stream.frames or round(duration * rate),
        duration_seconds=duration,
        transparent=layout is not None and (layout.has_palette or any(part.is_alpha for part in layout.components)),
        decodes=first is not None or not rotated,
        color_tags=_color_tags(first if first is not None else stream.codec_context),
        transfer=HDR.get(first.color_trc, "") if first is not None else "",
        interlaced=first is not None and bool(first.interlaced_frame),
        rgb=layout is not None and (layout.is_rgb or layout.has_palette),
        tiled=bool(stream.disposition & Disposition.dependent),
    )


def _audio(container: InputContainer, stream: AvAudio) -> AudioStream:
    language = stream.language or ""
    return AudioStream(
        index=stream.index,
        codec=stream.codec.canonical_name,
        duration_seconds=_duration(container, stream),
        bit_rate=stream.bit_rate or 0,
        sample_rate=stream.codec_context.sample_rate or 0,
        language=language if LANGUAGE.fullmatch(language) else "",
    )


def _first_frame(container: InputContainer, stream: AvVideo) -> VideoFrame | None:
    """Return the first frame, which has the rotation and the color tags; None when it cannot be decoded."""
    # Threads would take memory for a frame each, and longer to start than one frame takes.
    stream.codec_context.thread_count = 1
    with contextlib.suppress(av.FFmpegError):
        for count, packet in enumerate(container.demux(stream)):
            for frame in stream.decode(packet):
                return frame
            if count >= FIRST_FRAME_PACKETS:
                break
    return None


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
