"""The pages of docs/: what each is called and about, and each as HTML. The texts are the project's own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath

from markdown_it import MarkdownIt
from markdown_it.token import Token

# A wheel has the pages beside this file, a clone where they are written.
FOLDERS = (Path(__file__).parent / "pages", Path(__file__).resolve().parents[3] / "docs")
START = "Start"
# What a newcomer reads first.
START_PAGES = ("quickstart", "troubleshooting")
SECTIONS = {
    START: START,
    "operations": "Operations",
    "guides": "Guides",
    "reference": "Reference",
    "": "Inside",
    "pt-BR": "Em português",
}
_PARSER = MarkdownIt("commonmark").enable("table")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True)
class Guide:
    """One page: its place below docs/, and its text in Markdown."""

    place: PurePosixPath
    text: str

    @property
    def section(self) -> str:
        """Return the heading that lists of pages have it under."""
        is_start = self.place.with_suffix("").as_posix() in START_PAGES
        return START if is_start else SECTIONS[self.place.parent.as_posix().removeprefix(".")]

    @property
    def title(self) -> str:
        """Return its first heading."""
        return self.text.partition("\n")[0].removeprefix("# ")

    @property
    def summary(self) -> str:
        """Return the first sentence of its first paragraph, as plain text."""
        paragraph = self.text.split("\n\n")[1].replace("\n", " ")
        plain = _LINK.sub(r"\1", paragraph).replace("**", "").replace("`", "")
        return re.split(r"(?<=\.)\s", plain)[0].rstrip(":.") + "."

    @cached_property
    def html(self) -> str:
        """Return the text as HTML, whose headings can be linked to."""
        tokens = _PARSER.parse(self.text)
        for token, following in pairwise(tokens):
            if token.type == "heading_open":
                token.attrSet("id", anchor(following.content))
            for child in token.children or ():
                self._lead(child)
        return str(_PARSER.renderer.render(tokens, _PARSER.options, {}))

    def _lead(self, token: Token) -> None:
        """Have a link between pages lead to the page as HTML, and one to what is not served nowhere."""
        target = str(token.attrGet("href") or "")
        if token.type != "link_open" or not target or re.match(r"[a-z]+:|#", target):
            return
        place, mark, fragment = target.partition("#")
        if not place.endswith(".md") or ".." in _within(self.place.parent / place).parts:
            del token.attrs["href"]
        else:
            token.attrSet("href", f"{place.removesuffix('.md')}.html{mark}{fragment}")


def anchor(heading: str) -> str:
    """Return the name that links to a heading have, as on GitHub."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _within(place: PurePosixPath) -> PurePosixPath:
    """Return a path without the folders that it leaves again; what leads out of docs/ begins with two points."""
    parts: list[str] = []
    for part in place.parts:
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def folder() -> Path:
    """Return where the pages are."""
    return next(path for path in FOLDERS if path.is_dir())


def read(root: Path) -> dict[str, Guide]:
    """Return the pages of a folder by their places without an ending, in the order of the sections."""
    found = {guide.place.with_suffix("").as_posix(): guide for guide in _read(root)}
    order = list(SECTIONS.values())
    return dict(sorted(found.items(), key=lambda item: order.index(item[1].section)))


def _read(root: Path) -> Iterator[Guide]:
    for path in sorted(root.rglob("*.md")):
        yield Guide(PurePosixPath(path.relative_to(root).as_posix()), path.read_text("utf-8"))


def contents(guides: dict[str, Guide], base: str, ending: str, level: int = 2) -> str:
    """Return a list of the pages by sections, in Markdown; its links are `base`, the place and the `ending`."""
    lines: list[str] = []
    for section in dict.fromkeys(guide.section for guide in guides.values()):
        lines += ["", f"{'#' * level} {section}", ""]
        lines += [
            f"- [{guide.title}]({base}{place}{ending}): {guide.summary}"
            for place, guide in guides.items()
            if guide.section == section
        ]
    return "\n".join(lines).strip() + "\n"
