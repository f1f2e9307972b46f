"""Card: a graphics card as the worker describes it. Imports nothing, as the worker must start fast and fork."""

from dataclasses import dataclass
from typing import Any

SizeLimits = tuple[tuple[int, int], tuple[int, int]]
"""Smallest and largest size of a picture, each as (width, height)."""


@dataclass(frozen=True)
class Card:
    """A graphics card: the formats that it makes, why it cannot be used ("" when it can), and the open sessions."""

    name: str
    formats: dict[str, SizeLimits]
    fault: str
    sessions: int = 0

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Card":
        """Return the card of a JSON object."""
        formats = {name: (tuple(low), tuple(high)) for name, (low, high) in values["formats"].items()}
        return cls(values["name"], formats, values["fault"])
