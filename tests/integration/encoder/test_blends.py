"""Transitions between stills, whose frames are blended here, against FFmpeg's own, which those of videos have."""

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
import pytest

from apigpu.v1 import story_pb2
from apigpu.v1.story_pb2 import Transition
from encoder.kenburns.sampling import Plane, planes
from encoder.media.info import Size
from encoder.story.blends import StillBlend
from encoder.story.transitions import DIRECTIONS, Passage, at_rate, blend
from tests.support import media

SIZE = Size(64, 36)
COUNT = 12
WAYS = [way for way in DIRECTIONS if way]


def slope(across: int, down: int, base: int) -> Plane:
    """A picture that grows brighter evenly, so that a place is known by its brightness."""
    frame = np.full(SIZE.frame_bytes, 128, np.uint8)
    rows, columns = np.mgrid[: SIZE.height, : SIZE.width]
    planes(frame, SIZE)[0][:] = base + across * columns + down * rows
    return frame


ONE, OTHER = slope(1, 1, 20), slope(-1, -1, 235)


def by_ffmpeg(folder: Path, *filters: str) -> np.ndarray:
    """Luma of the frames of a transition as FFmpeg has it: count × height × width."""
    for number, picture in enumerate((ONE, OTHER)):
        (folder / f"{number}.yuv").write_bytes(picture.tobytes() * (COUNT + 1))
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{SIZE.width}x{SIZE.height}", "-r", "24")
    inputs = [part for number in (0, 1) for part in (*raw, "-i", folder / f"{number}.yuv")]
    graph = ",".join((*filters, "format=yuv444p", "extractplanes=y"))
    media.run(*inputs, "-lavfi", graph, "-frames:v", str(COUNT), "-f", "rawvideo", folder / "out.yuv")
    return np.fromfile(folder / "out.yuv", np.uint8).reshape(COUNT, SIZE.height, SIZE.width).astype(int)


def blended(transition: Transition, number: int) -> np.ndarray:
    out = np.zeros(SIZE.frame_bytes, np.uint8)
    StillBlend(transition, SIZE)(ONE, OTHER, out, number, COUNT)
    return planes(out, SIZE)[0].astype(int)


@pytest.mark.parametrize(
    ("kind", "direction", "name"),
    [
        (story_pb2.TRANSITION_KIND_CROSSFADE, 0, "fade"),
        *((story_pb2.TRANSITION_KIND_SLIDE, way, f"slide{DIRECTIONS[way]}") for way in WAYS),
        *((story_pb2.TRANSITION_KIND_WIPE, way, f"wipe{DIRECTIONS[way]}") for way in WAYS),
    ],
)
def test_stills_blend_as_videos_do(
    tmp_path: Path, kind: "story_pb2.TransitionKind.ValueType", direction: "Transition.Direction.ValueType", name: str
) -> None:
    wanted = by_ffmpeg(tmp_path, f"[0][1]xfade=transition={name}:duration={COUNT / 24}:offset=0")
    for number in range(COUNT):
        apart = np.abs(blended(Transition(kind=kind, direction=direction), number) - wanted[number])
        # What moves stands between samples of color, so at even places.
        assert np.quantile(apart, 0.9) <= 2, number


def test_stills_fade_through_black_as_videos_do(tmp_path: Path) -> None:
    half = COUNT // 2
    dark = f"[0]fade=type=out:start_frame=0:nb_frames={half},trim=end_frame={half}[dark]"
    bright = f"[1]fade=type=in:start_frame=0:nb_frames={half},trim=end_frame={half}[bright]"
    wanted = by_ffmpeg(tmp_path, f"{dark};{bright};[dark][bright]concat")
    for number in range(COUNT):
        transition = Transition(kind=story_pb2.TRANSITION_KIND_FADE_BLACK)
        assert blended(transition, number) == pytest.approx(wanted[number], abs=2), number


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
@pytest.mark.parametrize(
    ("kind", "before", "frames"),
    [
        *((story_pb2.TRANSITION_KIND_CROSSFADE, before, 5) for before in (0, 1, 2, 7)),
        *((story_pb2.TRANSITION_KIND_FADE_BLACK, before, frames) for before in (0, 1, 2) for frames in (2, 3, 6)),
    ],
)
def test_a_passage_has_all_its_frames(
    kind: "story_pb2.TransitionKind.ValueType", before: int, frames: int, rate: Fraction
) -> None:
    def gray(level: int, count: int) -> Any:
        color = ffmpeg.input(f"color=0x{level:02x}{level:02x}{level:02x}:s=16x16:r={rate}", f="lavfi")
        return at_rate(color.filter("trim", end_frame=count), rate)

    passage = Passage(Transition(kind=kind), before, frames, rate)
    made = blend(gray(60, before + frames), gray(200, frames), passage)
    command = ffmpeg.output(made, "pipe:1", f="rawvideo", pix_fmt="gray", fps_mode="passthrough").get_args()
    done = subprocess.run([media.FFMPEG, "-v", "error", *command], check=True, capture_output=True)
    shown = np.frombuffer(done.stdout, np.uint8).reshape(-1, 16, 16)[:, 8, 8].astype(int)
    assert len(shown) == before + frames
    assert np.abs(shown[: before + 1] - shown[0]).max() <= 1
    assert shown[-1] > shown[0] or frames == 2
