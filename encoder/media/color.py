"""What the numbers of a picture mean as colours."""

from dataclasses import dataclass

UNSPECIFIED = 2


@dataclass(frozen=True)
class ColorTags:
    """Primaries, transfer and matrix by their numbers in ITU-T H.273 (tables 2 to 4); black is 16, or 0 of a picture of
    full range."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool = False


UNKNOWN = ColorTags()
HD = ColorTags(1, 1, 1)
