"""What an image holds, told in full, and what is made of it where it is used as a still."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags

from apigpu.v1 import probe_pb2, video_pb2
from encoder.media import heif, media_report, probe, still_colors, stills
from encoder.media.containers import HEIF_DEMUXERS, IMAGE_DEMUXERS, open_container
from encoder.media.info import ANIMATIONS, Source
from encoder.media.stills import Still
from servicekit.errors import ServiceError

HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", *stills.TIFF_HEADS)
FORMATS = {"mpo": "jpeg"}
SPACES = {"CMYK": still_colors.CMYK, **dict.fromkeys(stills.GRAY_MODES, still_colors.GRAY)}
# Formats that may have several pictures that are no animation.
PAGED = ("mpo", "tiff")
TELLING = ("png", "jpeg", "webp", "avif", "heic")


@dataclass(frozen=True)
class ReportedStill:
    """What an image holds, and what is to be known where it is used."""

    report: probe_pb2.MediaReport
    warnings: Sequence[video_pb2.Warning]


def is_image(source: Source) -> bool:
    """Return True for a file that says it is an image."""
    head = probe.head(source)
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith(HEADS) or is_webp or probe.is_heif(source)


def describe(source: Source, folder: Path) -> ReportedStill:
    """Return what an image holds; what must be decoded for it lies in `folder`. Raises InvalidArgument for one that
    cannot be used."""
    still = stills.prepare(source, folder)
    with stills.opened(source) as picture:
        image = _describe(source, still, picture)
        report = probe_pb2.MediaReport(
            kind=probe_pb2.MediaReport.IMAGE,
            container=_format(source, still, picture),
            size_bytes=source.path.stat().st_size,
            image=image,
        )
        if report.container in TELLING:
            report.whole = not stills.is_cut_off(source, picture)
    if image.animated:
        _add_times(source, report)
    return ReportedStill(report, still.warnings)


def _format(source: Source, still: Still, picture: Any) -> str:
    if picture is None:  # Pillow does not read it, and FFmpeg does
        return "heic" if probe.is_heif(source) else still.info.demuxer.removesuffix("_pipe")
    name = str(picture.format).lower()
    return FORMATS.get(name, name)


def _describe(source: Source, still: Still, picture: Any) -> probe_pb2.ImageReport:
    width, height = still.video.rotated_size
    turned = stills.turned_degrees(source, picture)
    if picture is not None:
        width, height = picture.size
    if turned % 180:
        width, height = height, width
    frames = stills.attempt(lambda: int(picture.n_frames), 1) if picture is not None else 1
    image = probe_pb2.ImageReport(
        width=width,
        height=height,
        rotation=turned,
        transparent=still.video.transparent,
        animated=frames > 1 and picture.format.lower() not in PAGED,
        frames=frames,
        color_space=SPACES.get(picture.mode, still_colors.RGB) if picture is not None else still_colors.RGB,
    )
    media_report.add_colors(image.color, still.video.color_tags)
    if name := _profile_name(source, picture):
        image.color_profile = name
    if bits := _bits(source, picture):
        image.bit_depth = bits
    return image


def _profile_name(source: Source, picture: Any) -> str:
    data = picture.info.get("icc_profile") if picture is not None else None
    if picture is None and probe.is_heif(source):
        data = heif.describe(source.path).profile
    if not data:
        return ""
    try:
        return still_colors.Profile(data).name or "unnamed"
    except still_colors.BadProfile:
        return "damaged"


def _bits(source: Source, picture: Any) -> int:
    """Return the bits of a sample; 0 where nothing tells."""
    if picture is not None and picture.mode == "1":
        return 1
    if picture is not None and picture.mode in stills.DEEP_GRAY:
        return 16
    if picture is not None and picture.format == "TIFF":
        told = stills.attempt(lambda: picture.tag_v2.get(ExifTags.Base.BitsPerSample), None)
        return max(told) if isinstance(told, tuple) and told else int(told or 0)
    demuxers = HEIF_DEMUXERS if probe.is_heif(source) else IMAGE_DEMUXERS
    try:
        with open_container(source, demuxers) as container:
            form = container.streams.video[0].codec_context.format
            return 8 if form is None or form.has_palette else max(part.bits for part in form.components)
    except (ServiceError, IndexError):  # animated WebP, which the libraries that probe do not know
        return 8


def _add_times(source: Source, report: probe_pb2.MediaReport) -> None:
    """Add how long an animation is, where it can be used as a video."""
    try:
        info, video = probe.probe_video(source)
    except ServiceError:
        return
    if info.demuxer in ANIMATIONS and video.duration_seconds:
        report.duration = video.duration_seconds
