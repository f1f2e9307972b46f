"""story, judged by decoding: every scene in its place to the frame, transitions against exact blends, sound by
correlation, captions over joints, and faults that name their scenes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from apigpu.v1 import motion_pb2, story_pb2
from tests.support import judge, media, stories
from tests.support.encoder_harness import Client
from tests.support.stories import Film, scene

SIZE = {"width": 160, "height": 90}
COLORS: Mapping[str, tuple[int, int, int]] = {
    "red": (230, 20, 20),
    "green": (20, 180, 40),
    "blue": (30, 40, 220),
    "white": (225, 225, 225),
}
CROSSFADE = {"kind": story_pb2.TRANSITION_KIND_CROSSFADE, "seconds": 0.5}
KINDS = {
    "crossfade": story_pb2.TRANSITION_KIND_CROSSFADE,
    "black": story_pb2.TRANSITION_KIND_FADE_BLACK,
    "slide": story_pb2.TRANSITION_KIND_SLIDE,
    "wipe": story_pb2.TRANSITION_KIND_WIPE,
}


def flat(folder: Path, color: str, ending: str = "png") -> Path:
    """A still of one color."""
    path = folder / f"{color}.{ending}"
    value = "0x" + "".join(f"{part:02x}" for part in COLORS[color])
    media.run("-f", "lavfi", "-i", f"color=c={value}:size=320x180,format=rgb24", "-frames:v", "1", "-update", "1", path)
    return path


def clip(folder: Path, color: str, seconds: float = 2, tone: int = 0) -> Path:
    """A video of one color at another frame rate than the film's; with a tone, unless that is 0."""
    path = folder / f"{color}.mp4"
    value = "0x" + "".join(f"{part:02x}" for part in COLORS[color])
    tags = "scale=out_color_matrix=bt709,format=yuv420p,setparams=colorspace=bt709"
    picture = ["-f", "lavfi", "-i", f"color=c={value}:size=320x180:rate=30:duration={seconds},format=rgb24,{tags}"]
    sound = ["-f", "lavfi", "-i", f"sine=frequency={tone}:duration={seconds}:sample_rate=48000"] if tone else []
    media.run(*picture, *sound, "-c:v", "libx264", "-preset", "ultrafast", "-colorspace", "bt709", path)
    return path


def mean(picture: judge.Picture, part: slice = slice(None)) -> tuple[float, ...]:
    """The mean color of some columns of a picture."""
    return tuple(picture[:, part].reshape(-1, 3).mean(axis=0))


def mixed(one: str, other: str, share: float) -> tuple[float, ...]:
    """The color that has a share of the other in it."""
    return tuple(a * (1 - share) + b * share for a, b in zip(COLORS[one], COLORS[other], strict=True))


def near(color: tuple[float, ...]) -> Any:
    """As near as two roundings and a lossy codec leave it."""
    return pytest.approx(color, abs=8)


def check_clock(film: Film, rate: float = 24) -> list[judge.Picture]:
    """Hold the times of all frames against the clock of the film, and its length against what was told; the frames."""
    facts = judge.facts(film.path)
    assert facts.times == pytest.approx([number / rate for number in range(facts.frames)], abs=1e-6)
    assert facts.frames == sum(summary.frames for item, summary in film.summaries.items() if item.startswith("scene"))
    assert film.plan.duration_seconds == pytest.approx(facts.frames / rate, abs=1e-9)
    assert facts.seconds == pytest.approx(facts.frames / rate, abs=1e-3)
    assert film.plan.scenes[-1].end == pytest.approx(facts.frames / rate, abs=1e-9)
    return judge.pictures(film.path)


async def test_cuts_stand_at_the_frame_that_the_answer_names(client: Client, tmp_path: Path) -> None:
    red, green, blue = (flat(tmp_path, "red"), clip(tmp_path, "green"), flat(tmp_path, "blue", "jpg"))
    scenes = [scene(red, duracao=1.02), scene(green, duracao=0.7, id="two"), scene(blue, duracao=0.53)]
    film = await stories.film(client, tmp_path, scenes, **SIZE)
    shown = check_clock(film)
    assert [one.id for one in film.plan.scenes] == ["1", "two", "3"]
    assert film.summaries["film"].codec == "copy"
    for number, color in enumerate(("red", "green", "blue")):
        first, last = round(film.plan.scenes[number].start * 24), round(film.plan.scenes[number].end * 24) - 1
        assert mean(shown[first]) == near(COLORS[color])
        assert mean(shown[last]) == near(COLORS[color])
    assert judge.moov_first(film.path)
    assert judge.facts(film.path).audio == ()


async def test_stills_and_videos_blend_into_each_other(client: Client, tmp_path: Path) -> None:
    pictures = [flat(tmp_path, "red"), flat(tmp_path, "green"), clip(tmp_path, "blue"), clip(tmp_path, "white")]
    pictures.append(pictures[0])
    names = ["red", "green", "blue", "white", "red"]
    film = await stories.film(
        client, tmp_path, [scene(picture, duracao=1.5) for picture in pictures], transition=CROSSFADE, **SIZE
    )
    shown = check_clock(film)
    assert len(shown) == 5 * 36 - 4 * 12
    for number in range(4):
        middle = round(film.starts[number + 1] * 24)
        for offset, share in ((-7, 0), (-6, 0), (-3, 0.25), (0, 0.5), (3, 0.75), (6, 1)):
            assert mean(shown[middle + offset]) == near(mixed(names[number], names[number + 1], share)), (
                number,
                offset,
            )


