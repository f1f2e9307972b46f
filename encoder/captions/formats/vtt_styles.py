"""The styles of WebVTT: what its STYLE blocks say of a tag, a class or a speaker.

Of `::cue(…)` the color, italics, bold and lines count. `::cue` alone says how all captions look, which the request
decides.
"""

import re

from encoder.captions.formats.markup import declared_marks

SELECTOR = re.compile(
    r"::cue\(\s*(?P<tag>[a-z]*)(?:\.(?P<cls>[\w-]{1,100}))?(?:\[voice=[\"']?(?P<voice>[^\]\"']{1,100})[\"']?\])?\s*\)"
)
# More are no styles of people.
MAX_STYLES = 1000


def read_styles(text: str) -> dict[str, list[str]]:
    """Return the marks for each tag ("i"), class (".x"), both ("c.x") and speaker ("v:Roger") of a style sheet."""
    styles: dict[str, list[str]] = {}
    for rule in _without_comments(text).split("}")[:MAX_STYLES]:
        selectors, _, declarations = rule.partition("{")
        marks = declared_marks(declarations)
        for selector in selectors.split(","):
            match = SELECTOR.fullmatch(selector.strip())
            if match and (key := _key(match)) and marks:
                styles[key] = marks
    return styles


def _key(match: re.Match[str]) -> str:
    if match["voice"]:
        return f"v:{match['voice'].strip()}"
    return f"{match['tag']}.{match['cls']}" if match["cls"] else match["tag"]


def _without_comments(text: str) -> str:
    parts = text.split("/*")
    return "".join([parts[0], *(part.partition("*/")[2] for part in parts[1:])])
