"""Probing: what a file of one kind holds, and whether it is one."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from encoder.media import mp4_boxes, wholeness
from encoder.media.containers import (
    AUDIO_DEMUXERS,
    DAMAGED,
    HEIF_BRANDS,
    HEIF_DEMUXERS,
    IMAGE_DEMUXERS,
    IMAGES,
    MP4_DEMUXER,
    VIDEO_DEMUXERS,
    check_claims,
    open_container,
)
from encoder.media.counting import PacketCount, count_packets
from encoder.media.info import CUT_OFF_TEXT, AudioStream, MediaInfo, Source, Stream, VideoStream, bad_input
from encoder.media.sizes import read_sizes
from encoder.media.streams import check_size, describe

# Of animated WebP; source: WebP Container Specification, "Extended File Format".
WEBP_DEMUXER = "webp_anim"
WEBP_ANIMATION, WEBP_ALPHA = 0x02, 0x10
HEAD_BYTES = 64
# Their heads tell how long they are, and their ends do not tell when something is missing.
COUNTED = ("mp3", "flac")


def probe(source: Source, demuxers: tuple[str, ...]) -> MediaInfo:
    """Return what the file holds. Raises InvalidArgument when none of `demuxers` opens it, or its picture is too
    large."""
    if MP4_DEMUXER in demuxers:
        check_claims(source)
    with open_container(source, demuxers) as container:
        is_still = demuxers in (IMAGE_DEMUXERS, HEIF_DEMUXERS)
        return describe(source, container, rotated=demuxers == VIDEO_DEMUXERS, is_still=is_still)


def probe_video(source: Source) -> tuple[MediaInfo, VideoStream]:
    """Probe a file that must hold a moving picture. Where it does not say how long it is, packets are counted."""
    info = probe(source, VIDEO_DEMUXERS)
    if info.video is None:
        raise bad_input(source, "the file has no video stream; give a video.")
    info = _check_end(source, info, [info.video, *info.audio], is_counted=not info.video.duration_seconds)
    assert info.video is not None
    video = _on_canvas(source, info, info.video)
    return replace(info, video=video), video


def _on_canvas(source: Source, info: MediaInfo, video: VideoStream) -> VideoStream:
    """Return a video with the largest of its sizes, where they change in mid-file."""
    sizes = read_sizes(source, info.demuxer, video.index)
    if len(sizes) < 2:
        return video
    for size in sizes:
        check_size(source, *size)
    width, height = (-(-side // 2) * 2 for side in max(sizes, key=math.prod))
    return replace(video, width=width, height=height, sizes=sizes)


def _check_end(source: Source, info: MediaInfo, streams: Sequence[Stream], *, is_counted: bool) -> MediaInfo:
    """Return the info of a file with the lengths of these streams as they are, where they are to be counted, or may end
    too early. Raises InvalidArgument for a file that is cut off, unless the request allows for it."""
    cut_off = wholeness.is_cut_off(source.path, info.demuxer)
    if (is_counted and not cut_off) or source.allow_partial:
        with open_container(source, (info.demuxer,)) as container:
            count = count_packets(container, [container.streams[stream.index] for stream in streams])
        promised, seconds = max(stream.duration_seconds for stream in streams), max(count.ends.values())
        cut_off |= count.is_cut_off or wholeness.falls_short(source.path, info.demuxer, promised, seconds)
        info = _with_count(info, count)
    if cut_off and not source.allow_partial:
        raise bad_input(source, CUT_OFF_TEXT)
    return replace(info, is_cut_off=cut_off)


def _with_count(info: MediaInfo, count: PacketCount) -> MediaInfo:
    audio = tuple(replace(stream, duration_seconds=count.ends.get(stream.index, 0.0)) for stream in info.audio)
    video = info.video
    if video is not None and video.index in count.ends:
        video = replace(video, frames=count.packets[video.index], duration_seconds=count.ends[video.index])
    return replace(info, duration_seconds=max(count.ends.values()), video=video, audio=audio, is_counted=True)


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
    is_cut_off = source.allow_partial and wholeness.is_still_cut_off(source.path)
    return replace(info, is_cut_off=is_cut_off), info.video


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
    info = _check_end(source, info, [info.sound], is_counted=info.demuxer in COUNTED)
    assert info.sound is not None
    return info, info.sound
