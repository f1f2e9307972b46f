"""What tools leave about the text of subtitles: byte order marks, fences of chat models, escapes, doubled line ends."""

import re
from collections.abc import Sequence

FENCE = re.compile(r"\s*(?:```|~~~)\s*[\w+-]{0,20}\s*")
# Controls have no place in text; of them only blanks and line ends are kept. The byte order mark draws nothing.
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f\ufeff]")
TIME = re.compile(r"\d:\d\d|\d[.,]\d")
ESCAPED_END = re.compile(r"(?:\\r)?\\n")
# A caption has two lines that stand together, times and text.
LEAST_DOUBLED = 6


def unwrap(text: str) -> str:
    """Return the text of subtitles without what tools left about it; lines end in \\n."""
    text = CONTROLS.sub("", text)
    if "--&gt;" in text and "-->" not in text:
        text = text.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
    if "\n" not in text.strip() and text.count("\\n") > 1:
        text = ESCAPED_END.sub("\n", text).strip('"')
    lines = _single(_without_fences(text.split("\n")))
    return "\n".join(lines)


def _without_fences(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines between fences, without what chat models say about them; all lines where there are none."""
    fences = [index for index, line in enumerate(lines) if FENCE.fullmatch(line)]
    if not fences:
        return lines
    if len(fences) == 1:  # the other one was cut off
        return max(lines[: fences[0]], lines[fences[0] + 1 :], key=lambda part: sum(map(_has_time, part)))
    pairs = zip(fences[::2], [*fences[1::2], len(lines)], strict=False)
    return [line for start, end in pairs for line in (*lines[start + 1 : end], "")]


def _has_time(line: str) -> bool:
    return TIME.search(line) is not None


def _single(lines: Sequence[str]) -> Sequence[str]:
    """Return lines of which every second one is empty, as line ends were doubled, without these."""
    for first in (0, 1):
        if len(lines) >= LEAST_DOUBLED and not any(map(str.strip, lines[1 - first :: 2])):
            return lines[first::2]
    return lines
