"""Colors of stills: what a profile (ICC) or tags (ITU-T H.273, PNG's gAMA and cHRM) make of samples, as the same colors
in sRGB; written as a table that FFmpeg's filter `lut3d` looks them up in.

A conversion is sampled where it bends: the nodes of the table lie evenly in the brightness that comes out, and at
values of eight bits, at which littlecms is exact.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from encoder.media.info import UNSPECIFIED, ColorTags

Samples = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Conversion = Callable[[Samples], Samples]
"""Takes and returns colors, N × 3."""

# Of printers, with tables for four inks, up to 3 MiB.
MAX_PROFILE_BYTES = 8 * 1024 * 1024
MAX_NAME_LETTERS = 100
NODES = 33
LEVELS = 256
# Differences of so much, of 255, are those of rounding: the picture is sRGB already.
SAME = 2
PROBE_STEP = 17
# Of the curve before the table, for each value of eight bits.
PRELUT_STEPS = 8

# Of H.273, table 2: x and y of red, green, blue and white.
D65, ILLUMINANT_C, DCI = (0.3127, 0.329), (0.31, 0.316), (0.314, 0.351)
Chromaticities = tuple[tuple[float, float], ...]
BT709: Chromaticities = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), D65)
SMPTE_C: Chromaticities = ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), D65)
ADOBE_RGB: Chromaticities = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
PRIMARIES: dict[int, Chromaticities] = {
    1: BT709,
    UNSPECIFIED: BT709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), ILLUMINANT_C),
    5: ((0.64, 0.33), (0.29, 0.6), (0.15, 0.06), D65),
    6: SMPTE_C,
    7: SMPTE_C,
    9: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), D65),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), DCI),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), D65),
    22: ((0.63, 0.34), (0.295, 0.605), (0.155, 0.077), D65),
}
# Of table 3: exponents; 0 stands for the curve of sRGB, which those of television are shown by too.
SRGB_CURVE = 0.0
EXPONENTS = {1: SRGB_CURVE, UNSPECIFIED: SRGB_CURVE, 4: 2.2, 5: 2.8, 6: SRGB_CURVE, 8: 1.0, 13: SRGB_CURVE, 17: 2.6}
EXPONENTS |= dict.fromkeys((11, 12, 14, 15), SRGB_CURVE)
ADOBE_EXPONENT = 563 / 256
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

RGB, GRAY, CMYK = "RGB", "GRAY", "CMYK"
# The same in Pillow's words.
MODES = {RGB: "RGB", GRAY: "L", CMYK: "CMYK"}


class BadProfile(ValueError):
    """A profile cannot be used; the text says why."""


class Profile:
    """A color profile (ICC)."""

    def __init__(self, data: bytes) -> None:
        """Parse a profile. Raises BadProfile."""
        if len(data) > MAX_PROFILE_BYTES:
            raise BadProfile("it is too large")
        try:
            self._profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
            self.space: str = self._profile.profile.xcolor_space.strip()
        except (OSError, ImageCms.PyCMSError, ValueError) as error:
            raise BadProfile("it is damaged") from error
        if self.space not in MODES:
            raise BadProfile("it is of colors that are none of pictures")

    @property
    def name(self) -> str:
        """Return what the profile calls itself, "" where it does not say."""
        told = " ".join(str(self._profile.profile.profile_description or "").split())
        return "".join(letter for letter in told if letter.isprintable())[:MAX_NAME_LETTERS]

    def conversion(self) -> Conversion:
        """Return the conversion of RGB, or of gray that is repeated as RGB. Raises BadProfile."""
        if self.space == CMYK:
            raise BadProfile("it is of inks, and the picture is not")
        transform, mode = self._transform(), MODES[self.space]

        def convert(colors: Samples) -> Samples:
            if mode == "RGB":
                return _applied(transform, mode, colors.tobytes(), len(colors))
            curve = _applied(transform, mode, bytes(range(LEVELS)), LEVELS)[:, 1]
            return curve[colors]

        return convert

    def check(self) -> None:
        """Raise BadProfile for a profile that nothing can be converted by."""
        self._transform()

    def convert_picture(self, picture: Image.Image) -> Image.Image:
        """Return a picture of this profile's mode in sRGB. Raises BadProfile."""
        if MODES[self.space] != picture.mode:
            raise BadProfile("it is of another kind of colors than the picture")
        converted = ImageCms.applyTransform(picture, self._transform())
        if converted is None:
            raise BadProfile("it is damaged")
        return converted

    def _transform(self) -> Any:
        try:
            return ImageCms.buildTransform(
                self._profile,
                ImageCms.createProfile("sRGB"),
                MODES[self.space],
                "RGB",
                ImageCms.Intent(ImageCms.getDefaultIntent(self._profile)),
                ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, ValueError) as error:
            raise BadProfile("it cannot be converted to sRGB") from error


