"""Writer of ASS scripts: cues in a style, with nothing of their text but words.

ASS text can switch fonts, move, draw and blank the picture. So every brace and backslash of a cue is shown as it is,
save for the marks that SubRip knows.
"""

import re
from collections.abc import Iterator, Sequence

from encoder.captions import karaoke
from encoder.captions.formats import MARK, Cue, font_color
from encoder.captions.karaoke import Word
from encoder.captions.style import CLASSIC, LINE_FIELDS, Style, color_tag

# libass has no escape for a backslash: a word joiner after it keeps it from starting a command.
WORD_JOINER = "\u2060"
EVENT_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"


def write_script(
    cues: Sequence[Cue],
    width: int,
    height: int,
    style: Style = CLASSIC,
    words: Sequence[Sequence[Word]] | None = None,
) -> str:
    """Return the script for a picture that is shown as `width` × `height` square pixels; sizes follow its smaller side.
    `words` are the words of each cue, where their times are known from elsewhere (karaoke).

    PlayRes has the shape of the picture, as libass would stretch sizes otherwise. LayoutRes says that these are square
    pixels, so that text keeps its shape on pixels that are not.
    """
    head = [
        "[Script Info]",
        "ScriptType: v4.00+",
        f"PlayResX: {width}",
        f"PlayResY: {height}",
        f"LayoutResX: {width}",
        f"LayoutResY: {height}",
        "WrapStyle: 0",
        "ScaledBorderAndShadow: yes",
        "YCbCr Matrix: None",
        "",
        "[V4+ Styles]",
        f"Format: {LINE_FIELDS}",
        style.line(width, height),
        "",
        "[Events]",
        f"Format: {EVENT_FIELDS}",
    ]
    position = style.position_tag(width, height)
    if style.highlight_color:
        cue_words = words if words is not None else [karaoke.timed_words(cue) for cue in cues]
        events = (event for cue, timed in zip(cues, cue_words, strict=True) for event in _karaoke(cue, timed, style))
    else:
        events = ((cue.start_ms, cue.end_ms, to_ass(cue.text, style)) for cue in cues)
    return "\n".join([*head, *(_event(start, end, position + text) for start, end, text in events), ""])


def to_ass(words: str, style: Style = CLASSIC, *, colors: bool = True) -> str:
    """Return a cue's text as ASS text: known marks kept, of color if `colors`; line ends as \\N, all else as it is."""
    parts, position = [], 0
    open_colors = [style.color]
    for match in MARK.finditer(words):
        parts += [
            _plain(words[position : match.start()], capitals=style.capitals),
            _mark(match, open_colors, colors=colors),
        ]
        position = match.end()
    parts.append(_plain(words[position:], capitals=style.capitals))
    return "".join(parts)


def _event(start_ms: int, end_ms: int, words: str) -> str:
    return f"Dialogue: 0,{_clock(start_ms)},{_clock(end_ms)},Default,,0,0,0,,{words}"


def _karaoke(cue: Cue, words: Sequence[Word], style: Style) -> Iterator[tuple[int, int, str]]:
    """Yield a cue with one word after the other in another color; between two words none is."""
    unlit = to_ass(cue.text, style, colors=False)
    until = cue.start_ms
    for word in words:
        if word.start_ms > until:
            yield until, word.start_ms, unlit
        if word.end_ms > max(word.start_ms, until):
            yield max(word.start_ms, until), word.end_ms, _highlight(cue.text, word, style)
        until = max(until, word.end_ms)
    if until < cue.end_ms:
        yield until, cue.end_ms, unlit


def _highlight(words: str, word: Word, style: Style) -> str:
    parts = words[: word.first], words[word.first : word.end], words[word.end :]
    before, said, after = (to_ass(part, style, colors=False) for part in parts)
    return f"{before}{color_tag(style.highlight_color)}{said}{color_tag(style.color)}{after}"


def _mark(match: re.Match[str], open_colors: list[str], *, colors: bool) -> str:
    """Return a mark as ASS; `open_colors` are the colors of open marks, the innermost last."""
    closing, tag, place = match["closing"], (match["tag"] or "").lower(), match["place"]
    if place:
        return f"{{\\{place.lower()}}}"
    if tag != "font":
        return f"{{\\{tag}{0 if closing else 1}}}"
    if not colors:
        return ""
    if not closing:
        open_colors.append(font_color(match["rest"]) or open_colors[-1])
    elif len(open_colors) > 1:
        open_colors.pop()
    return color_tag(open_colors[-1])


def _plain(words: str, *, capitals: bool) -> str:
    if capitals:
        words = words.upper()
    shown = words.replace("\\", f"\\{WORD_JOINER}").replace("{", "\\{").replace("}", "\\}")
    return shown.replace("\r", "").replace("\n", "\\N")


def _clock(milliseconds: int) -> str:
    centiseconds = (milliseconds + 5) // 10
    seconds, hundredths = divmod(centiseconds, 100)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{hundredths:02}"
