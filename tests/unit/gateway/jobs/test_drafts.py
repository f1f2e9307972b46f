"""Requests without what is wrong with them, and what fields of a task are called in them."""

import pytest

from apigpu.v1 import video_pb2
from gateway.jobs import drafts
from gateway.jobs.drafts import FaultList, RequestPlace
from servicekit.errors import InvalidArgument, Unavailable


def batch():
    images = [{"id": name, "image_url": f"https://example.com/{name}.png", "duracao": 5} for name in "ab"]
    return video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(images=images, width=64))


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("width", (0, ["a", "b"], [5, 5])),
        ("images[1].duracao", (64, ["a", "b"], [5, 0])),
        ("images[0].id", (64, ["", "b"], [5, 5])),
        ("images[7].id", (64, ["a", "b"], [5, 5])),
        ("no.such[0].field", (64, ["a", "b"], [5, 5])),
        ("", (64, ["a", "b"], [5, 5])),
    ],
)
def test_a_field_is_cleared_by_its_path(path, left):
    message = batch().img2vid
    drafts.clear(message, path)
    images = message.images
    assert (message.width, [image.id for image in images], [image.duracao for image in images]) == left


def test_an_element_of_a_list_of_sources_is_emptied_and_keeps_the_others_in_their_places():
    message = video_pb2.ConcatRequest(url_videos=["a", "b", "c"])
    drafts.clear(message, "url_videos[1]")
    assert list(message.url_videos) == ["a", "", "c"]


def test_sources_of_a_batch_are_told_with_their_numbers():
    assert [path for path, _ in drafts.input_paths(batch())] == ["images[0].image_url", "images[1].image_url"]


def test_what_only_lacks_inputs_that_are_known_to_be_missing_is_no_fault():
    place = RequestPlace(video_pb2.CaptionRequest())
    lacking = InvalidArgument("no input", reason=drafts.INPUT_MISSING, fields={"url_video": "is missing"})
    assert place.renamed(lacking, is_partial=True) is None
    both = InvalidArgument("all", fields={"url_video": "is missing", "url_srt": "has no captions"})
    told = place.renamed(both, is_partial=True)
    assert told is not None
    assert (told.fields, told.message) == ({"url_srt": "has no captions"}, "url_srt: has no captions")


def test_fields_of_a_task_have_the_names_that_the_request_has():
    place = RequestPlace(batch().img2vid.images[1], "images", "images[1].")
    assert [place.name(path) for path in ("images.image_url", "image_url", "width")] == [
        "images[1].image_url",
        "images[1].image_url",
        "width",
    ]


def test_faults_are_kept_once_and_those_of_others_pass():
    faults = FaultList()
    for _ in range(2):
        with faults.gathering("url"):
            raise InvalidArgument("is none")
    assert [fault.fields for fault in faults.errors] == [{"url": "is none"}]
    assert faults.failure() == faults.failures()[0]
    with pytest.raises(Unavailable), faults.gathering():
        raise Unavailable("later")
