"""The fonts that captions are drawn with: the bundled ones, FONTS_DIR's, the system's, and a request's own.

libass takes every letter from a font of the family that is asked for, and from the one that is nearest to the weight
and slant that are asked for among those that have the letter. So a letter that a family lacks is found when another
font that has it goes by the family's name: lines then stay one text, shaped and ordered as a whole, whatever scripts
are mixed in them. Letters that no font has are dropped and reported, rather than drawn as boxes.
"""

import io
import shutil
import struct
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import fontpkg_fira_sans
import structlog
from fontTools import subset
from fontTools.ttLib import TTCollection, TTFont
from fontTools.varLib import instancer

from apigpu.v1 import video_pb2
from encoder.captions.formats import MARK, Cue
from encoder.captions.karaoke import Word

log = structlog.get_logger("encoder")

FAMILY: str = fontpkg_fira_sans.FAMILY
# Static files: libass takes 20 ms more to open a variable font, once for every video. These are the faces of <b>, <i>.
FACES = ("Regular", "Italic", "Bold", "BoldItalic")
FIRA = [Path(fontpkg_fira_sans.ROOT) / "files" / f"FiraSans-{face}.ttf" for face in FACES]
# Noto for the scripts that Fira lacks, and for Chinese, Japanese and Korean where that package is installed.
PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
SYSTEM = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")
ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
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
MAX_CODE = 0x10FFFF
GROUPED_FORMATS = (8, 12, 13)

# These draw nothing of their own: controls, joiners, blanks, surrogates. Blanks that a font lacks become plain ones.
UNDRAWN = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
BLANK = "Zs"
# Selectors of a letter's variant and of skin: nothing is amiss without them.
SELECTORS = {*map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0xE0000, 0xE01F0))}
MAX_WARNINGS = 40


class FontError(ValueError):
    """A file is no font that can be used."""


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
    """Return the fonts in a file. Raises FontError."""
    with path.open("rb") as file:
        if file.read(4) not in MAGIC:
            raise FontError("it is no TrueType or OpenType font")
    try:
        return [_face(path, number, font) for number, font in enumerate(_open(path))]
    except FontError:
        raise
    except Exception as error:  # fontTools lets through whatever a damaged table makes it trip over
        raise FontError("it is damaged") from error


def font_files(folder: Path | None) -> list[Path]:
    """Return the font files in a folder and the folders in it."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS) if folder else []


def bundled_files() -> list[Path]:
    """Return the font files that are installed with the encoder."""
    return FIRA + [path for name in PACKAGES if find_spec(name) for path in font_files(Path(str(files(name))))]


def _open(path: Path) -> Sequence[TTFont]:
    # Read whole: what is read lazily from a file keeps it open.
    data = path.read_bytes()
    if data.startswith(COLLECTION):
        collected: Sequence[TTFont] = TTCollection(io.BytesIO(data), lazy=True, **AS_IT_IS).fonts
        return collected
    return [TTFont(io.BytesIO(data), lazy=True, **AS_IT_IS)]


def _face(path: Path, number: int, font: TTFont) -> Face:
    _check_letters(font.reader["cmap"])
    table, os2 = font["name"], font["OS/2"]
    plain = _names(table, FAMILY_NAME, FULL_NAME)
    more = _names(table, TYPOGRAPHIC_FAMILY)
    family = table.getDebugName(FAMILY_NAME) or table.getDebugName(TYPOGRAPHIC_FAMILY) or path.stem
    return Face(
        path=path,
        number=number,
        family=family,
        names=plain | more,
        plain_names=plain,
        weight=os2.usWeightClass,
        italic=bool(os2.fsSelection & ITALIC_BIT),
        letters=frozenset(font.getBestCmap() or ()),
    )


def _names(table: object, *kinds: int) -> frozenset[str]:
    return frozenset(str(record).casefold() for record in table.names if record.nameID in kinds)  # type: ignore[attr-defined]


def _check_letters(table: bytes) -> None:
    """Raise FontError for a table of letters whose ranges would fill the memory when they are spelled out."""
    (count,) = struct.unpack_from(">H", table, 2)
    for place in range(4, 4 + 8 * count, 8):
        (start,) = struct.unpack_from(">I", table, place + 4)
        (form,) = struct.unpack_from(">H", table, start)
        if form not in GROUPED_FORMATS:
            continue
        first = start + (12 if form != 8 else 12 + 8192)
        (groups,) = struct.unpack_from(">I", table, first)
        ranges = struct.iter_unpack(">III", table[first + 4 : first + 4 + 12 * groups])
        if sum(max(end - begin, 0) + 1 for begin, end, _ in ranges) > MAX_CODE + 1:
            raise FontError("its table of letters is damaged")


@dataclass(frozen=True)
class FontLibrary:
    """Every font that an encoder has, those of FONTS_DIR first; read when first needed."""

    fonts_dir: Path | None
    _read: dict[int, list[Face]] = field(default_factory=dict)

    def _tiers(self) -> Iterator[list[Face]]:
        """Yield the faces of one origin after the other; the files of each are read when it is first come to."""
        origins: Sequence[Callable[[], Sequence[Path]]] = (
            lambda: font_files(self.fonts_dir),
            lambda: FIRA,
            lambda: bundled_files()[len(FIRA) :],
            lambda: [path for folder in SYSTEM for path in font_files(Path(folder).expanduser())],
        )
        for number, files_of_origin in enumerate(origins):
            if number not in self._read:
                self._read[number] = list(_readable_faces(files_of_origin()))
            yield self._read[number]

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
        for count, (family, letters) in enumerate(families.items()):
            chosen = _styles([f for f in own if family.casefold() in f.names] or self.find_family(family))
            basis = chosen or _styles(self.find_family(FAMILY))
            for number, face in enumerate(basis):
                _place(face, family, folder / f"{count}-{number}.ttf")
            left = {ord(letter) for letter in letters} - frozenset().union(*(face.letters for face in basis))
            weight = _stand_in_weight(basis)
            for number, face in enumerate(self._covering(left)):
                data = rename(face, family, weight + number, left & face.letters)
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
    try:
        font = _open(face.path)[face.number]
        if letters is not None:
            reducer = subset.Subsetter(
                subset.Options(layout_features=["*"], notdef_outline=True, drop_tables=[*UNUSED])
            )
            reducer.populate(unicodes=letters)
            reducer.subset(font)
        if "fvar" in font:
            place = {axis.axisTag: REGULAR if axis.axisTag == "wght" else None for axis in font["fvar"].axes}
            instancer.instantiateVariableFont(font, place, inplace=True)
        _rename(font, family, weight, f"{face.path.stem}-{face.number}-{weight}")
        data = io.BytesIO()
        font.save(data)
    except Exception as error:  # as above
        raise FontError("it is damaged") from error
    return data.getvalue()


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
    times = tuple((_shift(place, cue, table), time) for place, time in cue.word_times)
    return replace(cue, text=cue.text.translate(table), word_times=times)


def drop_from_words(words: Iterable[Word], cue: Cue, missing: Set[str]) -> list[Word]:
    """Return the words of a cue with their places in the cue without the letters that no font has."""
    table = translation_table(missing)
    return [replace(word, first=_shift(word.first, cue, table), end=_shift(word.end, cue, table)) for word in words]


def _shift(place: int, cue: Cue, table: Mapping[int, str | None]) -> int:
    return len(cue.text[:place].translate(table))


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
    return warnings[:MAX_WARNINGS]
