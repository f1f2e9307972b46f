"""What measures captions: the fonts that come along, but for those of Chinese, Japanese and Korean, which take seconds
to read; and letters that are all of one width."""

from functools import cache
from importlib.resources import files
from pathlib import Path

from encoder.captions import fonts
from encoder.captions.lettering import Lettering
from encoder.captions.measuring import TextMeasurer, open_captions


class EvenMeasurer(TextMeasurer):
    """Every letter is as wide as a line is high."""

    def __init__(self) -> None:
        super().__init__({})

    def advances(self, text: str, *, bold: bool = False, italic: bool = False) -> list[float]:
        """One for each letter."""
        return [1.0] * len(text)


@cache
def library() -> fonts.FontLibrary:
    """The fonts that come along, read once for all tests of a process."""
    return fonts.FontLibrary(Path(str(files("manimgx_fonts"))))


def furnish(folder: Path, text: str) -> Lettering:
    """What draws a text, all of which some font has, with its fonts laid out in a folder."""
    lettering = library().furnish_captions(folder, fonts.FAMILY, [text], bold=True, italic=True)
    assert not lettering.missing
    return lettering


def measurer(folder: Path, text: str) -> TextMeasurer:
    """What measures the letters of a text, in fonts that are laid out in a folder."""
    return open_captions(folder, furnish(folder, text))
