"""Stills as FFmpeg is to open them: the caller's file, with a table of its colors; or, of what FFmpeg does not decode
as it should, the picture decoded here, by Pillow.

FFmpeg makes black of TIFF with JPEG or tiles inside, without a word; it knows no profiles of inks, and leaves the alpha
of AVIF out.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps

from apigpu.v1 import video_pb2
from encoder.media import containers, heif, png, probe, signatures, still_colors, streams, wholeness
from encoder.media.facts import note_still
from encoder.media.heif import HeifPicture
from encoder.media.info import CUT_OFF_TEXT, ColorTags, MediaInfo, Source, VideoStream, bad_input
from encoder.media.reading import note_reading
from encoder.media.still_colors import CMYK, GRAY, RGB, BadProfile, Conversion, Profile

T = TypeVar("T")

# Sizes are held to streams.check_size, which knows the limit.
Image.MAX_IMAGE_PIXELS = None
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF", "BMP")
# Loaded now, so that no process that is forked has to.
Image.preinit()
for _plugin in ("Avif", "Mpo", "Tiff", "WebP"):
    importlib.import_module(f"PIL.{_plugin}ImagePlugin")
DECODED, TABLE = "still.raw", "colors.csp"
STRIP_ROWS = 256
# Clockwise, by Exif 2.32, tag 274; mirrored ones are turned too.
TURNS = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}

# PNG's gamma of 1 / 2.2, within 5 %, is written by programs that mean sRGB.
USUAL_GAMMA, GAMMA_TOLERANCE = 1 / 2.2, 0.05
# Exif 2.32, tag 1 of the interoperability IFD: "R03" is Adobe RGB.
INTEROPERABILITY, ADOBE = 1, "R03"
# Of TIFF: the kind of a directory, those below it, the version of DNG.
SUBFILE, SUBDIRECTORIES, DNG = 254, 330, 50706
TRANSPARENT_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
DEEP_GRAY = ("I;16", "I;16B", "I;16L", "I;16N")
GRAY_MODES = ("1", "L", "LA", *DEEP_GRAY)

TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
UNREADABLE_TIFF = (
    "this kind of TIFF is not read here; save it as PNG or JPEG, or if it is a camera's raw file, export it as that."
)
UNREADABLE = "the image is damaged, or of a kind that is not read here; save it as PNG or JPEG."
PROFILE_IGNORED = (
    "the image's color profile is not used: {}. Its colors are taken for sRGB, and may look pale or off; "
    "save it as sRGB."
)
FIRST_ONLY = "the image has several pictures, of which the first is shown; give the others as images of their own."
ALPHA_IGNORED = "what is transparent in the image is shown opaque; save it as PNG."


@dataclass(frozen=True)
class Still:
    """A still as FFmpeg opens it: `name` is its file in the task's folder, `options` are further ones of the input.
    `table` is the file that turns its colors into sRGB, "" where they are that. `told_tags` are those that the file has
    for its samples, whatever the codec's own say."""

    name: str
    info: MediaInfo
    video: VideoStream
    options: Mapping[str, Any] = field(default_factory=dict)
    table: str = ""
    told_tags: ColorTags | None = None
    warnings: tuple[video_pb2.Warning, ...] = ()


def prepare(source: Source, folder: Path, mark: str = "") -> Still:
    """Return a still whose files lie in `folder`, their names beginning with `mark`. Raises InvalidArgument."""
    signatures.check_image(source)
    with opened(source) as picture:
        if picture is not None:
            streams.check_size(source, *picture.size)
            _check_raw(source, picture)
        described = _describe_heif(source)
        still = _open(source, picture, described, folder / f"{mark}{DECODED}")
        warnings = []
        if picture is not None and picture.format != "MPO" and attempt(lambda: picture.is_animated, False):
            warnings.append(_warning(source, "FIRST_PICTURE_ONLY", FIRST_ONLY))
        if described is not None and described.has_alpha and not still.video.transparent:
            warnings.append(_warning(source, "TRANSPARENCY_IGNORED", ALPHA_IGNORED))
        try:
            conversion = _conversion(source, still, picture, described)
        except BadProfile as error:
            warnings.append(_warning(source, "PROFILE_IGNORED", PROFILE_IGNORED.format(error)))
            conversion = None
        _note(source, picture, still.video)
    if conversion is not None and still_colors.changes(conversion):
        still = replace(still, table=f"{mark}{TABLE}")
        still_colors.write_table(conversion, folder / still.table)
    return replace(still, warnings=tuple(warnings))


