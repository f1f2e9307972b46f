"""JSON to messages and back, held against `buf convert` where the two are meant to agree."""

import json
import math
import subprocess

import pytest
from google.protobuf import any_pb2, descriptor_pb2, struct_pb2, wrappers_pb2
from google.rpc import error_details_pb2

from apigpu.v1.caption_style_pb2 import CaptionStyle
from apigpu.v1.jobs_pb2 import Job, ListJobsRequest, SubmitJobRequest
from apigpu.v1.motion_pb2 import Motion
from apigpu.v1.video_pb2 import CaptionRequest, Execution, Img2VidRequest, Stats
from gateway.rest.protojson import decode
from gateway.rest.protojson.encode import dumps, to_json
from gateway.rest.protojson.parse import loads
from servicekit.errors import InvalidArgument
from tests.support.paths import ROOT


def parsed(message, text):
    decode.merge(message, loads(text.encode()))
    return message


@pytest.mark.parametrize(
    ("message", "text", "expected"),
    [
        (CaptionRequest, '{"url_video":"a","url_srt":"ö"}', CaptionRequest(url_video="a", url_srt="ö")),
        (CaptionRequest, '\ufeff {"url_video": null}', CaptionRequest()),
        (Stats, '{"jobId":"x","delay_time":5}', Stats(job_id="x", delay_time=5)),
        (Stats, '{"delayTime":"9007199254740993"}', Stats(delay_time=9007199254740993)),
        (Stats, '{"delayTime":9007199254740993}', Stats(delay_time=9007199254740993)),
        (Stats, '{"delayTime":1e3,"total":2.0}', Stats(delay_time=1000, total=2)),
        (Job, '{"status":"FAILED"}', Job(status=Job.FAILED)),
        (Job, '{"status":4}', Job(status=Job.FAILED)),
        (Job, '{"status":77}', Job(status=77)),
        (Job, '{"createTime":"2025-10-02T10:00:00.5Z"}', None),
        (Img2VidRequest, '{"images":[{"id":"1","duracao":1.5}],"frame_rate":24}', None),
        (Img2VidRequest, '{"frameRate":"NaN"}', "unknown"),
        (Img2VidRequest, '{"duration":"-Infinity"}', Img2VidRequest(duration=-math.inf)),
        (Img2VidRequest, '{"duration":"1.5e1"}', Img2VidRequest(duration=15)),
        (Stats, '{"delayTime":"1"}', Stats(delay_time=1)),
    ],
)
def test_parse(message, text, expected):
    if expected == "unknown":
        with pytest.raises(InvalidArgument, match='Unknown field "frameRate"; did you mean "frame_rate"'):
            parsed(message(), text)
        return
    made = parsed(message(), text)
    if expected is not None:
        assert made == expected
    assert made == message.FromString(buf_convert(message, text))


