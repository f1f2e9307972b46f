"""What measures captions: the fonts that come along, but for those of Chinese, Japanese and Korean, which take seconds
to read; and letters that are all of one width."""

from collections.abc import Set
from functools import cache
from importlib.resources import files
from pathlib import Path

from encoder.captions import fonts
from encoder.captions.measuring import TextMeasurer, open_fonts


class EvenMeasurer(TextMeasurer):
    """Every letter is as wide as a line is high."""

    def __init__(self) -> None:
        super().__init__([])

    def advances(self, text: str, *, bold: bool = False, italic: bool = False) -> list[float]:
        """One for each letter."""
        return [1.0] * len(text)


@cache
def library() -> fonts.FontLibrary:
    """The fonts that come along, read once for all tests of a process."""
    return fonts.FontLibrary(Path(str(files("manimgx_fonts"))))


def measurer(folder: Path, letters: Set[str]) -> TextMeasurer:
    """What measures text of these letters by fonts that are laid out in a folder."""
    assert not library().furnish(folder, {fonts.FAMILY: letters - fonts.SELECTORS})
    return open_fonts(folder, [fonts.FAMILY])(fonts.FAMILY)
