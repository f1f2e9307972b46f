"""Requests as users of the older system send them, through the whole JSON surface."""

import pytest

from apigpu.v1 import jobs_pb2, video_pb2

BODY = {"url_video": "https://a/v.mp4", "url_caption": "https://a/s.srt", "path": "Channel/", "id_roteiro": 7}


async def test_an_older_path_answers_at_once_in_the_older_form(gateway, http):
    answer = await http.post("/gpu/video/caption_style", json=BODY | {"type": "segments", "output_filename": "b.mp4"})
    assert (answer.status_code, answer.headers["location"]) == (202, "/job/j%2F1")
    assert gateway.method == "SubmitJob"
    asked = gateway.request.operation.caption
    assert (asked.url_srt, asked.output_filename) == ("https://a/s.srt", "b.mp4")
    found = answer.json()
    assert found.items() >= {"id": "j/1", "jobId": "j/1", "status": "QUEUED", "idRoteiro": 7}.items()
    assert found["statusUrl"] == "/jobs/j/1"
    assert [each["metadata"] for each in found["warnings"]] == [{"field": "path"}]


async def test_it_waits_where_it_is_told_to(gateway, http):
    answer = await http.post("/gpu/video/caption_style", json=BODY, headers={"prefer": "wait=20"})
    assert (answer.status_code, gateway.method) == (200, "Caption")
    assert "jobId" not in answer.json()
    assert len(answer.json()["warnings"]) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/video/caption", BODY),
        ("/jobs", {"caption": BODY}),
        ("/jobs", {"chain": {"steps": [{"id": "a", "caption": BODY}]}}),
    ],
)
async def test_older_fields_are_read_on_the_paths_of_today(gateway, http, path, body):
    answer = await http.post(path, json=body)
    assert answer.status_code == 200
    assert answer.json()["idRoteiro"] == 7
    assert [each["reason"] for each in answer.json()["warnings"]] == ["FIELD_NOT_SUPPORTED"]


async def test_warnings_stand_beside_those_of_the_job(gateway, http):
    async def handle(request, context):
        return video_pb2.CaptionResponse(code=200, warnings=[video_pb2.Warning(reason="MISSING_GLYPHS")])

    gateway.handle = handle
    found = (await http.post("/video/caption", json=BODY)).json()
    assert [each["reason"] for each in found["warnings"]] == ["FIELD_NOT_SUPPORTED", "MISSING_GLYPHS"]


async def test_what_is_not_supported_is_refused_before_a_job_is_made(gateway, http):
    answer = await http.post("/gpu/video/concatenate", json={"video_urls": ["https://a/v"], "url_audio": "https://a/s"})
    assert answer.status_code == 400
    assert answer.json()["details"][0]["reason"] == "FIELD_NOT_SUPPORTED"
    assert answer.json()["message"].startswith("url_audio: is not supported")
    assert not gateway.method
    answer = await http.get("/queue/stats")
    assert (answer.status_code, "GET /fleet" in answer.json()["message"]) == (404, True)


async def test_a_webhook_and_what_is_noted_go_with_the_call(gateway, http):
    said = {"webhook_url": "https://n8n.example.com/webhook/x", "id_roteiro": 7}
    await http.post("/gpu/video/caption_style", json=BODY | said)
    sent = jobs_pb2.JobOptions.FromString(dict(gateway.metadata)["job-options-bin"])
    expected = jobs_pb2.JobOptions(webhook_url=said["webhook_url"], metadata={"idRoteiro": "7"})
    assert sent == expected


async def test_an_older_path_needs_a_key(gateway, http):
    answer = await http.post("/gpu/video/img2vid", json={}, headers={"x-api-key": "no"})
    assert (answer.status_code, gateway.method) == (401, "")


async def test_a_plain_request_is_answered_as_ever(gateway, http):
    answer = await http.post("/jobs", json={"caption": {"url_video": "https://a/v.mp4", "url_srt": "https://a/s.srt"}})
    assert answer.json().keys().isdisjoint({"warnings", "jobId", "idRoteiro"})
    assert gateway.request == jobs_pb2.SubmitJobRequest(
        operation=video_pb2.Operation(
            caption=video_pb2.CaptionRequest(url_video="https://a/v.mp4", url_srt="https://a/s.srt")
        )
    )
