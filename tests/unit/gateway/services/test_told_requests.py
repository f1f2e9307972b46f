"""What a job was asked for: told back whole, but for what is a secret."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format

from apigpu.v1.jobs_pb2 import Job as JobMessage
from apigpu.v1.video_pb2 import Operation
from gateway.jobs import graph, names, operation
from gateway.jobs.hooks import Webhook
from gateway.jobs.model import Job
from gateway.jobs.outputs import OutputTarget
from gateway.rest.protojson.encode import to_json
from gateway.services.requests import BRIEF, WHOLE, Extent, told_request
from servicekit.url_secrets import masked_url

ASSET, TEXT = f"assets/{'a' * 26}", f"assets/{'b' * 26}"
SECRET = "https://bucket.example.com/talk.mp4?X-Amz-Signature=s3cr3t"
STEPS = [
    {"id": "clips", "img2vid": {"images": [{"id": i, "image_url": SECRET, "duracao": 2.0} for i in ("a", "b")]}},
    {"id": "film", "concat": {"url_videos": ["step:clips[0]", "step:clips[1]", ASSET]}},
    {"id": "talk", "caption": {"url_video": "step:film", "srt_text": TEXT}},
]


def job(wanted: dict[str, Any], **more: Any) -> Job:
    parsed = json_format.ParseDict(wanted, Operation())
    filenames = ((ASSET, "talk.mp4"),)
    tasks = names.with_stems(parsed, graph.tasks_of(parsed, 500), dict(filenames))
    kind, request, is_batch = operation.kind(parsed)[0], graph.request_of(parsed), operation.is_batch(parsed)
    more = {"filenames": filenames, "graph": graph.is_graph(parsed)} | more
    return Job("a" * 32, kind, request, is_batch, tasks, 1.0, **more)


def told(found: Job, extent: Extent = WHOLE) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    request, inputs = told_request(found, extent)
    return to_json(JobMessage(request=request))["request"], [(one.field, one.name) for one in inputs]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (ASSET, ASSET),
        ("https://x.y/a.mp4", "https://x.y/a.mp4"),
        (SECRET, "https://bucket.example.com/talk.mp4?***"),
        ("https://x.y/a.mp4?id=5#s3cr3t", "https://x.y/a.mp4?***"),
        ("https://me:s3cr3t@x.y:8443/a.mp4", "https://x.y:8443/a.mp4"),
        ("s3://bucket/{item}.mp4", "s3://bucket/{item}.mp4"),
        ("step:clips[0]", "step:clips[0]"),
        ("https://[bad?s3cr3t", "***"),
    ],
)
def test_what_opens_something_is_masked(source, shown):
    assert masked_url(source) == shown


def test_only_what_was_given_is_told_and_no_secret():
    caption = {"url_video": SECRET, "srt_text": TEXT, "style": {"preset": "PRESET_BOLD", "size": 7.5}}
    webhook = Webhook("https://hooks.slack.com/services/T0/B0/s3cr3t?key=s3cr3t", ("job.ended",), "")
    output = OutputTarget((SECRET,), (("x-token", "s3cr3t"),))
    found = job({"caption": caption}, webhook=webhook, output=output, deadline=61.0, retry_of="b" * 32)
    request, inputs = told(found)
    assert request == {
        "operation": {
            "caption": {
                "url_video": "https://bucket.example.com/talk.mp4?***",
                "url_srt": TEXT,
                "style": {"preset": "PRESET_BOLD", "size": 7.5},
            }
        },
        "options": {
            "webhook_url": "https://hooks.slack.com/services/***?***",
            "webhook_events": ["job.ended"],
            "output": {"url": "https://bucket.example.com/talk.mp4?***", "headers": {"x-token": "***"}},
            "deadline_seconds": 60.0,
        },
        "inputCount": 2,
        "retryOf": "b" * 32,
    }
    assert inputs == [("url_video", "talk.mp4"), ("url_srt", "")]
    assert "s3cr3t" not in str(told_request(found))


def test_a_chain_is_told_by_its_steps_and_made_anew_it_is_the_same():
    found = job({"chain": {"steps": STEPS, "keep": ["talk"]}})
    request, inputs = told(found)
    steps = request["operation"]["chain"]["steps"]
    assert [step["id"] for step in steps] == ["clips", "film", "talk"]
    assert steps[1]["concat"]["url_videos"] == STEPS[1]["concat"]["url_videos"]
    assert [image["id"] for image in steps[0]["img2vid"]["images"]] == ["a", "b"]
    assert inputs[2] == ("steps[1].concat.url_videos[2]", "talk.mp4")
    assert request["inputCount"] == 4
    again = graph.submitted(found)
    assert graph.tasks_of(again, 500) == graph.tasks_of(
        json_format.ParseDict({"chain": {"steps": STEPS, "keep": ["talk"]}}, Operation()), 500
    )


def test_a_chain_with_a_step_of_a_later_version_is_told_without_what_it_was_asked_for():
    found = job({"chain": {"steps": STEPS, "keep": ["talk"]}})
    later = replace(found.tasks[2], operation=b"\xa2\x1f\x00")  # field 500, which there is not
    request, inputs = told(replace(found, id="c" * 32, tasks=(*found.tasks[:2], later, *found.tasks[3:])))
    assert (request, inputs) == ({}, [])


def test_of_a_long_request_lists_tell_the_beginning():
    images = [{"id": str(number), "image_url": f"{SECRET}{number}", "duracao": 2.0} for number in range(200)]
    found = job({"img2vid": {"images": images}})
    request, inputs = told(found, BRIEF)
    assert (request, len(inputs)) == ({"inputCount": 200}, 10)
    assert inputs[9] == ("images[9].image_url", "talk.mp4")
    request, inputs = told(found)
    assert len(request["operation"]["img2vid"]["images"]) == len(inputs) == 200
