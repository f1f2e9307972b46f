"""The fonts that captions are drawn with: the bundled ones, FONTS_DIR's, the system's, and a request's own.

What a family lacks is taken from other fonts: of captions in a style, each letter with its marks from one font, which
the script names there; of scripts with a look of their own, each letter by itself, from a font that goes by the
family's name, as libass does. Lines stay one text either way, shaped and ordered as a whole. Letters that no font has
are dropped and reported, rather than drawn as boxes.
"""

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

import fontpkg_fira_sans
import structlog

from encoder.captions import lettering
from encoder.captions.faces import Face, drawn_letters, read_faces
from encoder.captions.font_bounds import FontError
from encoder.captions.font_files import FIRA, SYSTEM, bundled_files, bundled_folders, font_files
from encoder.captions.font_making import BOLD, REGULAR, fit, has_weight, name_font, rename
from encoder.captions.languages import han_region
from encoder.captions.lettering import Lettering, StandIn

log = structlog.get_logger("encoder")

FAMILY: str = fontpkg_fira_sans.FAMILY
# Weights of a font that stands in under a family's own name: never nearer to what is asked for than a font of the
# family itself. libass makes heavier what is 150 or more below: the light one where bold is asked for, and only there.
LIGHT_STAND_IN, HEAVY_STAND_IN = 260, 10_000
NEAR = REGULAR - LIGHT_STAND_IN
# libass takes up to ten fonts for a family in a weight and slant.
MAX_STAND_INS = 9
# The tiers that come with the encoder, and FONTS_DIR's.
BUNDLED_TIERS = 3


@dataclass(frozen=True)
class FurnishedScript:
    """What a script is drawn without: letters that no font has, those whose fonts would be too many for one family, and
    families that are not there."""

    missing: frozenset[str]
    crowded: frozenset[str]
    unknown: Sequence[str]


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

    def furnish_captions(
        self,
        folder: Path,
        family: str,
        texts: Sequence[str],
        own: Sequence[Face] = (),
        *,
        bold: bool = False,
        italic: bool = False,
    ) -> Lettering:
        """Make `folder` hold all that it takes to draw these texts in a family, and in bold and italics too where they
        are asked for: each font is loaded for each of the captions' films. A family that is not known is drawn in the
        bundled one. `own` are faces of the request. Raises FontError when
        one of `own` is damaged."""
        folder.mkdir(exist_ok=True)
        letters = set("".join(texts))
        needed = lettering.required_codes(letters)
        basis = _styles(self._faces(family, own), bold=bold, italic=italic)
        _place_all(basis, family, folder, 0)
        has = _drawn(basis, needed)
        if has == needed:
            return Lettering(has)
        pattern = lettering.cluster_pattern(letters)
        found = {lettering.required_codes(one) for text in texts for one in set(pattern.findall(text))}
        clusters = [cluster for cluster in found if not cluster <= has]
        wanted = frozenset([ord(" ")]).union(*clusters)
        chosen = self._covering(needed - has, han_region("".join(texts)))
        whole = (cluster for cluster in clusters if len(cluster) > 1)
        chosen += self._covering_whole(whole, [face.letters for face in chosen])
        stand_ins = [StandIn(f"{family} {number}", face.letters & wanted) for number, face in enumerate(chosen)]
        for number, (face, stand_in) in enumerate(zip(chosen, stand_ins, strict=True)):
            for weight in (REGULAR, BOLD) if bold and has_weight(face, BOLD) else (REGULAR,):
                name = f"0-more-{number}-{weight}"
                data = name_font(fit(face, stand_in.letters, weight), stand_in.family, weight, name)
                (folder / f"{name}.ttf").write_bytes(data)
        missing = needed.difference(has, *(face.letters for face in chosen))
        return Lettering(has, stand_ins, frozenset(map(chr, missing)), pattern)

    def furnish_script(
        self, folder: Path, families: Mapping[str, Set[str]], own: Sequence[Face] = ()
    ) -> FurnishedScript:
        """Make `folder` hold all that it takes to draw these letters in these families, each font by the name of its
        family; a family that is not known is drawn in the bundled one. `own` are faces of the request. Raises FontError
        when one of `own` is damaged."""
        folder.mkdir(exist_ok=True)
        missing: set[int] = set()
        crowded: set[int] = set()
        unknown: list[str] = []
        # Families often lack the same letters, and a large font takes long to reduce.
        fitted: dict[tuple[Path, int, frozenset[int]], bytes] = {}
        for count, (family, letters) in enumerate(families.items()):
            basis = _styles(self._faces(family, own), bold=True, italic=True)
            _place_all(basis, family, folder, count)
            needed = lettering.required_codes(letters)
            left = needed - _drawn(basis, needed)
            if not any(family.casefold() in face.names for face in basis):
                unknown.append(family)
            chosen = self._covering(left, han_region("".join(letters)))
            missing |= left.difference(*(face.letters for face in chosen))
            crowded |= left.difference(missing, *(face.letters for face in chosen[:MAX_STAND_INS]))
            weight = _stand_in_weight(basis)
            for number, face in enumerate(chosen[:MAX_STAND_INS]):
                key = face.path, face.number, left & face.letters
                if key not in fitted:
                    fitted[key] = fit(face, key[2])
                data = name_font(fitted[key], family, weight + number, f"{count}-more-{number}")
                (folder / f"{count}-more-{number}.ttf").write_bytes(data)
        return FurnishedScript(frozenset(map(chr, missing)), frozenset(map(chr, crowded)), unknown)

    def _faces(self, family: str, own: Sequence[Face]) -> list[Face]:
        """Return the faces of a family, or of the one that stands in for it."""
        faces = [face for face in own if family.casefold() in face.names] or self.find_family(family)
        return faces or self.find_family(FAMILY)

    def _covering(self, letters: Set[int], region: str) -> list[Face]:
        """Return few faces that have these letters, as far as any have them: each has the most of those that are left,
        and no others of them. Of faces for Chinese, Japanese and Korean the one of `region` is taken."""
        chosen: list[Face] = []
        left = set(letters)
        for tier in self._tiers():
            able = list(tier)
            while left and (able := [face for face in able if not left.isdisjoint(face.letters)]):
                # Of equals the one that is most like a regular one.
                best = max(able, key=lambda face: (len(face.letters & left), *_merits(face, region)))
                able.remove(best)
                if drawn := _drawn_if_readable(best, left):
                    chosen.append(replace(best, letters=best.letters - (left - drawn)))
                    left -= drawn
            if not left:
                break
        return chosen

    def _covering_whole(self, clusters: Iterable[Set[int]], sets: Sequence[Set[int]]) -> list[Face]:
        """Return more faces, for letters with marks that no one of these sets of letters has all of."""
        chosen: list[Face] = []
        tiers = list(itertools.islice(self._tiers(), BUNDLED_TIERS))
        for cluster in clusters:
            if not any(cluster <= letters for letters in (*sets, *(face.letters for face in chosen))):
                able = (face for tier in tiers for face in tier if cluster <= face.letters)
                chosen += itertools.islice((face for face in able if cluster <= _drawn_if_readable(face, cluster)), 1)
        return chosen