def buf_convert(message, text):
    """The binary form by buf's own parser of protobuf JSON."""
    source = ROOT / "gen/apigpu/descriptors.binpb"
    command = [
        ROOT / ".venv/bin/buf",
        "convert",
        source,
        "--type",
        message.DESCRIPTOR.full_name,
        "--from",
        "-#format=json",
    ]
    clean = text.removeprefix("\ufeff").encode()
    return subprocess.run([*command, "--to", "-#format=binpb"], input=clean, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("message", "text", "error"),
    [
        (CaptionRequest, "", "not valid JSON: Expecting value at line 1, column 1"),
        (CaptionRequest, '{"url_video":\n "a",}', "not valid JSON: .* at line 2, column"),
        (CaptionRequest, '{"url_video":NaN}', "NaN is no JSON number"),
        (CaptionRequest, '{"url_video":"a","url_video":"b"}', 'key "url_video" is there twice'),
        (CaptionRequest, "[]", "The body must be an object"),
        (CaptionRequest, "null", "The body must be an object"),
        (CaptionRequest, "[" * 100_000, "nested too deep"),
        (CaptionRequest, '{"url_video":true}', "url_video must be a string"),
        (CaptionRequest, '{"url_video":1e999}', "url_video must be a string"),
        (CaptionRequest, '{"url_video":"\\ud800"}', "url_video must be valid Unicode"),
        (CaptionRequest, '{"nope":1}', 'Unknown field "nope"; known: url_video, url_srt'),
        (Img2VidRequest, '{"images":"a"}', "images must be a list"),
        (Img2VidRequest, '{"images":"[{}]"}', "send it without the quotes"),
        (Img2VidRequest, '{"images":[null]}', r"images\[0\] must be an object"),
        (Img2VidRequest, '{"images":[{},{"x":1}]}', r'Unknown field "images\[1\].x"'),
        (Img2VidRequest, '{"images":[{"duracao":"abc"}]}', r"images\[0\].duracao must be a number"),
        (
            Img2VidRequest,
            '{"images":{"duracao":"6,48"}}',
            r"images\[0\].duracao must be a number, with a point in place",
        ),
        (Img2VidRequest, '{"images":[{"duracao":true}]}', r"images\[0\].duracao must be a number"),
        (Img2VidRequest, '{"duration":1e999}', "duration is too large"),
        (Img2VidRequest, '{"url_image":"a","urlImage":"b"}', 'Unknown field "urlImage"'),
        (Stats, '{"jobId":"a","job_id":"b"}', "job_id cannot be given together with jobId"),
        (Stats, '{"delayTime":1.5}', "delayTime must be an integer"),
        (Stats, '{"delayTime":true}', "delayTime must be an integer"),
        (Stats, '{"delayTime":"1 2"}', "delayTime must be an integer"),
        (Stats, '{"total":2147483648}', "total must be from -2147483648 to 2147483647"),
        (Stats, f'{{"delayTime":{"9" * 5000}}}', "not valid JSON"),
        (Job, '{"status":"NOPE"}', "status must be one of STATUS_UNSPECIFIED, IN_QUEUE"),
        (Job, '{"status":4294967297}', "status must be one of"),
        (Job, '{"createTime":5}', "createTime is no Timestamp"),
        (Job, '{"createTime":"yesterday"}', "createTime is no Timestamp"),
        (
            SubmitJobRequest,
            '{"operation":{"caption":{},"addaudio":{}}}',
            "addaudio cannot be given together with .*caption",
        ),
    ],
)
def test_refusals_tell_the_place(message, text, error):
    with pytest.raises(InvalidArgument, match=error):
        parsed(message(), text)


def test_a_body_that_is_not_utf8():
    with pytest.raises(InvalidArgument, match="not UTF-8: byte 2"):
        loads(b'{"\xff":1}')


def test_other_kinds_of_fields():
    value = struct_pb2.Struct()
    decode.merge(value, {"a": [1, None, {"b": True}]})
    assert to_json(value) == {"a": [1, None, {"b": True}]}
    info = parsed(error_details_pb2.ErrorInfo(), '{"metadata":{"a":"1","b":"2"}}')
    assert dict(info.metadata) == {"a": "1", "b": "2"}
    with pytest.raises(InvalidArgument, match=r"metadata\.a must be a string"):
        parsed(error_details_pb2.ErrorInfo(), '{"metadata":{"a":[]}}')
    option = parsed(
        descriptor_pb2.UninterpretedOption(), '{"stringValue":"-_8","positiveIntValue":18446744073709551615}'
    )
    assert option.string_value == b"\xfb\xff"
    assert to_json(option) == {"name": [], "positiveIntValue": 2**64 - 1, "stringValue": "+/8="}
    with pytest.raises(InvalidArgument, match="stringValue must be base64"):
        parsed(descriptor_pb2.UninterpretedOption(), '{"stringValue":"a!"}')


@pytest.mark.parametrize(
    ("path", "texts", "expected"),
    [
        ("page_size", ["5"], ListJobsRequest(page_size=5)),
        ("pageSize", ["5"], ListJobsRequest(page_size=5)),
        ("status", ["COMPLETED"], ListJobsRequest(status=Job.COMPLETED)),
        ("status", ["3"], ListJobsRequest(status=Job.COMPLETED)),
        ("pageToken", ["a b"], ListJobsRequest(page_token="a b")),
    ],
)
def test_text(path, texts, expected):
    message = ListJobsRequest()
    decode.set_text(message, path, texts)
    assert message == expected


