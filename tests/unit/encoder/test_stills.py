"""Stills before FFmpeg opens them: what is named, decoded here, warned of, and made a table of colors for."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from encoder.media import stills
from encoder.media.info import ColorTags, Source
from encoder.media.still_colors import BadProfile, Profile, measured_conversion, tagged_conversion
from servicekit.errors import InvalidArgument
from tests.support import still_samples
from tests.support.still_samples import LEFT, LIGHT, P3, RIGHT, avif, gray_profile, halves, png, saved

COLORS = np.array([LEFT, RIGHT], np.uint8)
FIELD = "images.image_url"


def prepared(data: bytes, folder: Path) -> stills.Still:
    path = folder / "input0"
    path.write_bytes(data)
    return stills.prepare(Source(FIELD, path), folder)


def refusal(data: bytes, folder: Path) -> str:
    with pytest.raises(InvalidArgument) as caught:
        prepared(data, folder)
    assert caught.value.message.startswith(f"{FIELD}: ")
    return caught.value.message


def reasons(still: stills.Still) -> list[str]:
    assert all(warning.message.startswith(f"{FIELD}: ") for warning in still.warnings)
    return [warning.reason for warning in still.warnings]


def samples(still: stills.Still, folder: Path) -> np.ndarray:
    shape = (still.video.height, still.video.width, 4 if still.video.transparent else 3)
    found: np.ndarray = np.fromfile(folder / still.name, np.uint8).reshape(shape).astype(int)
    return found


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ((12, 13), P3),
        ((1, 8), LIGHT),
        ((1, 13), (LEFT, RIGHT)),
        ((1, 1), (LEFT, RIGHT)),
        ((9, 14), ((0, 168, 32), (247, 0, 23))),
    ],
)
def test_tags_are_converted(tags: tuple[int, int], wanted: tuple[tuple[int, ...], ...]) -> None:
    assert tagged_conversion(ColorTags(*tags, 0))(COLORS).astype(int) == pytest.approx(np.array(wanted), abs=2)


def test_profiles_are_converted() -> None:
    assert Profile(still_samples.DISPLAY_P3).conversion()(COLORS).astype(int) == pytest.approx(
        np.array(P3), abs=11
    )  # of exponent 2.2
    assert Profile(still_samples.SRGB).conversion()(COLORS).astype(int) == pytest.approx(COLORS.astype(int), abs=1)
    assert Profile(gray_profile(1.0)).conversion()(COLORS[:1, :1].repeat(3, 1)).astype(int) == pytest.approx(133, abs=1)


@pytest.mark.parametrize(
    "data", [b"", b"x", still_samples.SRGB[:200], still_samples.SRGB[:128] + bytes(4000), bytes(9_000_000)]
)
def test_profiles_that_cannot_be_used(data: bytes) -> None:
    with pytest.raises(BadProfile):
        Profile(data).conversion()


def test_numbers_that_are_no_colors() -> None:
    same = ((0.3, 0.3), (0.3, 0.3), (0.3, 0.3), (0.3, 0.3))
    for primaries, exponent in ((same, 1.0), (((0.1, 0.0),) * 4, 1.0), (stills.still_colors.BT709, float("nan"))):
        with pytest.raises(BadProfile):
            measured_conversion(primaries, exponent)
    with pytest.raises(BadProfile):
        tagged_conversion(ColorTags(99, 13, 0))


COLORED = {
    "profile in jpeg": saved(halves(), "JPEG", icc_profile=still_samples.DISPLAY_P3),
    "profile in png": saved(halves(), "PNG", icc_profile=still_samples.DISPLAY_P3),
    "profile in webp": saved(halves(), "WEBP", icc_profile=still_samples.DISPLAY_P3),
    "profile in tiff": saved(halves(), "TIFF", icc_profile=still_samples.DISPLAY_P3),
    "profile in avif": saved(halves(), "AVIF", icc_profile=still_samples.DISPLAY_P3),
    "profile of gray": saved(halves().convert("L"), "JPEG", icc_profile=gray_profile(1.0)),
    "tags in avif": avif(12),
    "tags in png": png((b"cICP", bytes([12, 13, 0, 1]))),
    "gamma in png": png((b"gAMA", struct.pack(">I", 100_000))),
    "primaries in png": png((b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))),
}
PLAIN = {
    "nothing in jpeg": saved(halves(), "JPEG"),
    "nothing in png": png(),
    "sRGB in jpeg": saved(halves(), "JPEG", icc_profile=still_samples.SRGB),
    "sRGB in png": png((b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))),
    "the usual gamma": png((b"gAMA", struct.pack(">I", 45455))),
    "sRGB in avif": avif(),
    "tags win over a profile": png((b"cICP", bytes([1, 13, 0, 1])), picture=halves()),
}


@pytest.mark.parametrize("name", [*COLORED, *PLAIN])
def test_a_table_is_made_where_colors_are_not_srgb(tmp_path: Path, name: str) -> None:
    still = prepared((COLORED | PLAIN)[name], tmp_path)
    assert bool(still.table) == (name in COLORED)
    assert reasons(still) == []
    if still.table:
        lines = (tmp_path / still.table).read_text().splitlines()
        across = [int(side) for side in lines[12].split()]
        assert across[0] > 30
        assert len(lines) == 13 + across[0] ** 3


def test_a_photo_in_adobe_rgb_by_exif_alone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    data = saved(halves(), "JPEG", exif=exif)
    assert prepared(data, tmp_path).table


@pytest.mark.parametrize(
    ("picture", "profile"),
    [
        (halves(), b"no profile"),
        (halves(), gray_profile(2.2)),
        (halves().convert("CMYK"), still_samples.DISPLAY_P3),
        (halves().convert("CMYK"), still_samples.ink_profile(50).replace(b"A2B0", b"none")),
    ],
)
def test_a_profile_that_cannot_be_used_is_told(tmp_path: Path, picture: Image.Image, profile: bytes) -> None:
    still = prepared(saved(picture, "JPEG", icc_profile=profile), tmp_path)
    assert (reasons(still), still.table) == (["PROFILE_IGNORED"], "")


TIFFS = ["raw", "jpeg", "tiff_lzw", "tiff_deflate", "packbits"]


@pytest.mark.parametrize("compression", TIFFS)
def test_tiff_is_decoded_whatever_is_inside(tmp_path: Path, compression: str) -> None:
    still = prepared(saved(halves(), "TIFF", compression=compression), tmp_path)
    shown = samples(still, tmp_path)
    assert (shown[32, 32], shown[32, 96]) == (pytest.approx(LEFT, abs=3), pytest.approx(RIGHT, abs=3))


def test_depths_and_kinds_of_tiff(tmp_path: Path) -> None:
    deep = Image.fromarray(np.full((64, 128), 0xC864, np.uint16))
    assert (samples(prepared(saved(deep, "TIFF"), tmp_path), tmp_path) == 0xC8).all()
    for mode in ("1", "L", "P", "RGBA", "CMYK", "LA"):
        assert samples(prepared(saved(halves().convert(mode), "TIFF"), tmp_path), tmp_path).any()
    turned = saved(halves(), "TIFF", tiffinfo={274: 6})
    assert samples(prepared(turned, tmp_path), tmp_path).shape == (128, 64, 3)


def test_alpha_of_avif_is_kept(tmp_path: Path) -> None:
    still = prepared(avif(alpha=128), tmp_path)
    assert still.video.transparent
    assert samples(still, tmp_path)[32, 96, 3] == pytest.approx(128, abs=2)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_pictures_the_first_is_taken_and_told(tmp_path: Path, form: str) -> None:
    other = Image.new("RGB", (128, 64))
    data = saved(halves(), form, save_all=True, append_images=[other])
    assert reasons(prepared(data, tmp_path)) == ["FIRST_PICTURE_ONLY"]


def test_inks_are_those_of_their_profile(tmp_path: Path) -> None:
    profile = still_samples.ink_profile(50)
    for form in ("JPEG", "TIFF"):
        still = prepared(saved(halves().convert("CMYK"), form, icc_profile=profile), tmp_path)
        assert reasons(still) == []
        shown = samples(still, tmp_path)[32, 96]  # which is red without the profile
        assert np.ptp(shown) < 4
        assert 30 < shown[0] < 220


@pytest.mark.parametrize(
    "data", [b"II*\0" + bytes(40), b"MM\0*\0\0\0\x08\xff\xff" + bytes(99), b"II+\0\x08\0\0\0" + bytes(99)]
)
def test_tiff_that_is_not_known_is_not_left_to_ffmpeg(tmp_path: Path, data: bytes) -> None:
    assert "TIFF" in refusal(data, tmp_path)


BROKEN = {
    "no deflate": png((b"iCCP", b"x\0\0no deflate")),
    "a bomb": png((b"iCCP", b"x\0\0" + zlib.compress(bytes(20_000_000)))),
    "a part is missing": saved(halves(), "JPEG", icc_profile=bytes(200_000)).replace(
        b"ICC_PROFILE\0\2", b"ICC_PROFILX\0\2"
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_profile_that_is_not_handed_out_is_told(tmp_path: Path, name: str) -> None:
    assert reasons(prepared(BROKEN[name], tmp_path)) == ["PROFILE_IGNORED"]


def test_profiles_that_are_changed_at_random_are_used_or_told(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    for profile in (still_samples.DISPLAY_P3, still_samples.SRGB, gray_profile(2.2)):
        for _ in range(20):
            data = np.frombuffer(profile, np.uint8).copy()
            data[random.integers(0, len(data), 6)] = random.integers(0, 256, 6)
            still = prepared(saved(halves(), "PNG", icc_profile=data.tobytes()), tmp_path)
            assert set(reasons(still)) <= {"PROFILE_IGNORED"}


def test_cut_off_files_are_no_pictures(tmp_path: Path) -> None:
    for compression in TIFFS:
        whole = saved(Image.effect_noise((128, 64), 50).convert("RGB"), "TIFF", compression=compression)
        head = struct.unpack("<I", whole[4:8])[0]
        # The directory first, then a part of the samples: it stands at the end.
        refusal(whole[: head - 2000] if head > 4000 else whole[: len(whole) // 2], tmp_path)


FOREIGN = {
    b"<!DOCTYPE html><html>": "web page",
    b"\xef\xbb\xbf<html>": "web page",
    b'<?xml version="1.0"?>\n<!-- x --><svg xmlns="x">': "SVG",
    b"%PDF-1.7": "PDF",
    b"8BPS\0\1": "Photoshop",
    b"\xff\x0a\0\0": "JPEG XL",
    saved(halves(), "JPEG2000"): "JPEG 2000",
    saved(halves(), "ICO"): "icon",
    b"II*\0\x10\0\0\0CR\2\0": "raw",
    b"FUJIFILMCCD-RAW 0201": "raw",
    saved(halves(), "TIFF", tiffinfo={50706: b"\1\4\0\0"}): "raw",
    b"\0\0\0\x18ftypcrx \0\0\0\1": "raw",
}


@pytest.mark.parametrize("data", FOREIGN, ids=lambda data: FOREIGN[data].replace(" ", "-"))
def test_what_is_no_image_here_is_named(tmp_path: Path, data: bytes) -> None:
    message = refusal(data + bytes(100), tmp_path)
    assert FOREIGN[data] in message
    assert any(word in message for word in ("save it as PNG", "export it as JPEG", "give the link"))


def huge(form: str) -> bytes:
    data = bytearray(saved(halves(), form))
    place = {"PNG": 16, "GIF": 6, "BMP": 18}[form]
    data[place : place + 8] = {
        "PNG": struct.pack(">II", 40_000, 30_000),
        "GIF": struct.pack("<HH", 40_000, 30_000) + data[10:14],
        "BMP": struct.pack("<ii", 40_000, 30_000),
    }[form]
    if form == "PNG":
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP"])
def test_pictures_over_the_limit_say_so(tmp_path: Path, form: str) -> None:
    message = refusal(huge(form), tmp_path)
    assert "40000×30000 pixels are too many" in message
    assert "100 megapixels" in message


def test_a_heif_over_the_limit_says_so(tmp_path: Path) -> None:
    data = avif()
    size = b"ispe\0\0\0\0" + struct.pack(">II", 128, 64)
    assert size in data
    message = refusal(data.replace(size, b"ispe\0\0\0\0" + struct.pack(">II", 40_000, 30_000)), tmp_path)
    assert "too many" in message


def test_a_picture_within_a_picture_is_no_second_one(tmp_path: Path) -> None:
    file = io.BytesIO()
    halves().save(file, "MPO", save_all=True, append_images=[halves()])
    assert reasons(prepared(file.getvalue(), tmp_path)) == []


def test_a_heif_is_known_by_the_brands_that_it_is_compatible_with(tmp_path: Path) -> None:
    assert b"ftypavif" in avif()
    still = prepared(avif(12).replace(b"ftypavif", b"ftypmiaf"), tmp_path)
    assert still.table


@pytest.mark.parametrize("orientation", [None, 6])
def test_no_pixel_is_decoded_to_tell_how_a_png_lies(tmp_path: Path, orientation: int | None) -> None:
    image, path = Image.new("RGB", (40, 20)), tmp_path / "still.png"
    exif = image.getexif()
    if orientation:
        exif[ExifTags.Base.Orientation] = orientation
    image.save(path, exif=exif)
    source = Source("image_url", path)
    with stills.opened(source) as picture:
        assert stills.is_on_its_side(source, picture) is bool(orientation)
        assert picture.tile  # what is to be decoded still