def caption_files(folder: Path) -> list[list[Path]]:
    """Return the files that furnish_captions wrote: of the family of the style, then of each font that stands in."""
    stand_ins = {int(path.stem.split("-")[2]) for path in folder.glob("0-more-*")}
    return [sorted(folder.glob("0-[0-9]*")), *(sorted(folder.glob(f"0-more-{one}-*")) for one in sorted(stand_ins))]


def script_files(folder: Path, number: int) -> list[Path]:
    """Return the files that furnish_script wrote for a family, which is counted from 0 in its order."""
    return sorted(folder.glob(f"{number}-*"))


def _readable_faces(paths: Sequence[Path]) -> Iterator[Face]:
    for path in paths:
        try:
            yield from read_faces(path)
        except (FontError, OSError) as error:
            _log_unusable(path, error)


def _log_unusable(path: Path, error: Exception) -> None:
    log.warning("a font cannot be used", path=str(path), error=str(error))


def _styles(faces: Sequence[Face], *, bold: bool, italic: bool) -> list[Face]:
    """Return the faces that regular text is drawn with, and bold and italic text where they are asked for."""
    wanted = [(weight, slant) for slant in (False, True)[: 1 + italic] for weight in (REGULAR, BOLD)[: 1 + bold]]
    nearest = [
        min(faces, key=lambda face: (face.italic != slant, abs(face.weight - weight)))
        for weight, slant in wanted
        if faces
    ]
    return list(dict.fromkeys(nearest))


def _merits(face: Face, region: str) -> tuple[bool, bool, int]:
    return region in face.family.split(), not face.italic, -abs(face.weight - REGULAR)


def _drawn(faces: Sequence[Face], letters: Set[int]) -> frozenset[int]:
    """Return those of the letters that one of the faces shows. Raises FontError."""
    return frozenset().union(*(_drawn_by(face, letters) for face in faces))


def _drawn_by(face: Face, letters: Set[int]) -> frozenset[int]:
    is_bundled = any(face.path.is_relative_to(folder) for folder in bundled_folders())
    return frozenset(face.letters & letters) if is_bundled else drawn_letters(face, letters)


def _drawn_if_readable(face: Face, letters: Set[int]) -> frozenset[int]:
    try:
        return _drawn_by(face, letters)
    except FontError as error:
        _log_unusable(face.path, error)
        return frozenset()


def _stand_in_weight(basis: Sequence[Face]) -> int:
    near = all(min(abs(face.weight - weight) for face in basis) < NEAR for weight in (REGULAR, BOLD))
    return LIGHT_STAND_IN if near else HEAVY_STAND_IN


def _place_all(faces: Sequence[Face], family: str, folder: Path, count: int) -> None:
    for number, face in enumerate(faces):
        _place(face, family, folder / f"{count}-{number}.ttf")


def _place(face: Face, family: str, to: Path) -> None:
    """Write the font as it is, if libass finds it by this family; else under it."""
    if family.casefold() not in face.plain_names:
        to.write_bytes(rename(face, family, face.weight))
        return
    # Never a link: FFmpeg may write to the task's folder. A copy takes 1 ms for four of Latin, 10 ms for the largest.
    shutil.copyfile(face.path, to)
