"""A still of a batch."""

from dataclasses import dataclass
from typing import Literal

from client.motion import Motion
from client.source import Source

Fit = Literal["cover", "contain", "blur", "stretch"]
"""How a still of another shape than the clip is fitted in: cut, between bars, on a blurred copy of itself, pulled."""


@dataclass(frozen=True)
class Still:
    """An image, with seconds (0.1 to 600) and a camera of its own; those of the call where they are None."""

    source: Source
    seconds: float | None = None
    motion: Motion | None = None
