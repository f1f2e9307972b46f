"""Card: a graphics card as the worker describes it. Imports nothing, as the worker must start fast and fork."""

from dataclasses import dataclass, field

SizeLimits = tuple[tuple[int, int], tuple[int, int]]
"""Smallest and largest size of a picture, each as (width, height)."""


@dataclass(frozen=True)
class Abilities:
    """What a card can do in a format: the most B-frames between two others, and whether it looks ahead."""

    b_frames: int
    looks_ahead: bool


@dataclass(frozen=True)
class Card:
    """A graphics card: the formats that it makes, why it cannot be used ("" when it can), the open sessions, and
    whether it decodes inputs too; why not, where it is set to; and what it can do in each format."""

    name: str
    formats: dict[str, SizeLimits]
    fault: str
    sessions: int = 0
    decodes: bool = False
    decode_fault: str = ""
    abilities: dict[str, Abilities] = field(default_factory=dict)

    def size_error(self, form: str, width: int, height: int) -> str:
        """Return why it cannot make pictures of this size; "" when it can."""
        return size_error(self.formats[form], width, height)


def size_error(limits: SizeLimits, width: int, height: int) -> str:
    """Return why a card of these limits cannot make pictures of a size; "" when it can."""
    low, high = limits
    if low[0] <= width <= high[0] and low[1] <= height <= high[1]:
        return ""
    return f"the card makes pictures from {low[0]}×{low[1]} to {high[0]}×{high[1]}, and these are {width}×{height}"


@dataclass(frozen=True)
class CardReport:
    """The first message of a worker: its cards, and why none can be used ("" when one can)."""

    fault: str
    cards: tuple[Card, ...] = ()
