"""How telling a picture is: small grey pictures, held against each other."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

PREFIX, ENDING = "candidate", ".gray"
Grey = npt.NDArray[np.uint8]

# Means of samples, of 255, between which a picture is neither too dark nor burnt out.
DARK, BRIGHT = 48.0, 208.0
# Spread of samples, and detail (spread of the Laplacian), of a picture that has enough of each.
RICH_SPREAD, SHARP_DETAIL = 56.0, 24.0


def best(folder: Path, side: int) -> int | None:
    """Return the number in the name of the most telling picture, a file of side × side grey samples in the folder; of
    equals the earliest. None when there is no picture."""
    scores = {number: score(picture) for number, picture in sorted(_pictures(folder, side))}
    return max(scores, key=lambda number: scores[number], default=None)


def score(picture: Grey) -> float:
    """Return how telling a picture is, from 0 (black, or of one colour) to 1: well lit, rich in contrast, sharp."""
    mean, spread = float(picture.mean()), float(picture.std())
    light = min(mean / DARK, (255.0 - mean) / (255.0 - BRIGHT), 1.0)
    contrast = min(spread / RICH_SPREAD, 1.0)
    detail = min(float(cv2.Laplacian(picture, cv2.CV_32F).std()) / SHARP_DETAIL, 1.0)
    # One that lacks a thing altogether must not win by the others.
    return light * contrast * (0.25 + 0.75 * detail)


def _pictures(folder: Path, side: int) -> Iterator[tuple[int, Grey]]:
    for path in folder.glob(f"{PREFIX}*{ENDING}"):
        samples = np.frombuffer(path.read_bytes(), np.uint8)
        if samples.size == side * side:
            yield int(path.stem.removeprefix(PREFIX)), samples.reshape(side, side)
