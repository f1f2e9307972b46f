"""Sources in lists and in messages within lists, told by path and index."""

from gateway.jobs import operation
from gateway.workers.base import about
from servicekit.errors import NotFound
from tests.support.toy_messages import toy_messages

MOSAIC, PART = toy_messages()


def test_a_path_has_the_index_of_each_list_but_a_batch():
    toy = MOSAIC(
        url_videos=["a", "", "b"], sound=PART(url="c"), parts=[PART(title="x"), PART(url="d")], batch=[PART(url="e")]
    )
    assert list(operation.inputs(toy)) == [
        ("url_videos[0]", "a"),
        ("url_videos[2]", "b"),
        ("sound.url", "c"),
        ("parts[1].url", "d"),
        ("batch.url", "e"),
    ]


def test_a_source_of_several_elements_is_sent_once_and_plain_fields_stay_apart():
    toy = MOSAIC(url_videos=["a", "b", "a"], parts=[PART(url="b")], sound=PART(url="a"))
    assert operation.distinct_inputs(toy) == [
        ("a", ["url_videos[0]", "url_videos[2]"]),
        ("b", ["url_videos[1]", "parts[0].url"]),
        ("a", ["sound.url"]),
    ]


def test_an_error_names_the_element():
    assert about("parts[1].url", NotFound("gone")).message == "parts[1].url: gone"
    assert about("images.image_url", NotFound("gone")).message == "image_url: gone"
