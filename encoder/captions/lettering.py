"""Letters of captions: which of them need a glyph, what belongs together, and which font draws it.

libass looks for each letter by itself, first in the font that is asked for. What HarfBuzz is to shape as one, as a
letter and its accent or the parts of an emoji are, must come from one font: so this names the font, wherever it is not
the one of the style.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from fontTools.unicodedata import script

from encoder.captions.formats import MARK, Cue
from encoder.captions.karaoke import Word

# Default_Ignorable_Code_Point of Unicode: joiners, directions, selectors of variants, tags. A font without them draws
# nothing for them, yet they tell how the letters about them are drawn.
IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Of these nothing is drawn, or a box; a tab becomes a blank, and lines end in \n.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
WHITE = ("\t", "\n", " ")
BLANK = "Zs"
JOINER = "\u200d"
LETTER, WORD = re.compile(".", re.DOTALL), re.compile(r"\S+|\s+")
SKIN_TONES = range(0x1F3FB, 0x1F400)
FLAG_LETTERS = range(0x1F1E6, 0x1F200)
# Letters that Python's tables do not know yet. Where pictures lie these are more of them.
NEWER = "Cn"
# A key, a sign that is asked for as a picture, or a letter from where those lie that are wide by Unicode
# (East_Asian_Width) if they are pictures.
PICTURE = re.compile("[0-9#*]\ufe0f\u20e3|[^\0-\x7f]\ufe0f|[\u231a-\u2b55\U0001f000-\U0001ffff]")
# libass parts what is of any script from what goes with any other (Common from Inherited: an emoji from its joiner)
# where no letter tells the script. This is of a script (Mongolian), has no direction, and nothing is drawn for it.
SCRIPTED = "\u180b"
NO_SCRIPT = ("Zyyy", "Zinh", "Zzzz")
# Letters of the classes AK and AS of UAX #14 (Batak, Balinese, Javanese, Cham, Brahmi, Grantha, Tigalari, Dives Akuru,
# Makasar, Kawi), and the dotted circle: at three of them in a row, libass writes beyond its memory where it breaks
# lines by Unicode (libunibreak 6 of FFmpeg 9.0.2).
UNBREAKABLE = re.compile(
    "[\u25cc\u1b00-\u1b7f\u1bc0-\u1bff\ua980-\ua9df\uaa00-\uaa5f\U00011000-\U0001107f\U00011300-\U000113ff"
    "\U00011900-\U0001195f\U00011ee0-\U00011f5f]"
)
# In place of a family: commands of an ASS text, and braces that are shown.
COMMANDS = "\\"
COMMAND = re.compile(r"(?<!\\)\{[^{}]*\}|\\[Nnh{}]")


@dataclass(frozen=True)
class StandIn:
    """A font for what another lacks: the family that it goes by, and its letters."""

    family: str
    letters: frozenset[int]


class Lettering:
    """What draws the letters of captions: the family of their style, those that stand in for it, and of what is left
    nothing. `own` and `missing` are among the letters that the captions have; `clusters` finds what belongs together in
    them."""

    def __init__(
        self,
        own: Set[int],
        stand_ins: Sequence[StandIn] = (),
        missing: frozenset[str] = frozenset(),
        clusters: re.Pattern[str] = LETTER,
    ) -> None:
        self.missing = missing
        self._own = own
        self._stand_ins = stand_ins
        self._clusters = clusters
        self._alike = re.compile("|".join(map(_class_of, _parted(own, stand_ins))) or "(?!)")
        self._blank_families = {stand_in.family for stand_in in stand_ins if ord(" ") in stand_in.letters}
        self._families: dict[str, str | None] = {}

    @property
    def families(self) -> list[str]:
        """The names by which runs tells fonts: "" for the family of the style, then those that stand in."""
        return ["", *(stand_in.family for stand_in in self._stand_ins)]

    @property
    def lacking(self) -> frozenset[str]:
        """Letters that the family of the style lacks, and others draw."""
        return frozenset(map(chr, frozenset().union(*(one.letters for one in self._stand_ins)) - self._own))

    def runs(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield the parts of a text that one font draws as (family, part), "" for the family of the style."""
        if not self._stand_ins or text.isascii():
            yield "", text
            return
        yield from _joined(self._blanks_given(self._all_pieces(text)))

    def tag_fonts(self, text: str) -> str:
        """Return the text of an ASS event with the font named wherever it is not the one of the style."""
        if not self._stand_ins or text.isascii():
            return text
        pieces, position = [], 0
        for match in COMMAND.finditer(text):
            pieces += [*self._all_pieces(text[position : match.start()]), (COMMANDS, match[0])]
            position = match.end()
        pieces += self._all_pieces(text[position:])
        return tell_script("".join(_named(_joined(self._blanks_given(pieces)))))

    def _all_pieces(self, text: str) -> list[tuple[str, str]]:
        return list(_joined(piece for word in WORD.findall(text) for piece in self._pieces(word)))

    def _blanks_given(self, pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Give blanks between words of one font to it: they are as wide as there, whatever commands stand between."""
        places = [place for place, (family, _) in enumerate(pieces) if family != COMMANDS]
        for before, place, after in zip(places, places[1:], places[2:], strict=False):
            family, blank = pieces[before][0], pieces[place][1]
            if family == pieces[after][0] in self._blank_families and set(blank) == {" "}:
                pieces[place] = family, blank
        return pieces

    def _pieces(self, word: str) -> Iterator[tuple[str, str]]:
        """Yield the parts of a word as (family, part)."""
        if match := self._alike.fullmatch(word):  # as most are; cluster by cluster takes ten times as long
            yield self._stand_ins[(match.lastindex or 1) - 1].family, word
            return
        for cluster in self._clusters.findall(word):
            if (family := self._family(cluster)) is not None:
                yield family, cluster
            else:  # no font has all of it
                yield from ((self._family(letter) or "", letter) for letter in cluster)

    def _family(self, cluster: str) -> str | None:
        if cluster not in self._families:
            needed = required_codes(cluster)
            able = (stand_in.family for stand_in in self._stand_ins if needed <= stand_in.letters)
            self._families[cluster] = "" if needed <= self._own else next(able, None)
        return self._families[cluster]


def _joined(pieces: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for family, group in itertools.groupby(pieces, lambda piece: piece[0]):
        yield family, "".join(part for _, part in group)


def _named(pieces: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the text of an ASS event with the family of each piece."""
    current = ""
    for family, part in pieces:
        if family not in (current, COMMANDS):
            yield f"{{\\fn{family}}}"
            current = family
        yield part


def _parted(own: Set[int], stand_ins: Sequence[StandIn]) -> Iterator[frozenset[int]]:
    """Yield for each font the letters that it alone is to draw."""
    before = frozenset(own)
    for stand_in in stand_ins:
        yield stand_in.letters - before
        before |= stand_in.letters


def _class_of(codes: Set[int]) -> str:
    return f"([{re.escape(''.join(map(chr, sorted(codes))))}]+)" if codes else "((?!))"


def tell_script(text: str) -> str:
    """Return the text of an ASS event such that libass does not part what goes with any script."""
    if text.isascii():
        return text
    letters = COMMAND.sub("", text)
    # The first letter tells of nearly every text.
    is_parted = all(script(letter) in NO_SCRIPT for letter in letters) and any(map(_extends, letters))
    return text + SCRIPTED if is_parted else text


def breaks_anywhere(script: str) -> bool:
    """Return True if libass can break the lines of a script wherever Unicode allows it, not at blanks alone."""
    return script.isascii() or not UNBREAKABLE.search(script)


def has_mark(cue: Cue, tag: str) -> bool:
    """Return True if a part of a cue is marked as bold ("b"), in italics ("i") and the like."""
    return any(mark["tag"] == tag for mark in MARK.finditer(cue.text))


def shown_text(cue: Cue) -> str:
    """Return the text of a cue as it is drawn, without marks."""
    return MARK.sub("", cue.text)


def has_drawn(letters: Set[str], left_out: Set[str]) -> bool:
    """Return True if anything is seen of letters without those that are left out."""
    return any(_is_drawn(letter) and not letter.isspace() for letter in letters - left_out)


def required_codes(letters: Iterable[str]) -> frozenset[int]:
    """Return the codes of those letters that it takes a font to draw."""
    return frozenset(ord(letter) for letter in letters if _is_drawn(letter))


def _is_drawn(letter: str) -> bool:
    # Blanks are: one that a font lacks becomes a plain one.
    return letter not in "\t\n" and not IGNORABLE.match(letter) and not CONTROLS.match(letter)


def cluster_pattern(letters: Iterable[str]) -> re.Pattern[str]:
    """Return what finds the clusters in texts of these letters: each a letter with the marks, selectors and joiners
    after it, and whatever follows a joiner."""
    extending = {letter for letter in letters if _extends(letter)}
    if not extending:
        return LETTER
    marks = "[" + "".join(map(re.escape, sorted(extending))) + "]"
    return re.compile(rf".(?:{marks}|(?<={JOINER})\S)*", re.DOTALL)


def _extends(letter: str) -> bool:
    is_mark = unicodedata.category(letter).startswith("M")
    return is_mark or ord(letter) in SKIN_TONES or IGNORABLE.match(letter) is not None


def emoji(text: str) -> list[str]:
    """Return the letters of a text that are pictures in colors, as most screens show them."""
    return [found for found in PICTURE.findall(text) if len(found) > 1 or _is_emoji(found)]


def _is_emoji(letter: str) -> bool:
    category = unicodedata.category(letter)
    is_wide = unicodedata.east_asian_width(letter) == "W" and category == "So"
    return is_wide or ord(letter) in FLAG_LETTERS or category == NEWER


def translation_table(letters: Iterable[str], missing: Set[str]) -> dict[int, str | None]:
    """Return a table for str.translate that drops the missing letters and controls; `letters` are those of the text."""
    table: dict[int, str | None] = {ord(letter): None for letter in letters if CONTROLS.match(letter)}
    return table | {ord(letter): " " if unicodedata.category(letter) == BLANK else None for letter in missing}


def drop_from_cue(cue: Cue, missing: Set[str]) -> Cue:
    """Return a cue without controls and the letters that no font has."""
    table = translation_table(set(cue.text), missing)
    places = _places_after(cue.text, table)
    times = tuple((places[min(place, len(cue.text))], time) for place, time in cue.word_times)
    return replace(cue, text=cue.text.translate(table), word_times=times)


def drop_from_words(words: Iterable[Word], cue: Cue, missing: Set[str]) -> list[Word]:
    """Return the words of a cue with their places in the cue without the letters that no font has."""
    places = _places_after(cue.text, translation_table(set(cue.text), missing))
    return [replace(word, first=places[word.first], end=places[word.end]) for word in words]


def _places_after(text: str, table: Mapping[int, str | None]) -> Sequence[int]:
    """Return where each place in a text is, its end included, once the table has dropped letters from it."""
    if not table:
        return range(len(text) + 1)
    kept = (table.get(ord(letter), letter) is not None for letter in text)
    return list(itertools.accumulate(kept, initial=0))
