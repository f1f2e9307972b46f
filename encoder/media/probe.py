"""Probing: what a file of one kind holds, and whether it is one."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from encoder.media import heif, outlines, png, webp
from encoder.media.containers import (
    AUDIO_DEMUXERS,
    DAMAGED,
    HEIF_BRANDS,
    HEIF_DEMUXERS,
    IMAGE_DEMUXERS,
    IMAGES,
    MP4_DEMUXER,
    VIDEO_DEMUXERS,
    WEBP_DEMUXER,
    check_claims,
    open_container,
)
from encoder.media.counting import PacketCount, count_packets, ends_early
from encoder.media.facts import note_film
from encoder.media.info import ANIMATIONS, CUT_OFF_TEXT, AudioStream, MediaInfo, Source, Stream, VideoStream, bad_input
from encoder.media.sizes import Sizes, read_sizes, read_sizes_again
from encoder.media.streams import check_size, describe

HEAD_BYTES = 64
# Their heads tell how long they are, and their ends do not tell when something is missing.
COUNTED = ("mp3", "flac")


def probe(source: Source, demuxers: tuple[str, ...]) -> MediaInfo:
    """Return what the file holds. Raises InvalidArgument when none of `demuxers` opens it, or its picture is too
    large."""
    if MP4_DEMUXER in demuxers:
        check_claims(source)
    is_still = demuxers in (IMAGE_DEMUXERS, HEIF_DEMUXERS)
    # FFmpeg unpacks the whole picture of a PNG for what its head tells.
    with open_container(source, demuxers, png.read_head(source.path) if is_still else b"") as container:
        return describe(source, container, rotated=demuxers == VIDEO_DEMUXERS, is_still=is_still)


def probe_video(source: Source) -> tuple[MediaInfo, VideoStream]:
    """Probe a file that must hold a moving picture. Where it does not say how long it is, packets are counted."""
    animation = _describe_webp_animation(source, as_video=True)
    info, sizes = (animation, None) if animation is not None else _probe_film(source)
    if info.video is None:
        raise bad_input(source, "the file has no video stream; give a video.")
    check_size(source, info.video.width, info.video.height)
    if info.demuxer in ANIMATIONS and info.video.duration_seconds and info.video.frames <= 1:
        raise bad_input(source, "it is a picture that does not move; give a video, or make a clip of it with img2vid.")
    if info.demuxer == WEBP_DEMUXER:  # which the libraries that probe do not know
        note_film(source, info, info.video)
        return info, info.video
    info = _check_end(source, info, [info.video, *info.audio], is_counted=not info.video.duration_seconds)
    assert info.video is not None
    video = on_canvas(source, info, info.video, sizes)
    note_film(source, info, video)
    return replace(info, video=video), video


def _probe_film(source: Source) -> tuple[MediaInfo, tuple[Sizes, ...] | None]:
    """Return what a film holds, and the sizes of its pictures, where it need not be opened once more for them."""
    check_claims(source)
    with open_container(source, VIDEO_DEMUXERS) as container:
        info = describe(source, container, rotated=True, is_still=False)
        sizes = read_sizes_again(container, info.demuxer, info.video) if info.video else None
    return info, sizes


def on_canvas(
    source: Source, info: MediaInfo, video: VideoStream, sizes: tuple[Sizes, ...] | None = None
) -> VideoStream:
    """Return a video with the largest of its sizes, where they change in mid-file; they are looked for, unless they are
    given. Raises InvalidArgument for one that is too large."""
    sizes = read_sizes(source, info.demuxer, video) if sizes is None else sizes
    if len(sizes) < 2:
        return video
    for size in sizes:
        check_size(source, *size)
    width, height = (-(-side // 2) * 2 for side in max(sizes, key=math.prod))
    return replace(video, width=width, height=height, sizes=sizes)


def _check_end(source: Source, info: MediaInfo, streams: Sequence[Stream], *, is_counted: bool) -> MediaInfo:
    """Return the info of a file with the lengths of these streams as they are, where they are to be counted, or may end
    too early. Raises InvalidArgument for a file that is cut off, unless the request allows for it."""
    cut_off = ends_early(source, info.demuxer)
    if (is_counted and not cut_off) or source.allow_partial:
        outlines.check_read_whole(source, info.demuxer)
        with open_container(source, (info.demuxer,)) as container:
            count = count_packets(container, [container.streams[stream.index] for stream in streams])
        cut_off = cut_off or ends_early(source, info.demuxer, streams, count)
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
    """Probe a file that must hold sound."""
    info = probe(source, AUDIO_DEMUXERS)
    if info.sound is None:
        what = "no audio stream that can be decoded" if info.unreadable_audio else "no audio stream"
        raise bad_input(source, f"the file has {what}; give an audio file, or a video with sound.")
    info = _check_end(source, info, [info.sound], is_counted=info.demuxer in COUNTED)
    assert info.sound is not None
    note_film(source, info, info.sound)
    return info, info.sound
