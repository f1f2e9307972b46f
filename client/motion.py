"""The camera over a still."""

from dataclasses import dataclass
from typing import Literal

Pan = Literal["left", "right", "up", "down", "up-left", "up-right", "down-left", "down-right"]
Easing = Literal["linear", "in-out"]


@dataclass(frozen=True, kw_only=True)
class Motion:
    """The camera zooms from `start_zoom` to `end_zoom` (1 to 10; 1 and 1.324 when None), or back with `zoom_out`.

    The point `focus_x`, `focus_y` (0 to 1; the centre when None) stays in its place, unless the window travels to the
    side that `pan` names. `easing` "in-out" is slow at both ends.
    """

    start_zoom: float | None = None
    end_zoom: float | None = None
    zoom_out: bool = False
    pan: Pan | None = None
    focus_x: float | None = None
    focus_y: float | None = None
    easing: Easing | None = None
