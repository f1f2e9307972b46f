"""The boxes of WebVTT: where the settings of a cue and its region put it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from encoder.captions.formats.cue import Place

SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)%")
LINE_NUMBER = re.compile(r"-?\d{1,4}")
COLUMNS = {"start": 0, "left": 0, "center": 1, "middle": 1, "end": 2, "right": 2}
# A player has fifteen lines in a picture. Source: WebVTT, 7.2 (a line is 5.33% high) and 1.25 of it from line to line.
LINES = 15
# The upper and the lower third of a picture.
UPPER, LOWER = 1 / 3, 2 / 3
# What is left for letters at the least.
LEAST_WIDTH = 0.1
# A region of these goes from top to bottom and from side to side.
REGION_DEFAULTS = {"width": "100%", "lines": "3", "regionanchor": "0%,100%", "viewportanchor": "0%,100%"}


@dataclass(frozen=True)
class Region:
    """A part of the picture, at whose lower edge its cues stand: shares of the width and height."""

    left: float
    width: float
    bottom: float


def read_settings(words: Iterable[str]) -> dict[str, str]:
    """Return settings as they stand behind the times of a cue: `name:value`."""
    return dict(word.split(":", 1) for word in words if ":" in word)


def read_region(lines: Iterable[str]) -> tuple[str, Region]:
    """Return the id of a region and where it is. Source: WebVTT, 4.3 and 7.2, "apply WebVTT region settings"."""
    settings = {**REGION_DEFAULTS, **read_settings(word for line in lines for word in line.split())}
    width = _share(settings["width"], 1.0)
    height = min(int(settings["lines"][:2]) if settings["lines"].isdecimal() else 3, LINES) / LINES
    anchor_x, anchor_y = _shares(settings["regionanchor"], 0.0, 1.0)
    across, down = _shares(settings["viewportanchor"], 0.0, 1.0)
    left, bottom = across - anchor_x * width, down + (1 - anchor_y) * height
    return settings.get("id", ""), Region(max(left, 0.0), width, min(max(bottom, height), 1.0))


def place_cue(settings: Mapping[str, str], regions: Mapping[str, Region], lines: int) -> Place:
    """Return where the settings put a cue of so many lines. Text down the page, `vertical`, is not drawn."""
    align = COLUMNS.get(settings.get("align", "center"), 1)
    region = regions.get(settings.get("region", ""))
    column = align if align != 1 or "position" in settings or region else None
    if region is not None:
        return Place(0, column, *_margins(region.left, region.width), 1 - region.bottom)
    row, vertical = _row(settings.get("line", "auto"), lines)
    box = _box(settings, align) if "position" in settings or "size" in settings else (0.0, 1.0)
    return Place(row, column, *_margins(*box), vertical)


def _box(settings: Mapping[str, str], align: int) -> tuple[float, float]:
    """Return the left edge and the width of a cue's box. Source: WebVTT, 7.2, steps 4 to 8."""
    where, _, side = settings.get("position", "").partition(",")
    position = _share(where, align / 2)
    anchor = {"line-left": 0, "center": 1, "line-right": 2}.get(side, align)
    most = (1 - position, 2 * min(position, 1 - position), position)[anchor]
    width = min(_share(settings.get("size", ""), 1.0), most)
    return position - width * anchor / 2, width


def _margins(left: float, width: float) -> tuple[float, float]:
    left = min(left, 1 - LEAST_WIDTH)
    return round(left, 4), round(max(1 - left - max(width, LEAST_WIDTH), 0.0), 4)


def _row(line: str, lines: int) -> tuple[int | None, float]:
    """Return the row for a setting `line`, and the room beyond it: above, or below, in shares of the height."""
    line, _, side = line.partition(",")
    if SHARE.fullmatch(line):
        at = _share(line, 1.0)
        height = lines / LINES
        if at < UPPER:
            return 2, round(max(at - height * {"center": 0.5, "end": 1.0}.get(side, 0.0), 0.0), 4)
        if at < LOWER:
            return 1, 0.0
        return 0, round(max(1 - at - height * {"center": 0.5, "end": 0.0}.get(side, 1.0), 0.0), 4)
    if not LINE_NUMBER.fullmatch(line):
        return None, 0.0
    number = int(line)
    if 0 <= number <= LINES / 2:
        return 2, round(number / LINES, 4)
    below = -1 - number if number < 0 else LINES - number - lines
    return (0, round(below / LINES, 4)) if 0 <= below < LINES / 2 else (0 if number > 0 else 2, 0.0)


def _share(text: str, default: float) -> float:
    match = SHARE.fullmatch(text)
    return min(float(match[1]) / 100, 1.0) if match else default


def _shares(text: str, *defaults: float) -> tuple[float, ...]:
    return tuple(_share(part, default) for part, default in zip((*text.split(","), "", ""), defaults, strict=False))
