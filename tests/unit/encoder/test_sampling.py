"""Sampling: every sample of luma and of color comes from where the formula says."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from apigpu.v1.motion_pb2 import Motion
from encoder.kenburns import sampling
from encoder.kenburns.sampling import StillLevel, complete_motion
from encoder.media.info import Size

CLIP, KEPT = Size(320, 180), Size(368, 206)


def ramp(size: Size, luma: tuple[float, float], color: tuple[float, float]) -> bytes:
    """A still whose samples tell their own place: luma rises by `luma` a pixel (across, down) at the pixel's center,
    both chroma by `color` at the place where MPEG-2 has them."""
    x, y = np.meshgrid(np.arange(size.width) + 0.5, np.arange(size.height) + 0.5)
    across, down = np.meshgrid(np.arange(size.width // 2) * 2 + 0.5, np.arange(size.height // 2) * 2 + 1.0)
    planes = [x * luma[0] + y * luma[1]] + [across * color[0] + down * color[1]] * 2
    return b"".join(np.rint(plane).astype(np.uint8).tobytes() for plane in planes)


@pytest.mark.parametrize("grid", [1, 2])
@pytest.mark.parametrize(("axis", "requested"), [
    (0, Motion()),
    (1, Motion()),
    (0, Motion(start_zoom=1.3, end_zoom=1.3, pan=Motion.PAN_RIGHT)),
    (1, Motion(start_zoom=1.3, end_zoom=1.3, pan=Motion.PAN_UP)),
    (0, Motion(start_zoom=1.2, end_zoom=1, focus_x=0.1, focus_y=0.8)),
])  # fmt: skip
def test_samples_come_from_where_the_window_says(tmp_path: Path, axis: int, requested: Motion, grid: int) -> None:
    motion = complete_motion(requested)
    level = StillLevel(tmp_path / "still.yuv", KEPT, grid)
    side = (level.stored.width, level.stored.height)[axis]
    slope = 250 / side
    rises = (slope, 0.0) if axis == 0 else (0.0, slope)
    level.path.write_bytes(ramp(level.stored, rises, rises))
    for number, data in enumerate(sampling.frames([level], CLIP, motion, 5)):
        window = sampling.window(motion, number, 5)
        share = (window.x, window.y)[axis]
        step = side / window.zoom / (CLIP.width, CLIP.height)[axis]
        start = share * (side - side / window.zoom)
        luma, *chroma = sampling.planes(np.frombuffer(data, np.uint8), CLIP)
        for plane, first, every in ((luma, 0.5, 1), *((plane, 0.5 if axis == 0 else 1.0, 2) for plane in chroma)):
            found = plane.mean(axis=axis)
            wanted = (start + (first + every * np.arange(len(found))) * step) * slope
            inner = slice(4, -4)  # the edge repeats its last sample
            # Rounding to whole values, twice, leaves a third of one; a tenth of a pixel is grid · slope / 10.
            assert np.abs(found - wanted)[inner].mean() < 0.36
            assert abs((found - wanted)[inner].mean()) < slope * grid / 10


def test_a_still_camera_gives_the_same_frame(tmp_path: Path) -> None:
    still = tmp_path / "still.yuv"
    still.write_bytes(np.random.default_rng(1).integers(0, 256, KEPT.frame_bytes, np.uint8).tobytes())
    motion = complete_motion(Motion(start_zoom=1.1, end_zoom=1.1))
    frames = [bytes(frame) for frame in sampling.frames([StillLevel(still, KEPT, 1)], CLIP, motion, 3)]
    assert len(set(frames)) == 1


def test_a_file_of_another_size_is_no_still(tmp_path: Path) -> None:
    still = tmp_path / "still.yuv"
    still.write_bytes(b"\0" * 100)
    with pytest.raises(sampling.NoPicture, match="100 bytes"):
        next(sampling.frames([StillLevel(still, KEPT, 1)], CLIP, complete_motion(Motion()), 1))


@pytest.mark.parametrize("zooms", [(1.0, 1.324), (1.0, 1.0), (1.0, 2.0), (1.0, 10.0), (4.0, 4.5), (1.5, 6.0)])
def test_stills_suit_the_deepest_and_the_widest_zoom(zooms: tuple[float, float]) -> None:
    scales = sampling.level_scales(complete_motion(Motion(start_zoom=zooms[0], end_zoom=zooms[1])), 100)
    assert scales == sorted(scales, reverse=True)
    assert all(large / small <= 2.0001 for large, small in pairwise(scales))
    assert scales[0] == pytest.approx(max(zooms[1] / 1.15, 1))
    assert scales[-1] <= 1.25 * max(zooms[0] * 1.15, 1)
    assert sampling.level_scales(complete_motion(Motion()), 100) == [pytest.approx(1.324 / 1.15)]


def test_no_still_is_kept_larger_than_its_source() -> None:
    assert sampling.level_scales(complete_motion(Motion(end_zoom=10)), 2.0)[0] == 2.0
    assert sampling.level_scales(complete_motion(Motion(end_zoom=10)), 0.3) == [1.0]


def test_a_deep_zoom_does_not_jump_where_stills_meet(tmp_path: Path) -> None:
    motion, count = complete_motion(Motion(end_zoom=6)), 240
    scales = sampling.level_scales(motion, 100)
    sizes = [CLIP.scaled(scale) for scale in scales]
    rng = np.random.default_rng(2)
    # Detail of every size: of noise alone a frame that falls on the still's own pixels would stand out by itself.
    top = (sizes[0].width, sizes[0].height)
    layers = [rng.standard_normal((top[1] >> n, top[0] >> n)).astype(np.float32) for n in range(1, 6)]
    grown = sum(sampling.cv2.resize(layer, top, interpolation=sampling.cv2.INTER_CUBIC) for layer in layers)
    whole = np.clip(128 + 20 * np.asarray(grown), 0, 255).astype(np.uint8)
    levels = []
    for number, size in enumerate(sizes):
        y = np.asarray(sampling.cv2.resize(whole, (size.width, size.height), interpolation=sampling.cv2.INTER_AREA))
        levels.append(StillLevel(tmp_path / f"{number}.yuv", size, 1))
        levels[-1].path.write_bytes(y.tobytes() + b"\x80" * (size.width * size.height // 2))
    sharpness = [
        float(sampling.cv2.Laplacian(luma, sampling.cv2.CV_32F).std())
        for frame in sampling.frames(levels, CLIP, motion, count)
        for luma in sampling.planes(np.frombuffer(frame, np.uint8), CLIP)[:1]
    ]
    assert len(scales) > 2
    assert max(abs(math.log(b / a)) for a, b in pairwise(sharpness)) < 0.1


def test_stills_are_stored_fine_where_they_fit() -> None:
    assert sampling.grid(Size(2210, 1244)) == 2
    assert sampling.grid(Size(4416, 2484)) == 2
    assert sampling.grid(Size(8000, 4500)) == 1
    assert sampling.grid(Size(64, 16384)) == 1
