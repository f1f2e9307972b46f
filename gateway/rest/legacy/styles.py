"""The older forms of a caption style as today's CaptionStyle, by tables of their fields.

Their sizes are pixels of a canvas of 1920 x 1080 at any size of the video; today's are percent of the picture.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from gateway.rest.legacy.translation import LegacyRequest, is_given, text_of
from servicekit.echo import brief
from servicekit.errors import InvalidArgument

CANVAS_WIDTH, CANVAS_HEIGHT = 1920, 1080
# Of a number pad, as ASS numbers places, and by name.
PLACES = ("bottom-left", "bottom", "bottom-right", "left", "center", "right", "top-left", "top", "top-right")
NAMED_PLACES = dict(
    zip(
        (f"{row}_{column}" for row in ("bottom", "middle", "top") for column in ("left", "center", "right")),
        PLACES,
        strict=True,
    )
)
OPAQUE = 255
_COLOR = re.compile(r"#?([0-9A-Fa-f]{6})")
# Styles of a border that are a box behind the lines.
BOXES = (3, 4)


def number(name: str, value: Any) -> float:
    """Return a number that may stand in quotes. Raises InvalidArgument."""
    try:
        found = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is None or not abs(found) < float("inf"):
        raise InvalidArgument.field(name, "must be a number", reason="BAD_FIELD")
    return found


def _percent_of(pixels: int) -> Callable[[str, Any], float]:
    return lambda name, value: round(number(name, value) / pixels * 100, 3)


def _as_is(_: str, value: Any) -> Any:
    return value


def _place(name: str, value: Any) -> str:
    text = text_of(value).lower()
    if text.isascii() and text.isdecimal() and 1 <= int(text[:3]) <= len(PLACES):
        return PLACES[int(text[:3]) - 1]
    place = NAMED_PLACES.get(text.replace("-", "_"))
    if place is None:
        raise InvalidArgument.field(name, f"must be one of {', '.join(NAMED_PLACES)}", reason="BAD_FIELD")
    return place


Convert = Callable[[str, Any], Any]
_height, _width = _percent_of(CANVAS_HEIGHT), _percent_of(CANVAS_WIDTH)
# Today's field and its value, by the path of the older one.
FIELDS: dict[str, tuple[str, Convert]] = {
    "font.name": ("font", _as_is),
    "font.size": ("size", _height),
    "font.bold": ("bold", _as_is),
    "font.italic": ("italic", _as_is),
    "colors.primary": ("color", _as_is),
    "colors.outline": ("outline_color", _as_is),
    "colors.background": ("box_color", _as_is),
    "border.width": ("outline", _height),
    "position.alignment": ("position", _place),
    "position.marginVertical": ("margin_y", _height),
    "position.marginLeft": ("margin_x", _width),
    "position.marginRight": ("margin_x", _width),
    "fonte": ("font", _as_is),
    "tamanho_fonte": ("size", _height),
    "fundo_cor": ("box_color", _as_is),
    "texto_cor": ("color", _as_is),
    "highlight_texto_cor": ("highlight_color", _as_is),
    "padding_horizontal": ("margin_x", _width),
    "padding_vertical": ("margin_y", _height),
}
# The opacity of a color: its path, the field of the color, what is wholly opaque, what is transparent.
OPACITIES: dict[str, tuple[str, float, float]] = {
    "colors.primaryAlpha": ("color", 0, OPAQUE),
    "colors.outlineAlpha": ("outline_color", 0, OPAQUE),
    "colors.backgroundAlpha": ("box_color", 0, OPAQUE),
    "fundo_opacidade": ("box_color", 100, 0),
}
DEFAULT_COLORS = {"color": "#FFFFFF", "outline_color": "#000000", "box_color": "#000000"}
# What the result does without, and what it has instead.
IGNORED = {
    "font.underline": "letters are not underlined here.",
    "border.shadow": "letters on a box have no shadow here.",
    "fundo_arredondado": "there is no box whose corners could be round; give its color, as fundo_cor or box_color.",
    "highlight_borda": "a word that is said changes its color and has no border of its own; see style.highlight_color.",
}
# How words become captions, by fields of today's of the same names; and what is done where they are not given.
CUE_RULES = {"words_per_line": "4", "max_lines": "2"}
BOX_RADIUS, MOST_SHADOW = 1.6, 5.0
OFF = (False, 0, "0", "false")
HIGHLIGHT_BORDER = "highlight_cor"
GROUPS = ("font", "colors", "border", "position")
_FLAT = frozenset(name for name in (*FIELDS, *OPACITIES, *IGNORED, *CUE_RULES, HIGHLIGHT_BORDER) if "." not in name)


def is_legacy(style: Any) -> bool:
    """Return True for a style that has a field of an older form."""
    if not isinstance(style, dict):
        return False
    return bool(_FLAT & style.keys()) or any(isinstance(style.get(group), dict) for group in GROUPS)


def converted(request: LegacyRequest, style: dict[str, Any]) -> dict[str, Any]:
    """Return a style of an older form as today's; fields of today's in it stay. Raises InvalidArgument."""
    older = dict(_older_fields(style))
    made = {name: value for name, value in style.items() if name not in _FLAT and not _is_group(name, value)}
    if "position" in made:  # the highlight form has it flat, by the older names
        made["position"] = NAMED_PLACES.get(text_of(made["position"]), made["position"])
    for path, value in older.items():
        if path in FIELDS:
            name, convert = FIELDS[path]
            made[name] = convert(f"style.{path}", value)
    _set_border(made, older)
    _set_opacities(made, older)
    _set_highlight(request, made, older)
    _set_cues(request, older)
    done = set(_set_depth(made, older))
    for path, value in older.items():
        if path in IGNORED and path not in done and value not in OFF:
            request.notes.warn(f"style.{path}", IGNORED[path])
    return made


def _set_cues(request: LegacyRequest, older: dict[str, Any]) -> None:
    for name, like_here in CUE_RULES.items():
        if name in older and text_of(older[name]) != like_here:
            request.message("cues").setdefault(name, older[name])


def _set_depth(made: dict[str, Any], older: dict[str, Any]) -> Iterator[str]:
    """Yield the fields of corners and shadows that are set."""
    if "box_color" in made and older.get("fundo_arredondado", False) not in OFF:
        made.setdefault("box_radius", BOX_RADIUS)
        yield "fundo_arredondado"
    if "box_color" not in made and older.get("border.shadow", 0) not in OFF:
        made["shadow"] = min(_height("style.border.shadow", older["border.shadow"]), MOST_SHADOW)
        yield "border.shadow"


def _is_group(name: str, value: Any) -> bool:
    return name in GROUPS and isinstance(value, dict)


def _older_fields(style: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of the older forms that are given, by path. Raises InvalidArgument for one that none has."""
    for name, value in style.items():
        if _is_group(name, value):
            for inner, element in value.items():
                path = f"{name}.{brief(inner)}"
                if path not in FIELDS and path not in OPACITIES and path not in IGNORED and path != "border.style":
                    raise InvalidArgument.field(f"style.{path}", "is no field of a style", reason="UNKNOWN_FIELD")
                if is_given(element):
                    yield path, element
        elif name in _FLAT and is_given(value):
            yield name, value


