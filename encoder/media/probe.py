"""Probing: the streams of a file, by PyAV. Only containers that cannot name other files are opened.

A playlist (HLS, DASH, ffconcat, SDP) or an image pattern makes FFmpeg read files that nobody uploaded, whatever the
file's name says. So each kind of input has a list of demuxers that may open it, and FFmpeg is later told to use the one
that did, rather than to guess again.
"""

import contextlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream as AvAudio
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from av.stream import Stream as AvStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideo

from encoder.media import choice, mp4_boxes, mp4_claims, timeline
from encoder.media.info import UNKNOWN, AudioStream, ColorTags, MediaInfo, Source, VideoStream, bad_input
from encoder.media.programs import read_programs
from encoder.media.reading import note_reading
from servicekit.errors import FailedPrecondition

Stream = VideoStream | AudioStream

MP4_DEMUXER = "mov"
VIDEO_DEMUXERS = (MP4_DEMUXER, "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "nut")
AUDIO_DEMUXERS = (
    *VIDEO_DEMUXERS,
    *("mp3", "wav", "w64", "flac", "aac", "aiff", "caf", "au", "amr", "ac3", "eac3", "dts", "wv", "ape", "tta"),
)
IMAGE_DEMUXERS = ("png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "tiff_pipe", "gif", "apng", "mjpeg")
# AVIF and HEIC are of the family of MP4: what sets a still apart from a video is its brand.
HEIF_DEMUXERS = (MP4_DEMUXER,)
HEIF_BRANDS = ("avif", "avis", "heic", "heix", "heim", "heis", "mif1")

# The curves of high dynamic range by their numbers in ITU-T H.273, table 3: PQ and HLG.
HDR = {16: "smpte2084", 18: "arib-std-b67"}
FULL_RANGE = 2

# Of animated WebP; source: WebP Container Specification, "Extended File Format".
WEBP_DEMUXER = "webp_anim"
WEBP_ANIMATION, WEBP_ALPHA = 0x02, 0x10

MAX_SIDE = 16384
MAX_PIXELS = 100_000_000
HEAD_BYTES = 64
# What the largest layout that has a name has, twice over, and more than any file in use.
MAX_CHANNELS = 64
# Tags of tracks that Apple's stores protect.
PROTECTED = ("drms", "drmi")
LANGUAGE = re.compile(r"[a-z]{3}")
OPEN_SECONDS = 30.0
FIRST_FRAME_PACKETS = 256
# Videos of a file of which the first frame is decoded, before the first of them is taken all the same.
MAX_TRIED = 4
DAMAGED = "the file is damaged; send it again, or convert it first."
IMAGES = "PNG, JPEG, WebP, AVIF, HEIC, BMP, TIFF or GIF"
ACCEPTED = {
    VIDEO_DEMUXERS: ("a video", "MP4, MOV, MKV, WebM, AVI, MPEG-TS, FLV or WMV"),
    AUDIO_DEMUXERS: ("audio", "MP3, M4A, AAC, WAV, FLAC, Ogg or a video with sound"),
    IMAGE_DEMUXERS: ("an image", IMAGES),
}


def probe(source: Source, demuxers: tuple[str, ...]) -> MediaInfo:
    """Return what the file holds. Raises InvalidArgument when none of `demuxers` opens it, or its picture is too
    large."""
    if MP4_DEMUXER in demuxers:
        _check_claims(source)
    with open_container(source, demuxers) as container:
        return _describe(source, container, rotated=demuxers == VIDEO_DEMUXERS)


def _check_claims(source: Source) -> None:
    try:
        mp4_claims.check_claims(source.path)
    except mp4_claims.TooManySamples as error:
        text = "its index claims more pictures and samples than the file can hold; convert it first."
        raise bad_input(source, text) from error


def probe_video(source: Source) -> tuple[MediaInfo, VideoStream]:
    """Probe a file that must hold a moving picture. Where it does not say how long it is, packets are counted."""
    info = probe(source, VIDEO_DEMUXERS)
    if info.video is None:
        raise bad_input(source, "the file has no video stream; give a video.")
    return (info, info.video) if info.video.duration_seconds else _probe_packets(source, info, info.video)


def _probe_packets(source: Source, info: MediaInfo, video: VideoStream) -> tuple[MediaInfo, VideoStream]:
    streams: list[Stream] = [video, *info.audio]
    ends, frames = {stream.index: 0.0 for stream in streams}, 0
    with open_container(source, (info.demuxer,)) as container:
        for index, _, end in timeline.iter_packets(container, [container.streams[index] for index in ends]):
            ends[index] = max(ends[index], end)
            frames += index == video.index
    video = replace(video, frames=frames, duration_seconds=ends[video.index])
    audio = tuple(replace(stream, duration_seconds=ends[stream.index]) for stream in info.audio)
    return replace(info, duration_seconds=max(ends.values()), video=video, audio=audio), video


def probe_image(source: Source) -> tuple[MediaInfo, VideoStream]:
    """Probe a file that must be a still; of an animation the first frame counts."""
    with source.path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head[4:8] == b"ftyp" and head[8:12].decode("latin-1") in HEIF_BRANDS:
        info = _with_grid_size(source, probe(source, HEIF_DEMUXERS))
    else:
        info = _describe_webp_animation(head) or probe(source, IMAGE_DEMUXERS)
    if info.video is None or not info.video.width:
        raise bad_input(source, f"the image cannot be read; give {IMAGES}.")
    check_size(source, info.video.width, info.video.height)
    return info, info.video


def _describe_webp_animation(head: bytes) -> MediaInfo | None:
    """Return the first frame of an animated WebP by its header (30 bytes suffice); None when the file is none. The
    libraries that probe know only stills of WebP, FFmpeg decodes both."""
    if head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or len(head) < 30 or not head[20] & WEBP_ANIMATION:
        return None
    width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    stream = VideoStream(
        index=0,
        codec="webp",
        width=width,
        height=height,
        rotation_degrees=0,
        pixel_aspect=Fraction(1),
        frame_rate=Fraction(0),
        frames=1,
        duration_seconds=0.0,
        transparent=bool(head[20] & WEBP_ALPHA),
    )
    return MediaInfo(WEBP_DEMUXER, 0.0, stream, ())


def _with_grid_size(source: Source, info: MediaInfo) -> MediaInfo:
    """Return the info of a HEIF file with the size of the whole picture, where only a tile was described."""
    if info.video is None or not info.video.tiled:
        return info
    try:
        width, height = mp4_boxes.grid_size(source.path)
    except ValueError as error:
        raise bad_input(source, DAMAGED) from error
    return replace(info, video=replace(info.video, width=width, height=height))


def probe_audio(source: Source) -> tuple[MediaInfo, AudioStream]:
    """Probe a file that must hold sound."""
    info = probe(source, AUDIO_DEMUXERS)
    if info.sound is None:
        what = "no audio stream that can be decoded" if info.unreadable_audio else "no audio stream"
        raise bad_input(source, f"the file has {what}; give an audio file, or a video with sound.")
    return info, info.sound


@contextlib.contextmanager
def open_container(source: Source, demuxers: tuple[str, ...]) -> Iterator[InputContainer]:
    """Open a file by one of these demuxers until the block is left. Raises InvalidArgument, also for damage that the
    block meets."""
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
    pictures = [stream for stream in known if isinstance(stream, AvVideo)]
    moving = _moving(source, container, pictures) if rotated and len(pictures) > 1 else set()
    ranked = choice.rank_videos(pictures, moving) if moving else choice.without_covers(pictures)
    video, shown = _first_that_decodes(source, container, ranked, rotated=rotated)
    together = _program(source, container, shown)
    sounds = [stream for stream in container.streams if stream.type == "audio" and stream.id in together]
    heard = [stream for stream in sounds if isinstance(stream, AvAudio) and stream in known and _has_sound(stream)]
    if shown is None and heard:
        _check_protection(source, next(iter(container.demux(heard[0]))))
    return MediaInfo(
        demuxer=container.format.name.split(",")[0],
        duration_seconds=(container.duration or 0) / av.time_base,
        video=video,
        audio=tuple(_audio(container, stream) for stream in heard),
        subtitles=sum(stream.type == "subtitle" for stream in container.streams),
        start_seconds=(container.start_time or 0) / av.time_base,
        other_videos=tuple(_told(stream) for stream in ranked if stream is not shown and stream.index in moving),
        unreadable_audio=tuple(stream.index for stream in sounds if stream not in heard),
    )


def _moving(source: Source, container: InputContainer, streams: Sequence[AvVideo]) -> set[int]:
    """Return the indices of those streams that have more than one picture. Where the file does not say, they are
    looked for."""
    found = {stream.index for stream in streams if stream.frames > 1}
    untold = {stream.index for stream in streams if not stream.frames}
    if untold:
        seen: set[int] = set()
        with (
            open_container(source, (container.format.name.split(",")[0],)) as again,
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
            with open_container(source, (container.format.name.split(",")[0],)) as again:
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
    width, height = stream.codec_context.width, stream.codec_context.height
    check_size(source, width, height)
    rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    duration = _duration(container, stream)
    first = _first_frame(source, container, stream) if rotated else None
    layout = stream.codec_context.format
    return VideoStream(
        index=stream.index,
        codec=stream.codec.canonical_name,
        width=width,
        height=height,
        rotation_degrees=_quarter_turns(first.rotation) if first is not None else 0,
        display_matrix=_display_matrix(first) if first is not None else (),
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
        frame_rate=Fraction(rate),
        frames=stream.frames or round(duration * rate),
        duration_seconds=duration,
        transparent=layout is not None and (layout.has_palette or any(part.is_alpha for part in layout.components)),
        decodes=first is not None or not rotated,
        color_tags=_color_tags(first) if first is not None else UNKNOWN,
        transfer=HDR.get(first.color_trc, "") if first is not None else "",
        interlaced=first is not None and bool(first.interlaced_frame),
        rgb=layout is not None and (layout.is_rgb or layout.has_palette),
        tiled=bool(stream.disposition & Disposition.dependent),
    )


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
    if packet.has_sidedata("encryption_info") or packet.stream.codec_context.codec_tag in PROTECTED:
        text = "the file is protected from copying (DRM, encrypted); give one that plays without a key."
        message = f"{source.field}: {text}"
        raise FailedPrecondition(message, reason="UNSUPPORTED_INPUT", fields={source.field: text})


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
    matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    return tuple(np.frombuffer(bytes(matrix), np.int32).tolist()) if matrix is not None else ()


def _color_tags(frame: VideoFrame) -> ColorTags:
    return ColorTags(frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range == FULL_RANGE)


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
