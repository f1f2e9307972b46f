r"""Marks in the text of captions, as players take them, to those of a cue.

Tools copy text from one kind of file to another, and its marks with it. So the same are known in all: the tags of
SubRip, WebVTT and web pages, the commands of ASS (`{\i1}`, `{\pos(192,60)}`), those of MicroDVD (`{y:i}`), and letters
by name (`&amp;`). What is known and has no use here is hidden; what only looks like a mark is text: `a < b`, `<3`,
`{hello}`, `AT&T`.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from encoder.captions.formats.clock import parse_clock
from encoder.captions.formats.colors import parse_color
from encoder.captions.formats.cue import ANYWHERE, Place, escape

TOKEN = re.compile(r"<(?P<tag>[^<>]*)>|\{\\(?P<commands>(?=[\w\\])[^{}]*)\}|\{(?P<dvd>[CFPSYcfpsoy]:[^{}\s]*)\}")
TAG = re.compile(
    r"(?P<closing>\s?/\s?)?(?P<name>[A-Za-z]+)(?P<classes>(?:\.[^\s./]*)*)(?P<rest>\s.*?)?(?P<alone>/)?", re.DOTALL
)
MARKED = re.compile(r"[<{&\\]")
# By name in small letters: the marks that it stands for. These of web pages are as common as SubRip's own.
TAGS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("b", "strong"), ("b",)),
    **dict.fromkeys(("i", "em", "cite"), ("i",)),
    **dict.fromkeys(("u", "ins"), ("u",)),
    **dict.fromkeys(("s", "strike", "del"), ("s",)),
    **dict.fromkeys(("font", "c", "v", "lang", "ruby", "rt", "rp", "rb", "span", "p", "div", "a", "small"), ()),
    **dict.fromkeys(("big", "sub", "sup", "center", "body", "html", "tt", "code", "pre", "bdo", "bdi", "wbr"), ()),
}
# A word behind these is a name; behind others it makes the tag text, but for attributes.
NAMING = ("v", "c", "lang")
OWN_STYLES = {"<font face>": re.compile(r"\bface\s*="), "<font size>": re.compile(r"\bsize\s*=")}
ATTRIBUTE = re.compile(r"[\w:-]+\s*=")
COLOR = re.compile(r"color\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
STYLE = re.compile(r"style\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
# Of YouTube, and the default classes of WebVTT, 5.1.
COLOR_CLASS = re.compile(r"color([0-9A-Fa-f]{6})")
COLOR_CLASSES = ("white", "lime", "cyan", "red", "yellow", "magenta", "blue", "black")

# A name of a font or a style follows the first two without a sign between.
COMMAND = re.compile(r"(?P<name>[1-4]?[a-z]+?)(?P<value>[-+]?\d.*|&.*|\(.*)?", re.IGNORECASE | re.DOTALL)
NAMED = re.compile(r"(fn|r).*", re.IGNORECASE | re.DOTALL)
NUMBER = r"\s*(-?\d{1,6}(?:\.\d{1,6})?)\s*"
POINT = re.compile(rf"\({NUMBER},{NUMBER}[,)]")
# What SubRip's players take a script without PlayResX and PlayResY for; source: ASS_DEFAULT_PLAYRESX of FFmpeg's
# libavcodec/ass.h, ass_types.h of libass.
SCRIPT_WIDTH, SCRIPT_HEIGHT = 384, 288
# \a of SSA has its rows in another order than \an.
HEAVY = 600
OLD_ROWS = {0: 0, 4: 2, 8: 1}

BREAK = re.compile(r"\\[Nn]")
FOLDER = re.compile(r"(?:^|[^A-Za-z])[A-Za-z]:\\|\\\\")
ENTITY = re.compile(r"&(?:#\d{1,8}|#[xX][0-9A-Fa-f]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});")
# The number of a letter that cannot be: Python takes long ones for an error, after reading them for long.
NO_LETTER = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")
REPLACEMENT = "\ufffd"
# What one tool escaped the next one did again.
TIMES_ESCAPED = 3
# Beyond, tags are taken as if they were not there.
MAX_DEPTH = 50

Styles = Mapping[str, Sequence[str]]
"""Marks by what they are for: a tag, a class (".x"), both ("c.x"), or a speaker ("v:Roger")."""


@dataclass(frozen=True)
class Marked:
    """The text of a cue with its marks, where in it times count, its place, and what is not obeyed."""

    text: str
    word_times: tuple[tuple[int, int], ...]
    place: Place
    ignored: Set[str]


def read_marks(words: str, styles: Styles | None = None) -> Marked:
    """Return the text of a caption as it stands in a file as that of a cue."""
    if not MARKED.search(words):
        return Marked(words.strip(), (), ANYWHERE, frozenset())
    writer = _Writer(styles or {})
    position = 0
    for match in TOKEN.finditer(words):
        writer.add_text(words[position : match.start()])
        position = match.end()
        if match["tag"] is not None:
            writer.add_tag(match["tag"])
        elif match["commands"] is not None:
            writer.add_commands(match["commands"])
        else:
            writer.add_command_of_dvd(match["dvd"])
    writer.add_text(words[position:])
    return writer.finish()


def declared_marks(declarations: str) -> list[str]:
    """Return the marks for what a style of CSS declares."""
    marks: list[str] = []
    for declaration in declarations.split(";"):
        name, _, value = (part.strip().lower() for part in declaration.partition(":"))
        if name == "color" and (color := parse_color(value)):
            marks.append(color)
        elif name == "font-style" and value in ("italic", "oblique"):
            marks.append("i")
        elif name == "font-weight" and (value in ("bold", "bolder") or value in ("600", "700", "800", "900")):
            marks.append("b")
        elif name == "text-decoration":
            marks += [mark for word, mark in (("underline", "u"), ("line-through", "s")) if word in value]
    return marks


def unescape(text: str) -> str:
    """Return text with its letters by name as letters. Names end in a semicolon: `AT&T`, `?a=1&lt=2` are none."""
    for _ in range(TIMES_ESCAPED):
        if "&" not in text:
            break
        text = ENTITY.sub(lambda match: html.unescape(match[0]), NO_LETTER.sub(REPLACEMENT, text))
    return text


@dataclass
class _Writer:
    """Writes the text of a cue. `_open` are the names of open tags with the marks that they opened."""

    styles: Styles
    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _times: list[tuple[int, int]] = field(default_factory=list)
    _open: list[tuple[str, list[str]]] = field(default_factory=list)
    _commanded: dict[str, str] = field(default_factory=dict)
    _ignored: set[str] = field(default_factory=set)
    _point: tuple[float, float] | None = None
    _alignment: int = 0
    _draws: bool = False

    def finish(self) -> Marked:
        text = "".join(self._parts)
        shown = text.strip()
        before = len(text) - len(text.lstrip())
        times = tuple((min(max(at - before, 0), len(shown)), time) for at, time in self._times)
        # A point is that of the lower edge's middle, where no other is given.
        alignment = self._alignment or (2 if self._point else 0)
        place = Place(*divmod(alignment - 1, 3), point=self._point) if alignment else ANYWHERE
        return Marked(shown, times, place, self._ignored)

    def add_text(self, words: str) -> None:
        # What stands in <rp> is for those that draw <rt> behind the letters, as is done here.
        if self._draws or (self._open and self._open[-1][0] == "rp"):
            return
        if "\\" in words:
            words = "\n".join(map(_broken, words.split("\n")))
        self._add(escape(unescape(words)))

    def add_tag(self, tag: str) -> None:
        time = parse_clock(tag.strip()) if ":" in tag else None
        match = TAG.fullmatch(tag.rstrip())
        name = match["name"].lower() if match is not None else ""
        if time is not None:
            self._times.append((self._length, time))
        elif match is None or not _is_known(name, match):
            self.add_text(f"<{tag}>")
        elif match["closing"]:
            self._close(name)
        elif name == "br":
            self._add("\n")
        elif not match["alone"]:
            self._open_tag(name, match["classes"].split(".")[1:], match["rest"] or "")

    def add_commands(self, commands: str) -> None:
        r"""Obey the commands of ASS between `{\` and `}`."""
        for command in commands.split("\\"):
            if match := NAMED.fullmatch(command.strip()):
                self._obey(match[1].lower(), "")
            elif match := COMMAND.fullmatch(command.strip()):
                self._obey(match["name"].lower(), match["value"] or "")

    def add_command_of_dvd(self, command: str) -> None:
        """Obey a command of MicroDVD, which counts to the end of the caption."""
        name, _, value = command.lower().partition(":")
        if name == "y":
            for mark in value.split(","):
                if mark in ("b", "i", "u", "s"):
                    self._switch(mark, mark)
        elif name == "c":
            # Blue first, like ASS.
            self._switch("font", parse_color(f"&h{value.removeprefix('$')}&"))
        else:
            self._ignored.add(f"{{{command[:1]}:…}}")

    def _add(self, words: str) -> None:
        self._parts.append(words)
        self._length += len(words)

    def _open_tag(self, name: str, classes: Sequence[str], rest: str) -> None:
        if len(self._open) >= MAX_DEPTH:
            return
        if name in ("rt", "rp"):
            # Read above the letters before; here there is one line.
            self._add("(" if name == "rt" else "")
            self._open.append((name, []))
            return
        marks = [*TAGS[name], *self._styled(name, classes, rest)]
        if name == "font":
            self._ignored.update(shown for shown, pattern in OWN_STYLES.items() if pattern.search(rest.lower()))
        for mark in marks:
            self._add(_opening(mark))
        self._open.append((name, marks))

    def _styled(self, name: str, classes: Sequence[str], rest: str) -> Iterable[str]:
        """Yield the marks of a tag by its classes, its attributes, and the styles of the file."""
        speaker = [f"v:{rest.strip()}"] if name == "v" else []
        keys = [name, *(f".{each}" for each in classes), *(f"{name}.{each}" for each in classes), *speaker]
        for key in keys:
            yield from self.styles.get(key, ())
        for each in classes:
            if each in COLOR_CLASSES or COLOR_CLASS.fullmatch(each):
                yield parse_color(each.removeprefix("color"))
        if style := STYLE.search(rest):
            yield from declared_marks(style[1] or style[2] or "")
        elif (color := COLOR.search(rest)) and (known := parse_color(color[1] or color[2] or color[3] or "")):
            yield known

    def _close(self, name: str) -> None:
        depth = next((depth for depth in reversed(range(len(self._open))) if self._open[depth][0] == name), None)
        if depth is None:
            return
        _, marks = self._open.pop(depth)
        for mark in reversed(marks):
            self._add(_closing(mark))
        if name == "rt":
            self._add(")")

    def _obey(self, name: str, value: str) -> None:
        """Obey one command of ASS. Of places the first one counts."""
        if name in ("an", "a") and value.isdecimal():
            self._alignment = self._alignment or _alignment(name, int(value[:2]))
        elif name in ("pos", "move") and (point := POINT.match(value)):
            across, down = float(point[1]) / SCRIPT_WIDTH, float(point[2]) / SCRIPT_HEIGHT
            self._point = self._point or (min(max(across, 0.0), 1.0), min(max(down, 0.0), 1.0))
        elif name in ("b", "i", "u", "s"):
            self._switch(name, name if _is_on(value) else "")
        elif name in ("c", "1c"):
            self._switch("font", parse_color(value))
        elif name == "r":
            for kind in list(self._commanded):
                self._switch(kind, "")
        elif name == "p":
            self._draws = value.strip("0") != ""
        else:
            self._ignored.add("\\" + name)

    def _switch(self, kind: str, mark: str) -> None:
        """Put the mark that a command sets for a kind in place of the one before; "" for none."""
        if before := self._commanded.pop(kind, ""):
            self._add(_closing(before))
        if mark:
            self._commanded[kind] = mark
            self._add(_opening(mark))


def _is_known(name: str, tag: re.Match[str]) -> bool:
    if name != "br" and name not in TAGS:
        return False
    rest = tag["rest"] or ""
    return not rest.strip() or name in NAMING or ATTRIBUTE.search(rest) is not None


def _opening(mark: str) -> str:
    return f'<font color="{mark}">' if mark.startswith("#") else f"<{mark}>"


def _closing(mark: str) -> str:
    return "</font>" if mark.startswith("#") else f"</{mark}>"


def _alignment(name: str, number: int) -> int:
    """Return an alignment as on the digits of a keyboard; 0 for none."""
    if name == "an":
        return number if 1 <= number <= 9 else 0
    column, row = number % 4, OLD_ROWS.get(number // 4 * 4)
    return row * 3 + column if row is not None and column else 0


def _is_on(value: str) -> bool:
    """Return True for the number of a command that switches something on; of bold it may be a weight."""
    number = int(value[:4]) if value[:4].isdecimal() else 0
    return number == 1 or number >= HEAVY


def _broken(line: str) -> str:
    r"""Return a line broken at `\N`, as ASS has it, unless it names a file."""
    return line if FOLDER.search(line) else BREAK.sub("\n", line).replace("\\h", "\xa0")
