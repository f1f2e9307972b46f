"""The fonts that captions are drawn with: the bundled ones, FONTS_DIR's, the system's, and a request's own.

libass takes every letter from a font of the family that is asked for, and from the one that is nearest to the weight
and slant that are asked for among those that have the letter. So a letter that a family lacks is found when another
font that has it goes by the family's name: lines then stay one text, shaped and ordered as a whole, whatever scripts
are mixed in them. Letters that no font has are dropped and reported, rather than drawn as boxes.
"""

import contextlib
import io
import itertools
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

import fontpkg_fira_sans
import structlog
from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

from apigpu.v1 import video_pb2
from encoder.captions.font_bounds import MAX_LETTERS, FontError, check_letters, check_names, distinct_faces
from encoder.captions.font_files import FIRA, SYSTEM, bundled_files, font_files
from encoder.captions.formats import MARK, Cue
from encoder.captions.karaoke import Word

log = structlog.get_logger("encoder")

FAMILY: str = fontpkg_fira_sans.FAMILY
COLLECTION = b"ttcf"
MAGIC = (b"\0\1\0\0", b"OTTO", b"true", COLLECTION)

REGULAR, BOLD = 400, 700
# Weights of a font that stands in: never nearer to what is asked for than a font of the family itself. The light one is
# made heavier by libass where bold is asked for.
LIGHT_STAND_IN, HEAVY_STAND_IN = 10, 10_000
NEAR = 300
# libass makes letters smaller the more room a font takes above and below the line; Noto Sans takes this much.
MAX_LINE = 1.362
# Of text that runs down the page; left out of reduced fonts.
UNUSED = ("BASE", "VORG", "vhea", "vmtx", "VVAR", "STAT", "DSIG")
# The names by which libass finds a font are its family and full name; NAMES are those that a renamed font has anew.
FAMILY_NAME, FULL_NAME, TYPOGRAPHIC_FAMILY = 1, 4, 16
NAMES = (1, 2, 3, 4, 6, 16, 17, 21, 22, 25)
ITALIC_BIT, BOLD_BIT, REGULAR_BIT = 1, 1 << 5, 1 << 6
# Measuring every glyph anew would take seconds.
AS_IT_IS = {"recalcBBoxes": False, "recalcTimestamp": False}
# What would end the name in a script, or the line.
UNFIT = re.compile(r"[@,{}\\\x00-\x1f\x7f\u2028\u2029]")
MAX_FAMILY_CHARS = 100

# These draw nothing of their own: controls, joiners, blanks, surrogates. Blanks that a font lacks become plain ones.
UNDRAWN = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
BLANK = "Zs"
# Selectors of a letter's variant and of skin: nothing is amiss without them.
SELECTORS = {*map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0xE0000, 0xE01F0))}
MAX_WARNINGS = 40


@dataclass(frozen=True)
class Face:
    """One font: number `number` in its file. `names` are its families and full names in small letters, of which libass
    knows `plain_names`; `letters` are the codes that it has a glyph for."""

    path: Path
    number: int
    family: str
    names: frozenset[str]
    plain_names: frozenset[str]
    weight: int
    italic: bool
    letters: frozenset[int]


def read_faces(path: Path) -> list[Face]:
    """Return the fonts in a file, those of a collection that are the same once. Raises FontError."""
    with path.open("rb") as file:
        if file.read(4) not in MAGIC:
            raise FontError("it is no TrueType or OpenType font")
    with _errors_of_damage():
        return list(_iter_faces(path))


def _open(data: bytes, number: int) -> TTFont:
    # Of bytes: what is read lazily from a file keeps it open.
    return TTFont(io.BytesIO(data), fontNumber=number, lazy=True, **AS_IT_IS)