def _applied(transform: Any, mode: str, data: bytes, count: int) -> Samples:
    made = ImageCms.applyTransform(Image.frombytes(mode, (count, 1), data), transform)
    assert made is not None
    return np.frombuffer(made.tobytes(), np.uint8).reshape(count, 3)


def tagged_conversion(tags: ColorTags) -> Conversion:
    """Return the conversion of a picture of standard dynamic range by its tags. Raises BadProfile for tags that are not
    known."""
    if tags.primaries not in PRIMARIES or tags.transfer not in EXPONENTS:
        raise BadProfile("it names colors that are not known here")
    return measured_conversion(PRIMARIES[tags.primaries], EXPONENTS[tags.transfer])


def measured_conversion(chromaticities: Chromaticities, exponent: float) -> Conversion:
    """Return the conversion of colors of these primaries, by the exponent of their curve (SRGB_CURVE for that of
    sRGB). Raises BadProfile for numbers that cannot be."""
    try:
        matrix = np.linalg.inv(_to_xyz(BT709)) @ _to_xyz(chromaticities)
    except (np.linalg.LinAlgError, ZeroDivisionError, FloatingPointError) as error:
        raise BadProfile("its primaries are none") from error
    if not np.isfinite(matrix).all() or not 0 <= exponent <= 10:
        raise BadProfile("its numbers are none")

    def convert(colors: Samples) -> Samples:
        values = colors / 255
        linear = _linear_of_srgb(values) if exponent == SRGB_CURVE else values**exponent
        mixed = np.clip(linear @ matrix.T, 0, 1)
        shown = np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055)
        return np.round(shown * 255).astype(np.uint8)

    return convert


def _linear_of_srgb(values: Floats) -> Floats:
    found: Floats = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return found


def _to_xyz(chromaticities: Chromaticities) -> Floats:
    """Return the matrix from linear RGB to XYZ, of which the white is adapted to D65."""
    columns = np.array([_xyz(*point) for point in chromaticities[:3]]).T
    white = _xyz(*chromaticities[3])
    matrix = columns * np.linalg.solve(columns, white)
    cones, wanted = BRADFORD @ white, BRADFORD @ _xyz(*D65)
    adapted: Floats = np.linalg.inv(BRADFORD) @ np.diag(wanted / cones) @ BRADFORD @ matrix
    return adapted


def _xyz(x: float, y: float) -> Floats:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def changes(conversion: Conversion) -> bool:
    """Return True if a conversion changes colors beyond what rounding does."""
    levels = np.arange(0, LEVELS, PROBE_STEP, dtype=np.uint8)
    colors = _grid(levels)
    return bool(np.abs(conversion(colors).astype(np.int16) - colors).max() > SAME)


def write_table(conversion: Conversion, path: Path) -> None:
    """Write a conversion as a table for `lut3d` (cineSpace, .csp)."""
    nodes = _nodes(conversion)
    colors = conversion(_grid(nodes))
    words = [f"{level / 255:.6f}" for level in range(LEVELS)]
    # In many small steps, as the filter does not draw lines between few.
    steps = np.linspace(0, LEVELS - 1, (LEVELS - 1) * PRELUT_STEPS + 1)
    places = np.interp(steps, nodes, np.linspace(0, 1, len(nodes)))
    prelut = f"{len(steps)}\n{_row(steps / (LEVELS - 1))}\n{_row(places)}\n"
    rows = "\n".join(f"{words[red]} {words[green]} {words[blue]}" for red, green, blue in colors.tolist())
    size = len(nodes)
    path.write_text(f"CSPLUTV100\n3D\n\n{prelut * 3}{size} {size} {size}\n{rows}\n", encoding="ascii")


def _row(values: Floats) -> str:
    return " ".join(f"{value:.6f}" for value in values)


def _nodes(conversion: Conversion) -> Samples:
    """Return the values at which a conversion is sampled: even in what comes out of gray."""
    ramp = np.repeat(np.arange(LEVELS, dtype=np.uint8), 3).reshape(LEVELS, 3)
    shown = conversion(ramp)[:, 1].astype(np.int16)
    if (np.diff(shown) < 0).any() or shown[-1] - shown[0] < NODES:
        return np.round(np.linspace(0, 255, NODES)).astype(np.uint8)
    wanted = np.linspace(shown[0], shown[-1], NODES)
    return np.unique(np.concatenate([[0], np.searchsorted(shown, wanted), [LEVELS - 1]])).astype(np.uint8)


def _grid(levels: Samples) -> Samples:
    """Return all colors of these levels, N × 3; red changes first."""
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    return np.stack([red, green, blue], axis=-1).reshape(-1, 3)


def chromaticities_of(numbers: Sequence[float]) -> Chromaticities:
    """Return the primaries of PNG's cHRM: x and y of white, red, green, blue. Raises BadProfile."""
    if len(numbers) != 8 or not all(0 < number < 1 for number in numbers[1::2]):
        raise BadProfile("its primaries are none")
    white, *others = [(numbers[place], numbers[place + 1]) for place in range(0, 8, 2)]
    return (*others, white)
