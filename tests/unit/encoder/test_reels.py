"""Stills that lead into each other, frame by frame."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from apigpu.v1 import story_pb2
from apigpu.v1.motion_pb2 import Motion
from apigpu.v1.story_pb2 import Transition
from encoder.kenburns.reels import Meeting, StillReel
from encoder.kenburns.sampling import StillFrames, StillLevel, planes
from encoder.media.info import Size
from encoder.story.blends import StillBlend

SIZE = Size(24, 24)
STAY = Motion(start_zoom=1, end_zoom=1, focus_x=0.5, focus_y=0.5)


def still(folder: Path, light: int, count: int) -> StillFrames:
    """A still of one brightness and color."""
    path = folder / f"{light}.yuv"
    path.write_bytes(bytes([light]) * SIZE.frame_bytes)
    return StillFrames((StillLevel(path, SIZE, 1),), SIZE, STAY, count, "url")


def test_stills_follow_each_other_and_share_the_frames_of_their_transitions(tmp_path: Path) -> None:
    fade = StillBlend(Transition(kind=story_pb2.TRANSITION_KIND_CROSSFADE), SIZE)
    stills = (still(tmp_path, 20, 5), still(tmp_path, 120, 7), still(tmp_path, 220, 4))
    reel = StillReel(stills, (Meeting(2, fade), Meeting(4, fade)))
    shown = [np.frombuffer(frame, np.uint8).copy() for frame in reel()]
    assert all((frame == frame[0]).all() for frame in shown)
    assert [int(frame[0]) for frame in shown] == [20, 20, 20, 20, 70, 120, 120, 145, 170, 195]


@pytest.mark.parametrize("direction", [way for way in Transition.Direction.values() if way])
@pytest.mark.parametrize("kind", [story_pb2.TRANSITION_KIND_SLIDE, story_pb2.TRANSITION_KIND_WIPE])
def test_color_moves_with_light(
    kind: "story_pb2.TransitionKind.ValueType", direction: "Transition.Direction.ValueType"
) -> None:
    one, other, out = (np.full(SIZE.frame_bytes, light, np.uint8) for light in (20, 220, 0))
    blend = StillBlend(Transition(kind=kind, direction=direction), SIZE)
    shares = []
    for number in range(6):
        blend(one, other, out, number, 6)
        light, *colors = planes(out, SIZE)
        assert all((light[::2, ::2] == color).all() for color in colors)
        shares.append((light == 220).mean())
    assert shares[0] == 0
    assert all(before < after for before, after in pairwise(shares))
    assert shares == pytest.approx([number / 6 for number in range(6)], abs=0.13)
