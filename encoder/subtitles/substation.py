"""ASS and SSA (SubStation Alpha), which have a look of their own: read by pysubs2, written again as ASS.

What is written again is what was understood. Files that are packed into a script, fonts and pictures, are left out.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import pysubs2
from pysubs2.exceptions import Pysubs2Error

from encoder.subtitles.cue import SubtitleError

SECTION = re.compile(r"^\[(?:script info|v4\+? styles|events)\]", re.IGNORECASE | re.MULTILINE)
SSA = re.compile(r"^\[v4 styles\]", re.IGNORECASE | re.MULTILINE)
OVERRIDE = re.compile(r"(\{[^{}]*\})")
FONT = re.compile(r"\\fn([^\\}]*)")
MAX_FAMILIES = 64


def is_it(text: str) -> bool:
    """Whether a file has the sections of a script."""
    return SECTION.search(text) is not None


@dataclass(frozen=True)
class Script:
    """A script; its captions are counted from 1 in the order of the file."""

    file: pysubs2.SSAFile

    def captions(self) -> list[str]:
        """What each caption shows, without commands; of drawings nothing."""
        return [event.plaintext if event.is_text else "" for event in self.file if not event.is_comment]

    def families(self) -> Mapping[str, set[str]]:
        """The families of fonts that are named, and the letters that may be drawn with each: all of them, as styles
        change within a line."""
        letters = set("".join(self.captions()))
        named = [style.fontname for style in self.file.styles.values()]
        named += [name for event in self.file for name in FONT.findall(event.text)]
        found: dict[str, set[str]] = defaultdict(lambda: letters)
        for name in named[:MAX_FAMILIES]:
            if name.strip().lstrip("@"):
                found[name.strip().lstrip("@")] = letters
        return found

    def without(self, letters: frozenset[str]) -> str:
        """The script as ASS, without these letters."""
        gone = str.maketrans(dict.fromkeys(letters))
        for event in self.file:
            parts = OVERRIDE.split(event.text)
            event.text = "".join(part if part.startswith("{") else part.translate(gone) for part in parts)
        written: str = self.file.to_string("ass")
        return written


def parse(text: str) -> Script:
    """Read a script. Raises SubtitleError."""
    try:
        file = pysubs2.SSAFile.from_string(text, format_="ssa" if SSA.search(text) else "ass")
    except (Pysubs2Error, ValueError, KeyError, IndexError) as error:
        raise SubtitleError("it is not a script that can be read; open and save it with a subtitle editor.") from error
    if not any(event.is_text for event in file):
        raise SubtitleError("there are no captions in it; a caption is a line 'Dialogue: …' under [Events].")
    file.fonts_opaque.clear()
    file.graphics_opaque.clear()
    return Script(file)