def check(source: Source) -> None:
    """Raise InvalidArgument for a file of which no still can be made, as far as its head and its end tell."""
    signatures.check_image(source)
    with opened(source) as picture:
        if picture is None:
            if probe.head(source).startswith(TIFF_HEADS):
                raise bad_input(source, UNREADABLE_TIFF)
            _note(source, None, probe.probe_image(source)[1])
            return
        streams.check_size(source, *picture.size)
        _check_raw(source, picture)
        if not source.allow_partial and is_cut_off(source, picture):
            raise bad_input(source, CUT_OFF_TEXT)
        _note(source, picture)


def turned_degrees(source: Source, picture: Any) -> int:
    """Return by how many degrees, clockwise, what is stored is turned to be shown."""
    if picture is None or picture.format == "AVIF":
        return -90 * heif.describe(source.path).turns % 360 if probe.is_heif(source) else 0
    exif = attempt(lambda: picture.getexif().get(ExifTags.Base.Orientation), None)
    return TURNS.get(exif, 0) if isinstance(exif, int) else 0


def _note(source: Source, picture: Any, video: VideoStream | None = None) -> None:
    """Note what a still is, by its head, or by how it was probed."""
    codec = picture.format.lower() if picture is not None else video.codec if video is not None else ""
    across, down = picture.size if picture is not None else (video.width, video.height) if video is not None else (0, 0)
    note_still(source, codec, (down, across) if is_on_its_side(source, picture) else (across, down))


def is_on_its_side(source: Source, picture: Any) -> bool:
    """Return True for a still that is turned by a quarter to be shown, as far as its head tells: what a PNG tells
    behind its pixels is not looked for, as all of them would be decoded for it."""
    if picture is not None and picture.format == "PNG" and "exif" not in picture.info:
        return False
    return bool(attempt(lambda: turned_degrees(source, picture), 0) % 180)


def is_cut_off(source: Source, picture: Any) -> bool:
    """Return True for a still that lacks its end. What cameras append can look like that: only then is it decoded."""
    is_whole = not wholeness.is_still_cut_off(source.path)
    return not is_whole and (picture is None or not attempt(lambda: bool(picture.load()) or True, False))


def _open(source: Source, picture: Any, described: HeifPicture | None, decoded: Path) -> Still:
    if picture is not None and _must_be_decoded_here(picture, described):
        still = _decode(source, picture, decoded)
    elif picture is None and probe.head(source).startswith(TIFF_HEADS):
        raise bad_input(source, UNREADABLE_TIFF)
    else:
        info, video = probe.probe_image(source)
        info = replace(info, is_cut_off=source.allow_partial and is_cut_off(source, picture))
        still = Still(source.path.name, info, video)
    told = described.tags if described is not None else None
    tags = told or still.video.color_tags
    video = replace(still.video, color_tags=tags, transfer=streams.HDR.get(tags.transfer, ""))
    return replace(still, video=video, told_tags=None if still.video.rgb else told)


@contextlib.contextmanager
def opened(source: Source) -> Iterator[Any]:
    """Yield a picture of which only the head was read; None for a file that Pillow does not know."""
    note_reading(source.field)
    picture = attempt(lambda: Image.open(source.path, formats=FORMATS), None)
    with picture if picture is not None else contextlib.nullcontext():
        yield picture


def attempt(call: Callable[[], T], otherwise: T) -> T:
    """Return what a call of Pillow returns, or something else where the file is too damaged for it."""
    try:
        return call()
    except MemoryError:
        raise
    except Exception:  # there is no list of what Pillow raises for files that are damaged
        return otherwise


def _warning(source: Source, reason: str, text: str) -> video_pb2.Warning:
    return video_pb2.Warning(reason=reason, message=f"{source.field}: {text}")


def _check_raw(source: Source, picture: Any) -> None:
    """Raise InvalidArgument for a camera's raw file that is built like TIFF: its first picture is but a preview."""
    tags: dict[int, Any] = attempt(lambda: dict(picture.tag_v2), {}) if picture.format == "TIFF" else {}
    if DNG in tags or (SUBDIRECTORIES in tags and tags.get(SUBFILE, 0) & 1):
        raise bad_input(source, signatures.RAW)


def _describe_heif(source: Source) -> HeifPicture | None:
    if not probe.is_heif(source):
        return None
    try:
        described = heif.describe(source.path)
    except ValueError as error:
        raise bad_input(source, containers.DAMAGED) from error
    streams.check_size(source, described.width, described.height)
    return described


def _must_be_decoded_here(picture: Any, described: HeifPicture | None) -> bool:
    if described is not None:
        return described.has_alpha
    return picture.format == "TIFF" or (picture.mode == "CMYK" and bool(picture.info.get("icc_profile")))