@pytest.mark.parametrize(
    ("message", "path", "texts", "error"),
    [
        (ListJobsRequest(), "page_size", ["x"], "page_size must be an integer"),
        (ListJobsRequest(), "page_size", [""], "page_size must be an integer"),
        (ListJobsRequest(), "page_size", ["1", "2"], "page_size can be given once"),
        (ListJobsRequest(), "nope", ["1"], 'Unknown query parameter "nope"'),
        (ListJobsRequest(), "page_size.x", ["1"], "Unknown query parameter"),
        (SubmitJobRequest(), "operation", ["1"], "is a message; give its fields"),
        (Img2VidRequest(), "images", ["1"], "cannot be given as text"),
        (Img2VidRequest(), "images.id", ["1"], "Unknown query parameter"),
    ],
)
def test_text_that_is_refused(message, path, texts, error):
    with pytest.raises(InvalidArgument, match=error):
        decode.set_text(message, path, texts)


def test_text_of_nested_and_special_fields():
    message, job = SubmitJobRequest(), Job()
    decode.set_text(message, "operation.caption.url_video", ["a"])
    assert message.operation.caption.url_video == "a"
    decode.set_text(job, "createTime", ["2025-10-02T10:00:00Z"])
    assert job.create_time.seconds == 1759399200
    option = descriptor_pb2.FieldOptions()
    decode.set_text(option, "lazy", ["true"])
    decode.set_text(option, "targets", ["TARGET_TYPE_FILE", "2"])
    assert (option.lazy, list(option.targets)) == (True, [1, 2])
    with pytest.raises(InvalidArgument, match="lazy must be true or false"):
        decode.set_text(option, "lazy", ["maybe"])


def test_numbers_are_numbers_and_defaults_are_there():
    assert to_json(Stats(job_id="x", execution_time=2**53 + 1)) == {
        "jobId": "x",
        "delayTime": 0,
        "executionTime": 2**53 + 1,
    }
    assert list(to_json(Stats(total=0))) == ["jobId", "delayTime", "executionTime", "total"]
    job = to_json(Job(id="1", status=Job.IN_QUEUE))
    assert job == {
        "id": "1",
        "status": "IN_QUEUE",
        "delayTime": 0,
        "executionTime": 0,
        "operation": "",
        "total": 0,
        "processed": 0,
    }
    assert to_json(wrappers_pb2.Int64Value(value=5)) == 5


def test_times_have_milliseconds():
    made = Execution()
    made.start_time.FromMilliseconds(1759399200000)
    made.end_time.FromMilliseconds(1759399290500)
    shown = to_json(made)
    assert (shown["startTime"], shown["endTime"]) == ("2025-10-02T10:00:00.000Z", "2025-10-02T10:01:30.500Z")
    assert shown["durationSeconds"] == 0


def test_not_finite_numbers_and_unknown_enums():
    assert to_json(Img2VidRequest(duration=math.inf))["duration"] == "Infinity"
    assert to_json(Job(status=77))["status"] == 77
    assert dumps({"ü": [1]}) == '{"ü":[1]}'.encode()


@pytest.mark.parametrize("name", ["PRESET_BOLD", "bold", "BOLD", "Bold", 2, "2"])
def test_an_enum_goes_by_its_full_and_by_its_short_name(name):
    assert parsed(CaptionStyle(), json.dumps({"preset": name})).preset == CaptionStyle.PRESET_BOLD
    assert parsed(Motion(), '{"easing": "in-out"}').easing == Motion.EASING_IN_OUT


def test_an_unknown_enum_is_told_the_short_names():
    with pytest.raises(InvalidArgument, match="preset must be one of classic, bold, box, karaoke"):
        parsed(CaptionStyle(), '{"preset": "loud"}')


def test_any():
    packed = any_pb2.Any()
    packed.Pack(Stats(job_id="x"))
    assert to_json(packed)["@type"] == "type.googleapis.com/apigpu.v1.Stats"
    assert to_json(packed)["jobId"] == "x"
    packed.Pack(wrappers_pb2.Int64Value(value=3))
    assert to_json(packed)["value"] == 3
    assert to_json(any_pb2.Any(type_url="x/not.Known", value=b"1")) == {"@type": "x/not.Known", "value": "MQ=="}


def test_what_is_written_is_read_back():
    made = Job(id="1", status=Job.COMPLETED, execution_time=2**60)
    made.output.videos.add(id="a", video_url="u").error.code = 3
    made.create_time.FromMilliseconds(1759399200123)
    again = parsed(Job(), dumps(to_json(made)).decode())
    assert again == made
    assert json.loads(dumps(to_json(again))) == to_json(made)