def _iter_faces(path: Path) -> Iterator[Face]:
    data = path.read_bytes()
    # Fonts of a collection often share a table; where it lies tells which.
    letters: dict[tuple[int, int], frozenset[int]] = {}
    fonts = {number: _open(data, number) for number in _numbers(data)}
    # All claims are judged before any is believed.
    tables = {_letters_place(font): font for font in fonts.values()}
    if sum(check_letters(font.reader["cmap"]) for font in tables.values()) > MAX_LETTERS:
        raise FontError("it has too many letters")
    for number, font in fonts.items():
        place = _letters_place(font)
        if place not in letters:
            letters[place] = frozenset(font.getBestCmap() or ())
        yield _face(path, number, font, letters[place])


def _numbers(data: bytes) -> list[int]:
    return distinct_faces(data) if data.startswith(COLLECTION) else [0]


def _letters_place(font: TTFont) -> tuple[int, int]:
    entry = font.reader.tables["cmap"]
    return entry.offset, entry.length


def _face(path: Path, number: int, font: TTFont, letters: frozenset[int]) -> Face:
    check_names(font.reader["name"])
    table, os2 = font["name"], font["OS/2"]
    plain = _names(table, FAMILY_NAME, FULL_NAME)
    more = _names(table, TYPOGRAPHIC_FAMILY)
    named = table.getDebugName(FAMILY_NAME) or table.getDebugName(TYPOGRAPHIC_FAMILY) or ""
    family = UNFIT.sub(" ", named).strip()[:MAX_FAMILY_CHARS].strip() or path.stem
    return Face(
        path=path,
        number=number,
        family=family,
        names=plain | more | {family.casefold()},
        plain_names=plain,
        weight=os2.usWeightClass,
        italic=bool(os2.fsSelection & ITALIC_BIT),
        letters=letters,
    )


def _names(table: object, *kinds: int) -> frozenset[str]:
    return frozenset(str(record).casefold() for record in table.names if record.nameID in kinds)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class FontLibrary:
    """Every font that an encoder has, those of FONTS_DIR first; read when first needed."""

    fonts_dir: Path | None
    _read: dict[int, list[Face]] = field(default_factory=dict)

    @property
    def tiers_read(self) -> int:
        """How many tiers of fonts have been read so far."""
        return len(self._read)

    def read_tiers(self, count: int) -> Iterator[None]:
        """Read the first tiers, as many as there are; yields after each file."""
        for number, origin in enumerate(self._origins()[:count]):
            if number not in self._read:
                found: list[Face] = []
                for path in origin():
                    found += _readable_faces([path])
                    yield
                self._read[number] = found

    def _tiers(self) -> Iterator[list[Face]]:
        """Yield the faces of one origin after the other; the files of each are read when it is first come to."""
        for number in range(len(self._origins())):
            for _ in self.read_tiers(number + 1):
                pass
            yield self._read[number]

    def _origins(self) -> Sequence[Callable[[], Sequence[Path]]]:
        return (
            lambda: font_files(self.fonts_dir),
            lambda: FIRA,
            lambda: bundled_files()[len(FIRA) :],
            lambda: [path for folder in SYSTEM for path in font_files(Path(folder).expanduser())],
        )

    def find_family(self, family: str) -> list[Face]:
        """Return the faces of a family, by its own or by a full name; none when no tier has it."""
        name = family.casefold()
        return next((faces for tier in self._tiers() if (faces := [f for f in tier if name in f.names])), [])

    def furnish(self, folder: Path, families: Mapping[str, Set[str]], own: Sequence[Face] = ()) -> frozenset[str]:
        """Make `folder` hold all that it takes to draw these letters in these families; a family that is not known is
        drawn in the bundled one. `own` are faces of the request. Returns the letters that no font has. Raises FontError
        when one of `own` is damaged."""
        folder.mkdir(exist_ok=True)
        missing: set[int] = set()
        # Families often lack the same letters, and a font takes seconds to reduce.
        reduced: dict[tuple[Path, int, frozenset[int]], bytes] = {}
        for count, (family, letters) in enumerate(families.items()):
            chosen = _styles([f for f in own if family.casefold() in f.names] or self.find_family(family))
            basis = chosen or _styles(self.find_family(FAMILY))
            for number, face in enumerate(basis):
                _place(face, family, folder / f"{count}-{number}.ttf")
            left = {ord(letter) for letter in letters} - frozenset().union(*(face.letters for face in basis))
            weight = _stand_in_weight(basis)
            for number, face in enumerate(self._covering(left)):
                key = face.path, face.number, frozenset(left & face.letters)
                if key not in reduced:
                    reduced[key] = _reduced(face, key[2])
                data = _named(reduced[key], family, weight + number, f"{count}-more-{number}")
                (folder / f"{count}-more-{number}.ttf").write_bytes(data)
                left -= face.letters
            missing |= left
        return frozenset(map(chr, missing))

    def _covering(self, letters: Set[int]) -> list[Face]:
        """Return few faces that have these letters, as far as any have them: each has the most of those that are
        left."""
        chosen: list[Face] = []
        left = set(letters)
        for tier in self._tiers():
            while left and (able := [face for face in tier if not left.isdisjoint(face.letters)]):
                # Of equals the one that is most like a regular one.
                best = max(able, key=lambda f: (len(f.letters & left), not f.italic, -abs(f.weight - REGULAR)))
                chosen.append(best)
                left -= best.letters
            if not left:
                break
        return chosen