async def test_each_kind_of_transition(client: Client, tmp_path: Path) -> None:
    red, green = flat(tmp_path, "red"), flat(tmp_path, "green")
    up = story_pb2.Transition.DIRECTION_UP
    transitions = [
        {"kind": KINDS["black"], "seconds": 0.5},
        {"kind": KINDS["slide"], "seconds": 0.5},
        {"kind": KINDS["wipe"], "seconds": 0.5, "direction": up},
        {"kind": story_pb2.TRANSITION_KIND_CUT},
    ]
    scenes = [
        scene(red if number % 2 == 0 else green, duracao=1.2, transition=transition)
        for number, transition in enumerate(transitions)
    ]
    film = await stories.film(client, tmp_path, [*scenes, scene(red, duracao=1)], **SIZE)
    shown = check_clock(film)
    middles = [round(start * 24) for start in film.starts[1:]]
    black = shown[middles[0]]
    assert mean(black) == near((0, 0, 0))
    assert mean(shown[middles[0] - 3]) == near(tuple(part / 2 for part in COLORS["red"]))
    assert mean(shown[middles[0] + 3]) == near(tuple(part / 2 for part in COLORS["green"]))
    # To the left: what comes, comes from the right.
    slid = shown[middles[1]]
    assert [mean(slid, part) for part in (slice(8, 70), slice(90, 152))] == [near(COLORS["green"]), near(COLORS["red"])]
    wiped = shown[middles[2]].swapaxes(0, 1)
    assert [mean(wiped, part) for part in (slice(4, 40), slice(50, 86))] == [near(COLORS["red"]), near(COLORS["green"])]
    assert [mean(shown[middles[3] - 1]), mean(shown[middles[3]])] == [near(COLORS["green"]), near(COLORS["red"])]


async def test_stills_move_on_over_the_joints(client: Client, tmp_path: Path) -> None:
    # Its frames as img2vid has them, although two tasks make them, one of which begins in the middle.
    still = media.image(tmp_path / "still.png")
    scenes = [scene(still, duracao=1, motion={"start_zoom": 1, "end_zoom": 1}), scene(still, duracao=2)]
    film = await stories.film(client, tmp_path, scenes, transition=CROSSFADE, width=320, height=180)
    alone = await stories.film(client, tmp_path / "alone", [scene(still, duracao=2)], width=320, height=180)
    shown, whole = check_clock(film), judge.pictures(alone.path)
    for number in (12, 30, 47):
        gap = np.abs(shown[12 + number].astype(int) - whole[number].astype(int)).mean()
        assert gap < 4, number
        assert gap < np.abs(shown[12 + number].astype(int) - whole[number - 4].astype(int)).mean() / 2


async def test_scenes_of_any_shape_fit(client: Client, tmp_path: Path) -> None:
    upright = tmp_path / "upright.mp4"
    media.run("-f", "lavfi", "-i", "color=c=white:size=90x160:rate=24:duration=1", "-pix_fmt", "yuv420p", upright)
    fits = [motion_pb2.FIT_COVER, motion_pb2.FIT_CONTAIN, motion_pb2.FIT_BLUR, motion_pb2.FIT_STRETCH]
    scenes = [scene(upright, duracao=0.5, fit=fit) for fit in fits]
    film = await stories.film(client, tmp_path, scenes, background="#0000FF", **SIZE)
    shown = [check_clock(film)[round(start * 24) + 4] for start in film.starts]
    edges = [mean(picture, slice(0, 20)) for picture in shown]
    assert edges == [near((255, 255, 255)), near((0, 0, 255)), near((255, 255, 255)), near((255, 255, 255))]
    assert [mean(picture, slice(70, 90)) for picture in shown] == [near((255, 255, 255))] * 4


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
async def test_a_video_is_cut_to_the_frame(client: Client, tmp_path: Path, ending: str) -> None:
    # Frame n is as bright as its number says; key frames stand far apart, and B-frames between.
    counted = tmp_path / f"counted.{ending}"
    picture = "color=c=black:size=64x36:rate=25:duration=4,format=yuv420p,geq=lum=16+2*N:cb=128:cr=128"
    media.run("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-g", "60", "-bf", "3", "-crf", "10", counted)
    scenes = [
        scene(counted, start=1.04, end=2.0),
        scene(counted, start=2.6, duracao=1, transition={"seconds": 0.4}),
        scene(counted, start=3.6, duracao=1),
    ]
    film = await stories.film(client, tmp_path, scenes, width=64, height=36, frame_rate=25, transition={"kind": 1})
    with av.open(str(film.path)) as container:
        numbers = [(frame.to_ndarray()[:36].mean() - 16) / 2 for frame in container.decode(video=0)]
    assert numbers[:24] == pytest.approx(list(range(26, 50)), abs=0.6)
    assert numbers[24:39] == pytest.approx(list(range(65, 80)), abs=0.6)
    blended = [(1 - k / 10) * (80 + k) + k / 10 * (90 + k) for k in range(10)]
    assert numbers[39:49] == pytest.approx(blended, abs=0.8)
    # What is behind the end of the video is its last frame.
    assert numbers[49:] == pytest.approx([99] * 15, abs=0.6)
    assert film.reasons == ["SCENE_HELD"]


async def test_scenes_of_two_frames_stand_beside_long_ones(client: Client, tmp_path: Path) -> None:
    scenes = [scene(flat(tmp_path, "red"), duracao=1), scene(flat(tmp_path, "blue"), duracao=0.1)]
    film = await stories.film(client, tmp_path / "film", scenes, **SIZE)
    assert judge.facts(film.path).frames == 26
