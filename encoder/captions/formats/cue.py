"""The captions that all kinds of subtitles become, what of a file is not drawn, and the bounds of a file.

The text of a cue holds marks of its own, whatever those of its file were: `<b>`, `<i>`, `<u>`, `<s>` and
`<font color="#RRGGBB">`, each with its end. Anything else in it is text, which `escape` keeps from looking like one.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

MARK = re.compile(r'<(?P<closing>/?)(?P<tag>[bius]|font)(?: color="(?P<color>#[0-9A-F]{6})")?>')
LIKE_MARK = re.compile(r"<(?=/?(?:[bius]|font)[ >])")
WORD_JOINER = "\u2060"

# Twenty for every second of a video of an hour and a half.
MAX_CUES = 100_000
# Many pages. What draws captions takes time by the square of this, for every picture.
MAX_CUE_CHARS = 20_000
# Of a file's own words so many are quoted.
MAX_ECHO = 60
# So many of the captions that are not drawn are named.
MAX_NAMED = 10
# The categories of what draws nothing: controls, marks of direction, blanks. Private letters (Co) and those that are
# newer than Python's tables (Cn), as emoji are, may be in a font.
INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
TOO_LONG = f"has more than {MAX_CUE_CHARS:,} letters (break it into shorter ones)"
BACKWARDS, NO_TIME = "ends before it starts", "lasts no time"


class SubtitleError(ValueError):
    """A subtitle file cannot be used; the text names the cue and the line."""


@dataclass(frozen=True)
class Place:
    """Where a caption stands: a row from 0 at the bottom to 2 at the top, and a column from 0 at the left to 2 at the
    right, None where the style decides; room kept free to the left, the right, and above or below, or a point, across
    and down, in shares of the picture."""

    row: int | None = None
    column: int | None = None
    left: float = 0.0
    right: float = 0.0
    vertical: float = 0.0
    point: tuple[float, float] | None = None


ANYWHERE = Place()


@dataclass(frozen=True)
class SpokenWord:
    """A word as a speech recognizer has it, or a part of one: its text, blanks about it as they were given, and when it
    is said, in milliseconds from the start of the video."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Cue:
    """One caption: milliseconds from the start of the video, and its text with marks; lines end in \\n.

    `word_times` are places in the text, in their order, and the milliseconds at which what follows is said; `name` is
    that of the caption in its file; `spoken` are its words, where it is what a speech recognizer wrote."""

    start_ms: int
    end_ms: int
    text: str
    word_times: tuple[tuple[int, int], ...] = ()
    place: Place = ANYWHERE
    name: str = field(default="", compare=False)
    spoken: tuple[SpokenWord, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class LeftOut:
    """A caption, or a line of text, that is not drawn: its name in the file, and why."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} {self.why}"


@dataclass(frozen=True)
class Subtitles:
    """The captions of a file in its order, what of it is left out, the marks in it that are not obeyed, and the
    language that it gives (BCP 47)."""

    cues: tuple[Cue, ...]
    left_out: tuple[LeftOut, ...] = ()
    ignored: Set[str] = frozenset()
    language: str = ""


def name_cue(number: int, line: int, shown: str = "") -> str:
    """Return how a caption is named to a caller: by its count and its line from 1, and its times as they stand."""
    shown = " ".join(shown.split())[:MAX_ECHO]
    return f"caption {number}, line {line} ({shown})" if shown else f"caption {number}, line {line}"


def gather(
    found: Iterable[Cue | LeftOut], example: str, ignored: Set[str] = frozenset(), language: str = ""
) -> Subtitles:
    """Return the subtitles of cues that have names; one without text or length is left out. `example` is a line of
    times. Raises SubtitleError where nothing is left, or for more than MAX_CUES."""
    cues: list[Cue] = []
    left_out: list[LeftOut] = []
    for item in found:
        why = item.why if isinstance(item, LeftOut) else _fault(item)
        if isinstance(item, Cue) and not why:
            cues.append(item)
        else:
            left_out.append(LeftOut(item.name, why))
        check_count(len(cues) + len(left_out))
    if not cues:
        check_left(left_out)
        raise SubtitleError(f"there are no captions in it; a caption has a line like '{example}' above its text.")
    return Subtitles(tuple(cues), tuple(left_out), ignored, language)


def _fault(cue: Cue) -> str:
    """Return why a cue cannot be drawn; "" where it can."""
    if cue.end_ms < cue.start_ms:
        return BACKWARDS
    if not is_drawn(cue.text):
        return "has no text"
    if cue.end_ms == cue.start_ms:
        return NO_TIME
    return TOO_LONG if len(cue.text) > MAX_CUE_CHARS else ""


def check_count(cues: int) -> None:
    """Raise SubtitleError for more captions than a file may have."""
    if cues > MAX_CUES:
        raise SubtitleError(f"it has more than {MAX_CUES:,} captions; give a file with fewer.")


def check_left(left_out: Sequence[LeftOut]) -> None:
    """Raise SubtitleError for a file of which everything was left out."""
    if left_out:
        raise SubtitleError(f"nothing of it can be drawn: {name_some([*map(str, left_out)])}.")


def name_some(names: Sequence[str]) -> str:
    """Return the first MAX_NAMED names, and how many more there are."""
    more = len(names) - MAX_NAMED
    return "; ".join([*names[:MAX_NAMED], *([f"and {more:,} more"] if more > 0 else [])])


def escape(text: str) -> str:
    """Return text of which nothing is a mark."""
    return LIKE_MARK.sub("<" + WORD_JOINER, text)


def is_drawn(text: str) -> bool:
    """Return True if a text with marks has anything to draw."""
    return any(unicodedata.category(letter) not in INVISIBLE for letter in MARK.sub("", text))