def furnished_files(folder: Path, number: int) -> list[Path]:
    """Return the files that FontLibrary.furnish wrote for a family, which is counted from 0 in its order."""
    return sorted(folder.glob(f"{number}-*"))


def _readable_faces(paths: Sequence[Path]) -> Iterator[Face]:
    for path in paths:
        try:
            yield from read_faces(path)
        except (FontError, OSError) as error:
            log.warning("a font cannot be used", path=str(path), error=str(error))


def rename(face: Face, family: str, weight: int, letters: Set[int] | None = None) -> bytes:
    """Return the font under another family and weight (OpenType's usWeightClass), its lines within MAX_LINE; with no
    more than the letters that are given, and the glyphs that shaping makes of them. A variable font becomes a regular
    one. Raises FontError."""
    return _named(_reduced(face, letters), family, weight, f"{face.path.stem}-{face.number}-{weight}")


def _reduced(face: Face, letters: Set[int] | None) -> bytes:
    """Return a regular font with these letters alone, or with all. Raises FontError."""
    with _errors_of_damage():
        font = _open(face.path.read_bytes(), face.number)
        if letters is not None:
            reducer = subset.Subsetter(
                subset.Options(layout_features=["*"], notdef_outline=True, drop_tables=[*UNUSED])
            )
            reducer.populate(unicodes=letters)
            reducer.subset(font)
        if "fvar" in font:
            place = {axis.axisTag: REGULAR if axis.axisTag == "wght" else None for axis in font["fvar"].axes}
            instancer.instantiateVariableFont(font, place, inplace=True)
        return _saved(font)


def _named(data: bytes, family: str, weight: int, unique: str) -> bytes:
    with _errors_of_damage():
        font = _open(data, 0)
        _rename(font, family, weight, unique)
        return _saved(font)


def _saved(font: TTFont) -> bytes:
    data = io.BytesIO()
    font.save(data)
    return data.getvalue()


@contextlib.contextmanager
def _errors_of_damage() -> Iterator[None]:
    """Raise FontError for whatever a damaged table makes fontTools trip over, which lets it through."""
    try:
        yield
    except (FontError, MemoryError):
        raise
    except Exception as error:
        raise FontError("it is damaged") from error


def _rename(font: TTFont, family: str, weight: int, unique: str) -> None:
    table, os2 = font["name"], font["OS/2"]
    table.names = [record for record in table.names if record.nameID not in NAMES]
    for kind, value in {1: family, 2: "Regular", 3: unique, 4: unique, 6: unique}.items():
        table.setName(value, kind, 3, 1, 0x409)
    os2.usWeightClass = weight
    os2.fsSelection &= ~(REGULAR_BIT | BOLD_BIT)
    line = (os2.usWinAscent + os2.usWinDescent) / font["head"].unitsPerEm
    if line > MAX_LINE:
        os2.usWinAscent = round(os2.usWinAscent * MAX_LINE / line)
        os2.usWinDescent = round(os2.usWinDescent * MAX_LINE / line)


