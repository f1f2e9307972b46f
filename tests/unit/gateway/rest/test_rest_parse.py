"""The text of JSON: bounds that are known before any value is made, and work that grows gently with the text."""

import contextlib
import json

import pytest

from apigpu.v1 import video_pb2
from gateway.jobs import checks, operation
from gateway.rest.protojson import decode
from gateway.rest.protojson.parse import MAX_VALUES, loads, most_values
from gateway.rest.request import parse_query
from gateway.rest.routes import RouteTable
from servicekit.errors import InvalidArgument, NotFound, ResourceExhausted
from tests.support.growth import assert_grows_gently


@pytest.mark.parametrize("text", ["{}", "[]", '{"a":[1,2,{"b":null}],"c":"x"}', "1", '["[[,,{{",2]', "[[],{},[{}]]"])
def test_the_number_of_values_is_never_taken_for_too_small(text):
    def count(value):
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return 1 + sum(map(count, inside))

    assert most_values(text.encode()) >= count(json.loads(text))


@pytest.mark.parametrize("unit", ["{},", "[],", "1,", '"a",', "[[[["], ids=repr)
def test_too_many_values_are_refused_unparsed(unit):
    with pytest.raises(ResourceExhausted) as refused:
        loads(("[" + unit * (MAX_VALUES + 1)).encode())
    assert refused.value.reason == "TOO_LARGE"


@pytest.mark.parametrize("text", [",", "[", "{", r"\",\\", ",é"], ids=repr)
def test_commas_and_brackets_in_texts_are_no_values(text):
    body = json.dumps({"a": text * MAX_VALUES}).encode()
    assert loads(body) == {"a": text * MAX_VALUES}


def test_a_text_without_end_is_refused_as_such():
    with pytest.raises(InvalidArgument, match="Unterminated string"):
        loads(b'["' + rb"\"," * MAX_VALUES)


def test_a_number_larger_than_any_of_floats_is_its_digits_in_a_text():
    made = video_pb2.CaptionRequest()
    decode.merge(made, loads(b'{"url_video":' + b"9" * 400 + b"}"))
    assert made.url_video == "9" * 400


@pytest.mark.parametrize(
    "unit",
    [
        b'"url_video":1,',
        b'"\\u00e9":"\\ud83d\\ude00",',
        b'"url_video":"' + b"\\n" * 40 + b'",',
        b'"a":[[[[[[[[[[1]]]]]]]]]],',
        b'"a":1.11111111111111111111111111111111e9999,',
        b'"a":' + b"9" * 4_000 + b",",
        b'"a":"',
        rb'"a\":\"',
        b"{",
        b"[",
        b",",
        b'"\xff',
    ],
    ids=lambda unit: unit[:24].decode("latin-1"),
)
def test_bodies_grow_gently(unit):
    def parse(body):
        with contextlib.suppress(InvalidArgument, ResourceExhausted):
            decode.merge(video_pb2.CaptionRequest(), loads(body))

    assert_grows_gently(lambda size: b"{" + unit * (size // len(unit)) + b'"z":0}', parse, 20_000)


ELEMENTS = {
    "empty": "{}",
    "whole": '{"id":"1","image_url":"a","duracao":1}',
    "unknown": '{"' + "x" * 1_000 + '":1}',
    "numbers": '{"duracao":"' + "1" * 1_000 + '"}',
    "nested": '{"motion":{"easing":"' + "-" * 1_000 + '"}}',
}


@pytest.mark.parametrize("element", ELEMENTS.values(), ids=ELEMENTS)
def test_lists_of_messages_grow_gently(element):
    def submit(body):
        message = video_pb2.Img2VidRequest()
        try:
            decode.merge(message, loads(body))
            checks.check(operation.wrap(message), 500)
        except (InvalidArgument, ResourceExhausted):
            pass

    assert_grows_gently(lambda size: ('{"images":[' + ",".join([element] * size) + "]}").encode(), submit, 1_000)


def test_words_are_checked_in_time_that_grows_gently():
    def words(size):
        made = [{"text": "a", "start": n, "end": n + 0.5} for n in range(size)]
        message = video_pb2.CaptionRequest()
        decode.merge(message, {"url_video": "https://x/a", "url_srt": "https://x/b", "words": made})
        return operation.wrap(message)

    assert_grows_gently(words, lambda wanted: checks.check(wanted, 500), 1_000)


@pytest.mark.parametrize("unit", ["a=1&", "a=%41&", "%", "%25", "a.", "&", "=", "a[", ";", "%F0%9F%98%80"], ids=repr)
def test_queries_grow_gently(unit):
    def read(text):
        try:
            for name, values in parse_query(text).items():
                decode.set_text(video_pb2.CaptionRequest(), name, values)
        except InvalidArgument:
            pass

    assert_grows_gently(lambda size: (unit * (size // len(unit))).encode(), read, 16_000)


@pytest.mark.parametrize("unit", ["/", "/a", "%41", "/%41", "%2F", "a", ":cancel", "/job", "//"], ids=repr)
def test_paths_grow_gently(unit):
    table = RouteTable()

    def find(path):
        with contextlib.suppress(NotFound, InvalidArgument):
            table.find("GET", path)

    assert_grows_gently(lambda size: "/" + unit * (size // len(unit)), find, 8_000)


@pytest.mark.parametrize(("path", "value"), [("/job/%31", "1"), ("/%6A%6f%62/1", "1"), ("/job/a%2Fb", "a/b")])
def test_escapes_in_paths_are_read(path, value):
    route, found = RouteTable().find("GET", path)
    assert (str(route), found) == ("GET /job/{id}", {"id": value})


def test_all_that_is_wrong_with_a_body_is_told_in_one_answer():
    images = [
        {"id": "a", "duracao": "long"},
        {"id": "b", "duracao": 1},
        {"id": "c", "duration": 1, "motion": {"pan": "away", "focus_x": "left"}},
    ]
    with pytest.raises(InvalidArgument) as caught:
        decode.merge(video_pb2.Img2VidRequest(), {"images": images, "frame_rate": "many"})
    assert list(caught.value.fields) == [
        "images[0].duracao",
        "images[2].duration",
        "images[2].motion.pan",
        "images[2].motion.focus_x",
        "frame_rate",
    ]
    assert "images[0].duracao must be a number" in caught.value.message


def test_no_more_of_a_body_is_read_than_one_answer_tells():
    images = [{"duracao": "long"}] * 10_000
    message = video_pb2.Img2VidRequest()
    with pytest.raises(InvalidArgument, match=r"And more\.$"):
        decode.merge(message, {"images": images})
    assert len(message.images) < 200
