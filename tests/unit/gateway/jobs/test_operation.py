"""What the options of the messages make of a request."""

import pytest

from apigpu.v1.caption_style_pb2 import CaptionWord
from apigpu.v1.motion_pb2 import Motion
from apigpu.v1.video_pb2 import AddAudioRequest, CaptionRequest, FrameRequest, Img2VidImage, Img2VidRequest, Operation
from gateway.jobs import checks, operation
from servicekit.errors import InvalidArgument

URL = "https://example.com/a"


def image(**changes):
    return Img2VidImage(**{"id": "a", "image_url": URL, "duracao": 2} | changes)


CONTRACT = {
    "caption": (Operation(caption=CaptionRequest(url_video=URL)), "url_video and url_srt are required"),
    "caption blank": (
        Operation(caption=CaptionRequest(url_video=URL, url_srt="  ")),
        "url_video and url_srt are required",
    ),
    "caption with blank text": (
        Operation(caption=CaptionRequest(url_video=URL, srt_text=" \n")),
        "url_video and url_srt are required",
    ),
    "subtitles twice": (
        Operation(caption=CaptionRequest(url_video=URL, url_srt=URL, srt_text="1")),
        "srt_text cannot be given together with url_srt",
    ),
    "addaudio": (Operation(addaudio=AddAudioRequest(url_audio=URL)), "url_video and url_audio are required"),
    "img2vid": (Operation(img2vid=Img2VidRequest()), "images array is required with at least one image"),
    "image": (
        Operation(img2vid=Img2VidRequest(images=[image(), image(id="")])),
        "Each image must have id, image_url, and duracao",
    ),
    "duracao": (
        Operation(img2vid=Img2VidRequest(images=[image(duracao=0)])),
        "Each image must have id, image_url, and duracao",
    ),
    "too long": (
        Operation(img2vid=Img2VidRequest(images=[image(duracao=601)])),
        "images[0].duracao is 601 and must be from 0.1 to 600.",
    ),
    "not a number": (
        Operation(img2vid=Img2VidRequest(images=[image(duracao=float("nan"))])),
        "images[0].duracao is nan and must be from 0.1 to 600.",
    ),
    "frame rate": (
        Operation(img2vid=Img2VidRequest(images=[image()], frame_rate=0)),
        "frame_rate is 0 and must be from 1 to 60.",
    ),
    "in a part of the request": (
        Operation(img2vid=Img2VidRequest(images=[image()], motion=Motion(end_zoom=11))),
        "motion.endZoom is 11 and must be from 1 to 10.",
    ),
    "in a part of an image": (
        Operation(img2vid=Img2VidRequest(images=[image(motion=Motion(focus_x=2))])),
        "images[0].motion.focusX is 2 and must be from 0 to 1.",
    ),
    "a list that is too long": (
        Operation(caption=CaptionRequest(url_video=URL, url_srt=URL, words=[CaptionWord(text="a")] * 50_001)),
        "words has 50001 elements and 50000 are the most.",
    ),
    "a picture of two stills": (
        Operation(frame=FrameRequest(img2vid=Img2VidRequest(images=[image(), image(id="b")]))),
        "img2vid.images has 2 elements and one is allowed here; send a request for each.",
    ),
    "a picture of nothing": (Operation(frame=FrameRequest()), "caption or img2vid is required"),
    "two images of one id": (
        Operation(img2vid=Img2VidRequest(images=[image(), image(id="b"), image()])),
        "images[0].id and images[2].id are both 'a'; give each element its own.",
    ),
    "a choice of a later version": (
        Operation(img2vid=Img2VidRequest(images=[image(motion=Motion(pan=77))])),
        "images[0].motion.pan must be one of left, right, up, down, up-left, up-right, down-left, down-right",
    ),
    "nothing": (
        Operation(),
        "The operation is missing; give one of: caption, img2vid, addaudio, concat, thumbnail, chain, story, probe, "
        "frame.",
    ),
    "too many": (
        Operation(img2vid=Img2VidRequest(images=[image(id=name) for name in "abcd"])),
        "images has 4 elements and 3 are allowed; send several requests.",
    ),
}


def test_a_request_inside_says_what_holds_for_its_part():
    caption = CaptionRequest(url_video=URL, url_srt=URL, output_filename="a.mp4", max_cost_usd=2)
    part = Operation(frame=FrameRequest(caption=caption))
    assert (operation.output_filename(part), operation.budget(part)) == ("a.mp4", 2)
    assert dict(operation.inputs(part.frame)) == {"caption.url_video": URL, "caption.url_srt": URL}


def test_the_name_of_a_result_is_what_its_field_says():
    named = Operation(caption=CaptionRequest(url_video=URL, url_srt=URL, output_filename="a.mp4"))
    assert operation.output_filename(named) == "a.mp4"
    assert operation.output_filename(Operation(img2vid=Img2VidRequest(images=[image()]))) == ""


@pytest.mark.parametrize("case", CONTRACT)
def test_what_is_missing_or_wrong_is_told_in_the_words_of_the_contract(case):
    wanted, text = CONTRACT[case]
    with pytest.raises(InvalidArgument) as caught:
        checks.check(wanted, max_items=3)
    assert caught.value.message == text
    assert caught.value.fields


@pytest.mark.parametrize(
    "request_",
    [
        Operation(caption=CaptionRequest(url_video=URL, url_srt=URL)),
        Operation(img2vid=Img2VidRequest(images=[image()])),
        Operation(img2vid=Img2VidRequest(url_image=URL)),
        Operation(img2vid=Img2VidRequest(url_image=URL, frame_rate=30, duration=2)),
    ],
)
def test_a_whole_request_passes(request_):
    checks.check(request_, max_items=3)


def test_a_batch_is_split_one_element_a_task():
    batch = Operation(img2vid=Img2VidRequest(images=[image(id="a"), image(id="b", image_url=URL + "b")], frame_rate=30))
    assert operation.items(batch) == ["a", "b"]
    second = operation.task_operation(batch, 1)
    assert [entry.id for entry in second.img2vid.images] == ["b"]
    assert second.img2vid.frame_rate == 30
    assert list(operation.inputs(second.img2vid)) == [("images.image_url", URL + "b")]


def test_the_older_form_is_one_task():
    older = Operation(img2vid=Img2VidRequest(url_image=URL))
    assert operation.items(older) == [operation.OLDER_FORM_ID]
    assert operation.task_operation(older, 0) == older
    assert list(operation.inputs(older.img2vid)) == [("url_image", URL)]


def test_a_batch_wins_over_the_older_form():
    both = Operation(img2vid=Img2VidRequest(images=[image()], url_image=URL))
    assert list(operation.inputs(operation.task_operation(both, 0).img2vid)) == [("images.image_url", URL)]


@pytest.mark.parametrize(
    "field", list(Operation.DESCRIPTOR.oneofs_by_name["kind"].fields), ids=lambda field: field.name
)
def test_every_operation_says_what_the_gateway_must_know(field):
    message = getattr(Operation(), field.name)
    assert operation.wrap(message).WhichOneof("kind") == field.name
    assert operation.rules(message).done
    with pytest.raises(InvalidArgument):
        checks.check(operation.wrap(message), 1)
