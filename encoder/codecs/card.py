"""A card as the worker describes it. Pure."""

from dataclasses import dataclass
from typing import Any

Size = tuple[int, int]

NO_FORMAT = "this card cannot make {}; it makes {}"


@dataclass(frozen=True)
class Card:
    """A card: the formats that it makes, each with its smallest and largest size (width, height), and why it is of no
    use, "" when it is."""

    name: str
    formats: dict[str, tuple[Size, Size]]
    fault: str

    @classmethod
    def unpacked(cls, values: dict[str, Any]) -> "Card":
        """A card from its fields as JSON keeps them."""
        formats = {name: (tuple(low), tuple(high)) for name, (low, high) in values["formats"].items()}
        return cls(values["name"], formats, values["fault"])
