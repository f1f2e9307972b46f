"""Films of which frames are copied, as encoders make them, without one: pieces follow each other evenly; and where
encoded runs come out otherwise than was planned, what they are of is encoded whole, pieces so that they stand among the
others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apigpu.encoder.v1 import encoder_pb2, story_pb2
from apigpu.v1 import video_pb2
from encoder.captions.fonts import FontLibrary
from encoder.codecs.base import X264
from encoder.media.info import Source
from encoder.operations import caption, caption_join, caption_piece, concat, story, story_join, story_splice
from encoder.operations.plan import Plan, PlanContext
from servicekit.errors import FailedPrecondition
from tests.integration.encoder.operations.test_splice import read
from tests.support import judge, media, split_films, stories
from tests.support.carrying_out import run_all, shorten
from tests.support.stories import scene

HD = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
USUAL = ("-preset", "veryfast", "-g", "25", *HD)


def context(folder: Path, sources: Mapping[str, Path], workers: int = 0) -> PlanContext:
    folder.mkdir()
    given = {}
    for number, (name, path) in enumerate(sources.items()):
        (folder / f"input{number}{path.suffix}").symlink_to(path)
        given[name] = Source(name, folder / f"input{number}{path.suffix}")
    fonts = FontLibrary(None)
    return PlanContext(given, folder, str(folder / "result.mp4"), X264("veryfast", 23), 1, fonts, workers=workers)


def facts(plan: Plan) -> tuple[int, str]:
    assert plan.extent is not None
    extent = plan.extent()
    return extent.frames_copied, extent.whole_reason


def nearest(theirs: list[judge.Picture], picture: judge.Picture) -> int:
    return int(np.abs(np.array(theirs, np.int16) - picture).mean(axis=(1, 2, 3)).argmin())


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return media.video(tmp_path_factory.mktemp("talk") / "talk.mp4", 6, "160x90", 25, True, *USUAL)


def parts_of(folder: Path, *scenes: Mapping[str, Any]) -> tuple[list[story_pb2.StoryPart], Mapping[str, Path]]:
    """The parts of a story, and its sources by field."""
    request, files = stories.request_of(scenes, width=160, height=90, frame_rate=25)
    planned = story.plan(request, context(folder, files))
    return [story_pb2.StoryPart.FromString(task.part) for task in planned.further], files


def joined(folder: Path, part: story_pb2.JoinPart | story_pb2.CaptionJoin, pieces: list[Path]) -> Path:
    """The film of some pieces, without sound."""
    join = caption_join if isinstance(part, story_pb2.CaptionJoin) else story_join
    place = context(folder, {f"pieces[{number}]": path for number, path in enumerate(pieces)})
    run_all(join.plan(part, place), folder)
    return Path(place.result)


def test_pieces_of_which_more_or_fewer_pictures_are_decoded_early_follow_each_other_evenly(
    talk: Path, tmp_path: Path
) -> None:
    still = media.image(tmp_path / "still.png")
    parts, files = parts_of(tmp_path / "plan", scene(talk, end=3), scene(still, duracao=0.04), scene(talk, start=3))
    made = []
    for number, part in enumerate(one.spliced_scene for one in parts if one.HasField("spliced_scene")):
        place = context(tmp_path / f"piece{number}", files)
        run_all(story_splice.plan(part, place), place.folder)
        made.append(Path(place.result))
    join = next(part.join for part in parts if part.HasField("join"))
    join.has_sound = False
    found = read(joined(tmp_path / "film", join, made))
    assert sorted(found.shown) == pytest.approx([number / 25 for number in range(151)], abs=1e-6)
    assert np.diff(found.decoded) == pytest.approx(np.full(150, 1 / 25), abs=1e-6)


def test_a_video_of_nearly_the_films_rate_is_copied_where_it_does_not_drift(tmp_path: Path) -> None:
    nearly = media.video(tmp_path / "nearly.mp4", 6, "160x90", 24.95, True, *USUAL)
    parts, files = parts_of(tmp_path / "plan", scene(nearly, end=4))
    (part,) = (one.spliced_scene for one in parts if one.HasField("spliced_scene"))
    place = context(tmp_path / "piece", files)
    plan = story_splice.plan(part, place)
    run_all(plan, place.folder)
    assert facts(plan)[0] > 50
    ours, theirs = judge.pictures(Path(place.result)), judge.pictures(nearly)
    assert [nearest(theirs, picture) for picture in ours] == [*range(100)]
    assert np.diff(sorted(read(Path(place.result)).shown)) == pytest.approx(np.full(99, 1 / 25), abs=1e-6)
    # By the end of six seconds its frames would be nearly a third of a frame late.
    parts, _ = parts_of(tmp_path / "longer", scene(nearly))
    (part,) = (one.scene for one in parts if one.HasField("scene"))
    assert "nearly so" in part.whole_reason


def test_a_scene_of_which_a_run_lacks_a_frame_is_encoded_whole(talk: Path, tmp_path: Path) -> None:
    parts, files = parts_of(tmp_path / "plan", scene(talk, start=1.52), scene(talk, end=3))
    first, second = (part.spliced_scene for part in parts if part.HasField("spliced_scene"))
    join = next(part.join for part in parts if part.HasField("join"))
    join.has_sound = False
    mended, usual = context(tmp_path / "mended", files), context(tmp_path / "usual", files)
    plan = story_splice.plan(first, mended)
    assert run_all(plan, mended.folder, lambda: shorten(mended.folder / "run-0.mp4")) == 3
    assert facts(plan) == (0, "11 frames were made where 12 were planned")
    plan = story_splice.plan(second, usual)
    assert run_all(plan, usual.folder) == 2
    assert facts(plan)[0] >= 50
    film = joined(tmp_path / "film", join, [Path(mended.result), Path(usual.result)])
    ours, theirs = judge.pictures(film), judge.pictures(talk)
    assert len(ours) == join.film.frames
    found = [nearest(theirs, picture) for picture in ours]
    assert found == [*range(38, 38 + first.frames), *range(second.frames)]
    assert [path.name for path in mended.folder.glob("run-*")] == []


def test_a_scene_that_was_encoded_whole_already_is_told(talk: Path, tmp_path: Path) -> None:
    still = media.image(tmp_path / "still.png")
    parts, files = parts_of(tmp_path / "plan", scene(talk), scene(still, duracao=1))
    place = context(tmp_path / "piece", files)
    (part,) = (one.spliced_scene for one in parts if one.spliced_scene.picture.field.endswith("image_url"))
    part.picture.is_video, part.picture.field = True, "scenes[0].url_video"
    part.film.rate_frames = 24  # which it has not, so that nothing of it is copied
    plan = story_splice.plan(part, place)
    with pytest.raises(FailedPrecondition, match="24 frames were made where 25"):
        run_all(plan, place.folder, lambda: shorten(place.folder / "run-0.mp4"))


def test_a_piece_of_a_captioned_film_is_encoded_whole(tmp_path: Path) -> None:
    film = split_films.write_film(tmp_path / "film.mp4", 61)
    words = split_films.subtitles(25)
    request = split_films.request(words).caption
    (tmp_path / "words.srt").write_text(words)
    place = context(tmp_path / "plan", {"url_video": film, "srt_text": tmp_path / "words.srt"}, workers=3)
    planned = caption.plan(request, place)
    run_all(planned, place.folder)
    further = split_films.without_own_indexes(encoder_pb2.Summary(further=planned.further)).further
    parts = [story_pb2.StoryPart.FromString(task.part) for task in further]
    made = []
    for number, part in enumerate(parts[:-1]):
        piece = context(tmp_path / f"piece{number}", {"url_video": film, "captions": Path(place.result)})
        plan = caption_piece.plan(part.caption_piece, piece)
        is_mended = number == 1
        if is_mended:
            run_all(plan, piece.folder, lambda path=piece.folder / "run-0.mp4": shorten(path))
        else:
            run_all(plan, piece.folder)
        assert (facts(plan)[0] == 0, "were planned" in facts(plan)[1]) == (is_mended, is_mended)
        made.append(Path(piece.result))
    whole = joined(tmp_path / "joined", parts[-1].caption_join, made)
    assert sorted(read(whole).shown) == pytest.approx(sorted(read(film).shown), abs=1e-6)
    gaps = [np.abs(one.astype(int) - two).mean() for one, two in zip(*map(judge.pictures, (whole, film)), strict=True)]
    assert max(gaps) < 40


def test_joined_videos_of_which_a_run_lacks_a_frame_are_encoded_whole(talk: Path, tmp_path: Path) -> None:
    other = media.video(tmp_path / "other.mp4", 1, "320x180", 25, True, *USUAL)
    place = context(tmp_path / "joined", {"url_videos[0]": talk, "url_videos[1]": other})
    plan = concat.plan(video_pb2.ConcatRequest(url_videos=["0", "1"]), place)
    assert run_all(plan, place.folder, lambda: shorten(place.folder / "run-0.mp4")) == 2
    assert facts(plan) == (0, "24 frames were made where 25 were planned")
    assert judge.facts(Path(place.result)).frames == 175
