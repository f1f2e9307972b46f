"""What is wrong with a story is found before anything is done for it, and told of all scenes at once."""

from typing import Any

import pytest
from google.protobuf import json_format

from apigpu.v1.video_pb2 import Operation
from gateway.jobs import checks, operation
from gateway.sources import inline
from servicekit.errors import InvalidArgument
from tests.support.growth import assert_grows_gently

URL = "https://example.com/a"
STILL = {"image_url": URL, "duracao": 2}
CLIP = {"url_video": URL}


def story(*scenes: dict[str, Any], **more: Any) -> Operation:
    return json_format.ParseDict({"story": {"scenes": list(scenes), **more}}, Operation())


def faults(wanted: Operation) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        checks.check(wanted, 100)
    return caught.value


WRONG: dict[str, tuple[Operation, list[str], str]] = {
    "no scene": (story(), ["scenes"], "scenes is required with at least one scene"),
    "no picture": (
        story(STILL, {"duracao": 2}),
        ["scenes[1].image_url"],
        "scenes[1].image_url: required, unless url_video is given",
    ),
    "two pictures": (
        story(STILL | CLIP),
        ["scenes[0].url_video"],
        "scenes[0].url_video cannot be given together with image_url",
    ),
    "two lengths": (
        story(STILL | {"from": 0, "to": 3}),
        ["scenes[0].duracao"],
        "scenes[0].duracao cannot be given together with from and to",
    ),
    "two narrations": (
        story({"image_url": URL, "url_audio": URL, "from": 0, "to": 3}),
        ["scenes[0].url_audio"],
        "scenes[0].url_audio cannot be given together with from and to",
    ),
    "half a span": (
        story({"image_url": URL, "from": 1}),
        ["scenes[0].from"],
        "scenes[0].from cannot be given without to",
    ),
    "a span that ends before it begins": (
        story({"image_url": URL, "from": 4, "to": 3}),
        ["scenes[0].to"],
        "scenes[0].to is 3 and must be more than from, which is 4.",
    ),
    "a cut that leaves nothing": (
        story(CLIP | {"start": 2, "end": 2}),
        ["scenes[0].end"],
        "scenes[0].end is 2 and must be more than start, which is 2.",
    ),
    "a pause after nothing": (
        story(CLIP | {"pause": 1}),
        ["scenes[0].pause"],
        "scenes[0].pause cannot be given without url_audio",
    ),
    "the sound of a still": (
        story(STILL | {"gain": 3}),
        ["scenes[0].gain"],
        "scenes[0].gain cannot be given without url_video",
    ),
    "a camera over a video": (
        story(CLIP | {"motion": {"pan": "PAN_LEFT"}}),
        ["scenes[0].motion"],
        "scenes[0].motion cannot be given together with url_video",
    ),
    "too short": (
        story(STILL | {"duracao": 0}),
        ["scenes[0].duracao"],
        "scenes[0].duracao is 0 and must be from 0.1 to 3600.",
    ),
    "a transition that is too long": (
        story(STILL | {"transition": {"seconds": 3}}),
        ["scenes[0].transition.seconds"],
        "scenes[0].transition.seconds is 3 and must be from 0.1 to 2.",
    ),
    "two scenes of one name": (
        story(STILL | {"id": "a"}, STILL, STILL | {"id": "a"}),
        ["scenes[0].id", "scenes[2].id"],
        "scenes[0].id and scenes[2].id are both 'a'; give each element its own.",
    ),
    "a name that is the place of another": (
        story(STILL | {"id": "2"}, STILL),
        ["scenes[0].id", "scenes[1].id"],
        "scenes[0].id and scenes[1].id are both '2'; give each element its own.",
    ),
    "a long name": (
        story(STILL | {"id": "a" * 65}),
        ["scenes[0].id"],
        "scenes[0].id has 65 letters and 64 are the most.",
    ),
    "too many scenes": (
        story(*[STILL] * 501),
        ["scenes"],
        "scenes has 501 elements and 500 are the most.",
    ),
    "two canvases": (
        story(STILL, canvas="CANVAS_1_1", width=640),
        ["canvas"],
        "canvas cannot be given together with width",
    ),
    "subtitles twice": (
        story(STILL, url_srt=URL, srt_text="1"),
        ["srt_text"],
        "srt_text cannot be given together with url_srt",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_story_is_refused_with_the_place(case: str) -> None:
    wanted, places, text = WRONG[case]
    error = faults(wanted)
    assert (list(error.fields), error.message) == (places, text)


WHOLE = {
    "stills": story(STILL, STILL | {"id": "b"}),
    "a video as it is": story(CLIP),
    "a scene as long as its narration": story({"image_url": URL, "url_audio": URL, "pause": 0.5}),
    "narrated, and of a length of its own": story(STILL | {"url_audio": URL}),
    "even shares": story({"image_url": URL}, {"image_url": URL}, url_audio=URL),
    "spans": story({"image_url": URL, "from": 0, "to": 1}, {"image_url": URL, "from": 1, "to": 2}, url_audio=URL),
    "a cut video": story(CLIP | {"start": 1, "end": 2, "gain": -3, "duracao": 2}),
    "blank is not given": story(STILL | {"url_video": " "}, url_srt="", srt_text="1\n00:00:00,000 --> 00:00:01,000\nA"),
    "500 scenes": story(*[STILL] * 500),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_story_passes(case: str) -> None:
    checks.check(WHOLE[case], 100)


def test_all_bad_scenes_are_told_in_one_answer() -> None:
    scenes = [STILL, {"duracao": 2}, STILL, {"image_url": URL, "from": 1}, STILL | CLIP, STILL | {"duracao": -1}]
    error = faults(story(*scenes))
    assert list(error.fields) == [
        "scenes[1].image_url",
        "scenes[3].from",
        "scenes[4].url_video",
        "scenes[5].duracao",
    ]
    assert error.message.count("scenes[") == 4
    assert error.reason == "MISSING_FIELD"


def test_more_faults_than_an_answer_holds_are_left_out_and_that_is_told() -> None:
    error = faults(story(*[{"duracao": 2}] * 500))
    assert 10 < len(error.fields) < 500
    assert error.message.endswith("And more.")
    assert error.to_status().ByteSize() < 5_000


def test_the_contract_text_stands_alone_however_many_lack_it() -> None:
    images = [{"image_url": URL}, {"id": "b"}]
    error = faults(json_format.ParseDict({"img2vid": {"images": images}}, Operation()))
    assert error.message == "Each image must have id, image_url, and duracao"
    assert list(error.fields) == ["images[0].id", "images[0].duracao", "images[1].image_url", "images[1].duracao"]


def test_subtitles_in_the_request_become_an_input() -> None:
    wanted = operation.inline_texts(story(STILL, srt_text="1\nČau"))
    (picture, (path, source)) = operation.inputs(wanted.story)
    assert (picture, path) == (("scenes[0].image_url", URL), "srt_text")
    file = inline.parse(source)
    assert (file.filename, file.content_type) == ("subtitles.srt", "text/plain")
    assert file.data.decode("utf-8-sig") == "1\nČau"


def test_bad_scenes_are_found_in_time_in_step_with_their_number() -> None:
    def check(wanted: Operation) -> None:
        with pytest.raises(InvalidArgument):
            checks.check(wanted, 100)

    assert_grows_gently(lambda count: story(*[{"duracao": -1, "from": 2}] * count), check, 125)
