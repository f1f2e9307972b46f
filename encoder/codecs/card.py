"""A card as the worker describes it. Pure."""

from dataclasses import dataclass
from typing import Any

Size = tuple[int, int]

NO_FORMAT = "this card cannot make {}; it makes {}"
NO_B_FRAMES = "this card makes {} with at most {} B-frames between two others; set NVENC_B_FRAMES={}"
NO_LOOKAHEAD = "this card does not look ahead; set NVENC_LOOKAHEAD=0"


@dataclass(frozen=True)
class Card:
    """A card: the formats that it makes, each with its smallest and largest size (width, height), why it is of no use,
    "" when it is, and the sessions that are open now."""

    name: str
    formats: dict[str, tuple[Size, Size]]
    fault: str
    sessions: int = 0

    @classmethod
    def unpacked(cls, values: dict[str, Any]) -> "Card":
        """A card from its fields as JSON keeps them."""
        formats = {name: (tuple(low), tuple(high)) for name, (low, high) in values["formats"].items()}
        return cls(values["name"], formats, values["fault"])
