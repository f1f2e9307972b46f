"""The scenes of a story from what callers give, and plans in files."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from api_gpu import Scene, Transition
from api_gpu.cli.plans import read_plan
from api_gpu.cli.story import make_film
from api_gpu.requests import fill
from api_gpu.scenes import scenes_of
from apigpu.v1.story_pb2 import TransitionKind
from apigpu.v1.video_pb2 import StoryRequest
from servicekit.errors import InvalidArgument

ASSETS = {"assets/a": "video/mp4", "assets/b": "image/png"}


@pytest.mark.parametrize(
    "video",
    ["a.mp4", "talk.MOV", Path("b.mkv"), "https://x.org/a.webm?token=1", "assets/a", "data:video/mp4;base64,AA=="],
)
def test_a_source_that_is_a_video_by_its_name_is_one(video: Any) -> None:
    assert scenes_of([video], ASSETS.__getitem__) == [Scene(video=video)]


@pytest.mark.parametrize(
    "still", ["a.jpg", Path("b.PNG"), "https://x.org/picture", "assets/b", "data:image/png;base64,AA=="]
)
def test_any_other_source_is_a_still(still: Any) -> None:
    assert scenes_of([still], ASSETS.__getitem__) == [Scene(image=still)]


def test_scenes_that_say_more_stay_as_they_are() -> None:
    given = [Scene(image="a.mp4", seconds=2), {"image_url": "a.jpg", "duracao": 3}]
    assert scenes_of(given, ASSETS.__getitem__) == given


def test_a_text_is_no_list_of_scenes() -> None:
    with pytest.raises(InvalidArgument, match=r"scenes is 'a\.jpg' and must be a list"):
        scenes_of("a.jpg", ASSETS.__getitem__)


def test_a_scene_becomes_a_message() -> None:
    request = StoryRequest()
    scene = Scene(image="a.jpg", from_seconds=0, to_seconds=2.5, transition=Transition(kind="fade-black", seconds=1))
    inputs = fill(
        request, scenes=[scene, {"url_video": "b.mp4", "to": 3}], canvas="9:16", narration="v.mp3", music="m.mp3"
    )
    told = [(each.field, each.source) for each in inputs]
    assert told == [("image_url", "a.jpg"), ("url_video", "b.mp4"), ("url_audio", "v.mp3"), ("url_music", "m.mp3")]
    first, second = request.scenes
    assert (getattr(first, "from"), first.to, second.to) == (0, 2.5, 3)
    assert first.HasField("from")
    assert first.transition.kind == TransitionKind.TRANSITION_KIND_FADE_BLACK
    assert (
        request.canvas
        == StoryRequest.DESCRIPTOR.fields_by_name["canvas"].enum_type.values_by_name["CANVAS_9_16"].number
    )


@pytest.mark.parametrize("is_wrapped", [True, False])
def test_a_plan_has_the_names_of_the_json_surface(tmp_path: Path, is_wrapped: bool) -> None:
    story = {"scenes": [{"image_url": "a.jpg"}], "url_audio": "v.mp3", "frame_rate": 30, "narrationGain": 3}
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"story": story} if is_wrapped else story))
    values = read_plan(path, StoryRequest.DESCRIPTOR, "story")
    assert values == {"scenes": story["scenes"], "narration": "v.mp3", "fps": 30, "narration_gain": 3}


@pytest.mark.parametrize("text", ["[]", "{", '{"url_audio": "a"}', '{"scenes": [], "scene": 1}'])
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(typer.BadParameter, match="scenes"):
        read_plan(path, StoryRequest.DESCRIPTOR, "story")


def test_stills_of_which_nothing_says_how_long_they_are_seen_are_refused_before_a_byte_is_sent() -> None:
    nobody = cast("Any", None)
    with pytest.raises(typer.BadParameter, match="give --seconds, or a --narration"):
        make_film(nobody, ["a.mp4", "b.jpg"], None, {}, None, force=False, dry_run=False, preview=False)