def _set_border(made: dict[str, Any], older: dict[str, Any]) -> None:
    kind = int(number("style.border.style", older.get("border.style", 1)))
    if kind in BOXES and "box_color" not in made:
        # Of an opaque box the outline's color is the box's.
        made["box_color"] = made.get("outline_color", DEFAULT_COLORS["box_color"])
    elif kind == 0:
        made["outline"] = 0
    elif kind not in BOXES and "colors.background" in older:
        made.pop("box_color", None)  # it was the color of the shadow


def _set_opacities(made: dict[str, Any], older: dict[str, Any]) -> None:
    for path, (name, opaque, transparent) in OPACITIES.items():
        if path not in older or (path.startswith("colors.") and name == "box_color" and name not in made):
            continue
        share = (number(f"style.{path}", older[path]) - transparent) / (opaque - transparent)
        color = _COLOR.fullmatch(text_of(made.get(name, DEFAULT_COLORS[name])))
        if not 0 <= share <= 1 or color is None:
            raise InvalidArgument.field(f"style.{path}", "is out of range, or its color is none", reason="BAD_FIELD")
        made[name] = f"#{color[1]}{round(share * OPAQUE):02X}"


def _set_highlight(request: LegacyRequest, made: dict[str, Any], older: dict[str, Any]) -> None:
    if HIGHLIGHT_BORDER not in older:
        return
    if "highlight_color" in made:
        request.notes.warn(f"style.{HIGHLIGHT_BORDER}", IGNORED["highlight_borda"])
    else:
        made["highlight_color"] = older[HIGHLIGHT_BORDER]