def _styles(faces: Sequence[Face]) -> list[Face]:
    """Return the faces that regular, bold and italic text is drawn with."""
    wanted = ((REGULAR, False), (BOLD, False), (REGULAR, True), (BOLD, True))
    nearest = [
        min(faces, key=lambda face: (face.italic != italic, abs(face.weight - weight)))
        for weight, italic in wanted
        if faces
    ]
    return list(dict.fromkeys(nearest))


def _stand_in_weight(basis: Sequence[Face]) -> int:
    near = all(min(abs(face.weight - weight) for face in basis) < NEAR for weight in (REGULAR, BOLD))
    return LIGHT_STAND_IN if near else HEAVY_STAND_IN


def _place(face: Face, family: str, to: Path) -> None:
    """Write the font as it is, if libass finds it by this family; else under it."""
    if family.casefold() not in face.plain_names:
        to.write_bytes(rename(face, family, face.weight))
        return
    # Never a link: FFmpeg may write to the task's folder. A copy takes 1 ms for four of Latin, 10 ms for the largest.
    shutil.copyfile(face.path, to)


def required_letters(texts: Iterable[str], *, capitals: bool = False) -> set[str]:
    """Return the letters that it takes to draw the texts of captions."""
    letters = set("".join(MARK.sub("", text) for text in texts))
    if capitals:
        letters = set("".join(map(str.upper, letters)))
    return {letter for letter in letters if letter == " " or unicodedata.category(letter) not in UNDRAWN[:-1]}


def drop_from_cue(cue: Cue, missing: Set[str]) -> Cue:
    """Return a cue without the letters that no font has."""
    table = translation_table(missing)
    places = _places_after(cue.text, table)
    times = tuple((places[min(place, len(cue.text))], time) for place, time in cue.word_times)
    return replace(cue, text=cue.text.translate(table), word_times=times)


def drop_from_words(words: Iterable[Word], cue: Cue, missing: Set[str]) -> list[Word]:
    """Return the words of a cue with their places in the cue without the letters that no font has."""
    places = _places_after(cue.text, translation_table(missing))
    return [replace(word, first=places[word.first], end=places[word.end]) for word in words]


def _places_after(text: str, table: Mapping[int, str | None]) -> Sequence[int]:
    """Return where each place in a text is, its end included, once the table has dropped letters from it."""
    if not table:
        return range(len(text) + 1)
    kept = (table.get(ord(letter), letter) is not None for letter in text)
    return list(itertools.accumulate(kept, initial=0))


def translation_table(missing: Set[str]) -> dict[int, str | None]:
    """Return a table for str.translate that drops the missing letters, in either case of theirs."""
    both_cases = missing | {letter for other in missing for letter in other.lower() if len(other.lower()) == 1}
    return {ord(letter): " " if unicodedata.category(letter) == BLANK else None for letter in both_cases}


def missing_glyph_warnings(texts: Iterable[str], missing: Set[str]) -> list[video_pb2.Warning]:
    """Return a warning for each caption, counted from 1, that misses letters; at most MAX_WARNINGS."""
    table = translation_table(missing)
    undrawn = {chr(code) for code, other in table.items() if other is None} - SELECTORS
    warnings: list[video_pb2.Warning] = []
    for number, text in enumerate(texts, 1):
        letters = "".join(dict.fromkeys(letter for letter in text if letter in undrawn))
        if letters:
            message = f"caption {number}: no font here has {letters[:40]}, which is left out; give one as url_font."
            metadata = {"cue": str(number), "characters": letters[:200]}
            warnings.append(video_pb2.Warning(reason="MISSING_GLYPHS", message=message, metadata=metadata))
        if len(warnings) == MAX_WARNINGS:
            break
    return warnings