def _conversion(source: Source, still: Still, picture: Any, described: HeifPicture | None) -> Conversion | None:
    """Return what turns the colors of a still into sRGB; None where nothing says what they are. Raises BadProfile."""
    if still.video.transfer:
        return None
    is_png = probe.head(source).startswith(png.SIGNATURE)
    tags, has_profile = _png_tags(source.path)
    if tags is not None:
        return still_colors.tagged_conversion(tags)
    data = described.profile if described is not None else picture.info.get("icc_profile") if picture else None
    if data:
        profile, mode = Profile(data), picture.mode if picture is not None else "RGB"
        fits = {CMYK: mode == "CMYK", GRAY: mode in GRAY_MODES, RGB: mode != "CMYK"}[profile.space]
        if not fits:
            raise BadProfile("it is of another kind of colors than the image")
        if mode == "CMYK":  # which is converted as a whole, when it is decoded
            profile.check()
            return None
        return profile.conversion()
    # Pillow leaves out, or refuses the picture for, what is damaged or too large.
    if has_profile or (picture is not None and "icc_profile" in picture.info):
        raise BadProfile("it is damaged or too large")
    if described is not None:
        return still_colors.tagged_conversion(still.video.color_tags)
    if is_png and picture is not None and "srgb" not in picture.info:
        return _measured(picture.info)
    if picture is not None and attempt(lambda: _is_adobe(picture), False):
        return still_colors.measured_conversion(still_colors.ADOBE_RGB, still_colors.ADOBE_EXPONENT)
    return None


def _png_tags(path: Path) -> tuple[ColorTags | None, bool]:
    """Return the tags (cICP) of a PNG, which stand before its samples and win over its profile, and whether it has one
    (iCCP). Source: PNG, third edition, 11.3.2 and 4.3."""
    has_profile = False
    with path.open("rb") as file:
        for chunk in png.iter_chunks(file):
            if chunk.kind == b"cICP" and chunk.size == 4:
                file.seek(chunk.start)
                primaries, transfer, matrix, full = file.read(4)
                return ColorTags(primaries, transfer, matrix, bool(full)), has_profile
            has_profile = has_profile or chunk.kind == b"iCCP"
    return None, has_profile


def _measured(facts: Mapping[str, Any]) -> Conversion | None:
    """Return the conversion of a PNG that tells its gamma or its primaries. Raises BadProfile."""
    gamma, points = facts.get("gamma"), facts.get("chromaticity")
    if gamma is None and points is None:
        return None
    gamma = USUAL_GAMMA if gamma is None else float(gamma)
    is_usual = abs(gamma / USUAL_GAMMA - 1) <= GAMMA_TOLERANCE
    if not 0.05 <= gamma <= 5:
        raise BadProfile("its gamma is none")
    primaries = still_colors.chromaticities_of(points) if points else still_colors.BT709
    return still_colors.measured_conversion(primaries, still_colors.SRGB_CURVE if is_usual else 1 / gamma)


def _is_adobe(picture: Any) -> bool:
    return bool(picture.getexif().get_ifd(ExifTags.IFD.Interop).get(INTEROPERABILITY) == ADOBE)


def _decode(source: Source, picture: Any, decoded: Path) -> Still:
    """Write the samples of a picture, upright, to a file, and return its still. Raises InvalidArgument."""
    shown = attempt(lambda: _samples(picture), None)
    if shown is None:
        raise bad_input(source, UNREADABLE)
    with decoded.open("wb") as file:
        for top in range(0, shown.height, STRIP_ROWS):
            strip = shown.crop((0, top, shown.width, min(top + STRIP_ROWS, shown.height)))
            file.write(strip.tobytes())
    is_transparent = shown.mode == "RGBA"
    video = VideoStream(
        index=0,
        codec="rawvideo",
        width=shown.width,
        height=shown.height,
        rotation_degrees=0,
        pixel_aspect=Fraction(1),
        frame_rate=Fraction(0),
        frames=1,
        duration_seconds=0.0,
        transparent=is_transparent,
        rgb=True,
    )
    options = {
        "pixel_format": "rgba" if is_transparent else "rgb24",
        "video_size": shown.size,
    }
    return Still(decoded.name, MediaInfo("rawvideo", 0.0, video, ()), video, options)


def _samples(picture: Any) -> Image.Image:
    """Return the picture upright, as RGB or RGBA; inks by their profile, if they have one that can be used."""
    picture.load()
    upright: Any = ImageOps.exif_transpose(picture)
    if upright.mode == "CMYK" and (data := picture.info.get("icc_profile")):
        with contextlib.suppress(BadProfile):
            return Profile(data).convert_picture(upright)
    if upright.mode in DEEP_GRAY:
        return Image.fromarray((np.asarray(upright, np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    is_transparent = upright.mode in TRANSPARENT_MODES or "transparency" in picture.info
    converted: Image.Image = upright.convert("RGBA" if is_transparent else "RGB")
    return converted
