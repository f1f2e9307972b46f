"""Card: a graphics card as the worker describes it. Imports nothing, as the worker must start fast and fork."""

from dataclasses import dataclass

SizeLimits = tuple[tuple[int, int], tuple[int, int]]
"""Smallest and largest size of a picture, each as (width, height)."""


@dataclass(frozen=True)
class Card:
    """A graphics card: the formats that it makes, why it cannot be used ("" when it can), the open sessions, and
    whether it decodes inputs too; why not, where it is set to."""

    name: str
    formats: dict[str, SizeLimits]
    fault: str
    sessions: int = 0
    decodes: bool = False
    decode_fault: str = ""


@dataclass(frozen=True)
class CardReport:
    """The first message of a worker: its cards, and why none can be used ("" when one can)."""

    fault: str
    cards: tuple[Card, ...] = ()
