"""The text of a caption without its marks, measured in the styles that the marks give its letters."""

from bisect import bisect_right
from collections.abc import Iterator

from encoder.captions.formats import MARK
from encoder.captions.line_breaks import HYPHEN
from encoder.captions.measuring import TextMeasurer
from encoder.captions.styles import Style


class StyledText:
    """The text of a cue without its marks; places in it are told apart from those in the cue's text."""

    def __init__(self, text: str, style: Style, measurer: TextMeasurer) -> None:
        self._measurer = measurer
        self.places: list[int] = []  # of each letter in the cue's text
        # Where bold or italic changes: from which letter on, and to what.
        self._runs: list[tuple[int, bool, bool]] = []
        bold, italic, position, kept = style.bold, style.italic, 0, []
        for match in [*MARK.finditer(text), None]:
            until = match.start() if match else len(text)
            if until > position:
                self._runs.append((len(self.places), bold, italic))
            kept.append(text[position:until])
            self.places += range(position, until)
            if match:
                tag, is_open = match["tag"], not match["closing"]
                bold = is_open or style.bold if tag == "b" else bold
                italic = is_open or style.italic if tag == "i" else italic
                position = match.end()
        self.plain = "".join(kept)
        self._starts = [start for start, _, _ in self._runs]

    def width(self, first: int, end: int) -> float:
        """Return the width of a part in line heights."""
        return sum(
            self._measurer.width(self.plain[start:until], bold=bold, italic=italic)
            for start, until, bold, italic in self._styled(first, end)
        )

    def advances(self, first: int, end: int) -> list[float]:
        """Return the width of each letter of a part in line heights, as they stand beside each other."""
        found: list[float] = []
        for start, until, bold, italic in self._styled(first, end):
            found += self._measurer.advances(self.plain[start:until], bold=bold, italic=italic)
        return found

    def hyphen_width(self, place: int) -> float:
        """Return the width of a hyphen in the style of the letter before a place."""
        return sum(
            self._measurer.width(HYPHEN, bold=bold, italic=italic)
            for *_, bold, italic in self._styled(place - 1, place)
        )

    def line_height(self) -> float:
        """Return the height of its highest line in line heights of the style."""
        styles = {(bold, italic) for _, bold, italic in self._runs}
        heights = (self._measurer.line_height(self.plain, bold=bold, italic=italic) for bold, italic in styles)
        return max(heights, default=1.0)

    def _styled(self, first: int, end: int) -> Iterator[tuple[int, int, bool, bool]]:
        number = bisect_right(self._starts, first) - 1
        while first < end:
            _, bold, italic = self._runs[number]
            until = min(end, self._starts[number + 1]) if number + 1 < len(self._runs) else end
            yield first, until, bold, italic
            first, number = until, number + 1
