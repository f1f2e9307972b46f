"""Stories with videos that fit the film as they are: their frames are copied bit by bit from keyframe to keyframe, what
captions, transitions and cuts touch is encoded to stand among them; or all is encoded, and it is told why."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apigpu.v1 import story_pb2
from tests.integration.encoder.operations.test_splice import read
from tests.support import judge, media, stories
from tests.support.encoder_harness import Client
from tests.support.stories import Film, scene

RATE = 25
SHAPE: dict[str, Any] = {"width": 160, "height": 90, "frame_rate": RATE}
HD = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
USUAL = ("-preset", "veryfast", "-g", "25", "-bf", "3")


def talk(path: Path, seconds: float = 8, *options: str, rate: int = RATE, size: str = "160x90") -> Path:
    """A video of which no two frames are alike."""
    return media.video(path, seconds, size, rate, True, *(options or USUAL), *HD)


def shown(path: Path) -> "np.ndarray[Any, np.dtype[np.int16]]":
    return np.array(judge.pictures(path), np.int16)


def nearest(theirs: "np.ndarray[Any, np.dtype[np.int16]]", picture: "np.ndarray[Any, np.dtype[np.int16]]") -> int:
    return int(np.abs(theirs - picture).mean(axis=(1, 2, 3)).argmin())


def copied(film: Path, *sources: Path) -> set[int]:
    """The frames of a film, in the order in which they are shown, whose packets are those of a source."""
    known = {data for source in sources for data in read(source).data}
    found = read(film)
    order = np.argsort(found.shown)
    return {place for place, number in enumerate(order) if found.data[number] in known}


def check_times(film: Film, count: int) -> None:
    found = read(film.path)
    assert sorted(found.shown) == pytest.approx([number / RATE for number in range(count)], abs=1e-4)
    # However many pictures of each piece are decoded early.
    assert np.diff(found.decoded) == pytest.approx(np.full(count - 1, 1 / RATE), abs=1e-4)


def frames_copied(film: Film) -> int:
    return sum(summary.frames_copied for summary in film.summaries.values())


@pytest.mark.parametrize(
    "options", [USUAL, ("-preset", "veryfast", "-profile:v", "baseline", "-g", "30")], ids=["high", "baseline"]
)
async def test_stretches_of_one_video_are_copied_from_keyframe_to_keyframe(
    client: Client, tmp_path: Path, options: tuple[str, ...]
) -> None:
    source, still = talk(tmp_path / "talk.mp4", 8, *options), media.image(tmp_path / "still.png")
    scenes = [
        scene(source, start=1.5, end=4.02),  # from the middle between two frames on
        scene(still, duracao=1),
        scene(source, start=0, end=3),
        scene(source, start=5.33, end=8),
    ]
    composed = tmp_path / "composed.mp4"
    film = await stories.film(client, tmp_path / "film", scenes, composed=composed, **SHAPE)
    lengths = [63, 25, 75, 67]
    check_times(film, sum(lengths))
    ours, theirs = shown(film.path), shown(source)
    begins = [0, 63, 88, 163]
    firsts = {0: 38, 2: 0, 3: 133}
    same = copied(film.path, source)
    assert len(same) == frames_copied(film) > 120
    for number, first in firsts.items():
        for place in range(lengths[number]):
            picture = ours[begins[number] + place]
            assert abs(nearest(theirs, picture) - (first + place)) <= (number == 0), (number, place)
            if begins[number] + place in same:
                assert np.array_equal(picture, theirs[nearest(theirs, picture)])
    # A scene from its first keyframe on is copied but for what follows its last whole picture.
    assert {*range(88, 150)} <= same
    assert np.array_equal(shown(composed), ours)
    assert judge.facts(film.path).audio_seconds == pytest.approx(sum(lengths) / RATE, abs=0.03)


async def test_captions_and_transitions_are_encoded_and_the_rest_is_copied(client: Client, tmp_path: Path) -> None:
    source, still = talk(tmp_path / "talk.mp4"), media.image(tmp_path / "still.png")
    cues = media.srt(tmp_path / "s.srt", [(3.1, 3.5, "Words")])
    crossfade = story_pb2.Transition(kind=story_pb2.TRANSITION_KIND_CROSSFADE, seconds=0.4)
    scenes = [scene(source, transition=crossfade), scene(still, duracao=1)]
    film = await stories.film(client, tmp_path / "film", scenes, url_srt=cues, **SHAPE)
    check_times(film, 215)
    same = copied(film.path, source)
    assert {*range(75), *range(100, 185)} <= same
    assert not same & {*range(78, 100), *range(190, 215)}
    ours, theirs = shown(film.path), shown(source)
    assert np.array_equal(ours[sorted(same)], theirs[sorted(same)])
    lit = [(np.abs(one - two) > 100).sum() > 60 for one, two in zip(ours[:190], theirs, strict=False)]
    assert {number for number, is_lit in enumerate(lit) if is_lit} == set(range(78, 88))
    plain = await stories.film(client, tmp_path / "plain", scenes, url_srt=cues, **{**SHAPE, "frame_rate": 24})
    assert frames_copied(plain) == 0


async def test_a_video_that_is_too_short_is_held_and_pieces_are_watched(client: Client, tmp_path: Path) -> None:
    source = talk(tmp_path / "talk.mp4", 5)
    film = await stories.film(client, tmp_path / "film", [scene(source, duracao=6)], told={"is_watched": True}, **SHAPE)
    check_times(film, 150)
    same = copied(film.path, source)
    assert len(same) == frames_copied(film) > 100
    ours, theirs = shown(film.path), shown(source)
    for number in range(150):
        assert nearest(theirs, ours[number]) == min(number, 124)
    assert "SCENE_HELD" in film.reasons
    pictures = [summary.playback for summary in film.summaries.values() if summary.playback.width]
    assert sum(sum(told.segment_milliseconds) for told in pictures) == 6000


async def test_videos_that_do_not_fit_are_encoded_beside_those_that_do(client: Client, tmp_path: Path) -> None:
    one, other = talk(tmp_path / "1.mp4", 4), talk(tmp_path / "2.mp4", 2, "-preset", "medium", "-g", "10")
    third = talk(tmp_path / "3.mp4", 1, rate=30, size="320x180")
    film = await stories.film(client, tmp_path / "film", [scene(other), scene(one), scene(third)], **SHAPE)
    check_times(film, 175)
    assert copied(film.path, one, other, third) == {*range(50, 150)}
    ours, theirs = shown(film.path), shown(one)
    assert np.array_equal(ours[50:150], theirs)
    assert [nearest(shown(other), picture) for picture in ours[:50]] == [*range(50)]


@pytest.mark.parametrize(
    ("make", "options", "reason"),
    [
        (lambda folder: talk(folder / "v.mp4", 3, rate=30), {}, "25 frames a second"),
        (lambda folder: talk(folder / "v.mp4", 3, size="320x180"), {}, "not 160×90"),
        (lambda folder: media.video(folder / "v.mp4", 3, "160x90", RATE, False), {}, "not those of HD"),
        (lambda folder: talk(folder / "v.mp4", 1), {}, "too little"),
        (
            lambda folder: talk(folder / "v.mp4", 9, "-preset", "veryfast", "-g", "250"),
            {"is_watched": True},
            "plays while",
        ),
    ],
)
async def test_why_nothing_is_copied_is_told(
    client: Client, tmp_path: Path, make: Any, options: dict[str, Any], reason: str
) -> None:
    film = await stories.film(client, tmp_path / "film", [scene(make(tmp_path))], told=options, **SHAPE)
    told = [summary.whole_reason for item, summary in film.summaries.items() if item.startswith("scene")]
    assert (frames_copied(film), all(reason in why for why in told)) == (0, True), told


async def test_a_film_of_stills_tells_no_reason(client: Client, tmp_path: Path) -> None:
    film = await stories.film(client, tmp_path / "film", [scene(media.image(tmp_path / "s.png"), duracao=1)], **SHAPE)
    assert {summary.whole_reason for summary in film.summaries.values()} == {""}


async def test_a_scene_of_less_than_half_a_frame_is_held(client: Client, tmp_path: Path) -> None:
    source = talk(tmp_path / "talk.mp4", 2)
    film = await stories.film(client, tmp_path / "film", [scene(source, start=1.985, duracao=1)], **SHAPE)
    check_times(film, 25)
    theirs = shown(source)
    assert {nearest(theirs, picture) for picture in shown(film.path)} == {49}


async def test_keyframes_that_are_whole_some_frames_later_are_not_where_decoding_begins(
    client: Client, tmp_path: Path
) -> None:
    source = talk(tmp_path / "talk.mp4", 5, "-preset", "veryfast", "-x264-params", "intra-refresh=1:keyint=25")
    cues = media.srt(tmp_path / "s.srt", [(3.1, 3.5, "Words")])
    film = await stories.film(client, tmp_path / "film", [scene(source)], url_srt=cues, **SHAPE)
    assert frames_copied(film) > 50
    differences = np.abs(shown(film.path) - shown(source)).mean(axis=(1, 2, 3))
    assert differences.max() < 8
