"""How far a Ken Burns clip strays from its own formula: the shaking that an eye sees, in pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

ZOOM = 0.324
PAIRS = 60
BLUR = 5
CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-5)


@dataclass(frozen=True)
class Wobble:
    """Root mean square of the error between neighbouring frames: of the center, and of the worst corner."""

    center: float
    corners: float


def wobble(clip: Path) -> Wobble:
    """Measure a clip that zooms from 1 to 1.324 about its center. Between two frames the affine motion is estimated
    (ECC) and held against the one that the formula asks for; of a long clip, PAIRS pairs spread over it."""
    frames = _grey(clip)
    total = len(frames)
    height, width = frames[0].shape
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    points = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1], [*center, 1]]).T
    off = []
    for number in np.unique(np.linspace(1, total - 1, min(PAIRS, total - 1)).astype(int)):
        ratio = (1 + ZOOM * (number - 1) / total) / (1 + ZOOM * number / total)
        wanted = np.array([[ratio, 0, center[0] * (1 - ratio)], [0, ratio, center[1] * (1 - ratio)]], np.float32)
        before, after = (frames[place].astype(np.float32) for place in (number - 1, number))
        _, found = cv2.findTransformECC(after, before, wanted.copy(), cv2.MOTION_AFFINE, CRITERIA, None, BLUR)
        off.append(np.abs((found - wanted) @ points))
    errors = np.array(off)
    return Wobble(_rms(errors[:, :, 4].max(axis=1)), _rms(errors.max(axis=(1, 2))))


def _rms(values: np.ndarray[Any, Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _grey(clip: Path) -> list[np.ndarray[Any, Any]]:
    with av.open(str(clip)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
