"""Names of enum values: each goes by its full name, as everywhere in protobuf, and by the short one that people write.

PRESET_BOLD of the enum Preset is also "bold", EASING_IN_OUT of Easing also "in-out".
"""

import re
from typing import Any

UNSPECIFIED = "UNSPECIFIED"


def number_of(enum: Any, text: str) -> int | None:
    """The number of a value by its name, full or short, in any case, with - for _; None for one that is not known."""
    names = enum.values_by_name
    plain = text.upper().replace("-", "_")
    for name in (text, plain, _prefix(enum) + plain):
        if name in names:
            return int(names[name].number)
    return None


def short_names(enum: Any) -> list[str]:
    """The short names, in lower case with hyphens; those of an enum whose values have no prefix as they are."""
    prefix = _prefix(enum)
    names = [str(value.name) for value in enum.values]
    if not all(name.startswith(prefix) for name in names):
        return names
    short = [name.removeprefix(prefix) for name in names if name != prefix + UNSPECIFIED]
    return [name.lower().replace("_", "-") for name in short]


def _prefix(enum: Any) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"
