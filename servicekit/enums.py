"""Names of protobuf's enum values, full and short: PRESET_BOLD of the enum Preset is also "bold", CANVAS_16_9 of the
enum Canvas "16:9"."""

import re
from typing import Any

UNSPECIFIED = "UNSPECIFIED"


def number_of(enum: Any, text: str) -> int | None:
    """Return the number of a value by its full or short name, in any case, "-", ":" or a blank for "_"; None for an
    unknown name."""
    names = enum.values_by_name
    plain = re.sub("[-: ]", "_", text.strip().upper())
    for name in (text, plain, _prefix(enum) + plain):
        if name in names:
            return int(names[name].number)
    return None


def short_names(enum: Any) -> list[str]:
    """Return the short names, lower-case with hyphens, or a colon between numbers; the full names where the enum's
    values have no prefix."""
    prefix = _prefix(enum)
    names = [str(value.name) for value in enum.values]
    if not all(name.startswith(prefix) for name in names):
        return names
    short = [name.removeprefix(prefix) for name in names if name != prefix + UNSPECIFIED]
    return [re.sub(r"(?<=\d)_(?=\d)", ":", name).lower().replace("_", "-") for name in short]


def _prefix(enum: Any) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"
