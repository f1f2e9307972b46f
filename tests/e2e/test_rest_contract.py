"""The JSON surface, name by name and shape by shape."""

import contextlib
import json
import re
from base64 import b64encode
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.e2e.test_operations import put
from tests.support.until import until_sync

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
STATUSES = {"IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}


@pytest.fixture
def http(pair, http_of):
    return http_of(pair)


@pytest.fixture
def caption_body(http, media):
    return {"url_video": put(http, media.video), "url_srt": put(http, media.srt)}


def test_info_and_health_need_no_key(pair, http_of):
    http = http_of(pair, key="")
    info = http.get("/").json()
    assert info["name"] == "api-gpu"
    assert "POST /video/caption" in info["endpoints"]
    health = http.get("/health").json()
    assert (health["status"], health["runpod"]) == ("healthy", {"configured": False})
    assert RFC3339.fullmatch(health["timestamp"])
    assert isinstance(health["uptime"], int | float)


def test_runpod_says_that_it_is_not_configured(http):
    health = http.get("/runpod/health")
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert "not configured" in health.json()["error"]
    config = http.get("/runpod/config").json()
    assert config == {"endpointId": "", "idleTimeout": 300, "maxTimeout": 600}


@pytest.mark.parametrize("path", ["/jobs", "/job/x", "/runpod/health", "/runpod/config", "/assets/x"])
@pytest.mark.parametrize("key", ["", "wrong"])
def test_everything_else_needs_a_key(pair, http_of, path, key):
    answer = http_of(pair, key=key).get(path)
    assert answer.status_code == 401
    assert answer.json()["error"] == "Unauthorized"


def test_a_request_as_a_tool_for_automation_sends_it(http, media, caption_body):
    """Everything is text or left empty, the subtitles stand in the request, and the result has the caller's name."""
    body = {
        "url_video": caption_body["url_video"],
        "url_srt": f"data:application/x-subrip;base64,{b64encode(media.srt.read_bytes()).decode()}",
        "style": {"preset": "Bold", "bold": "True", "size": "8", "x": "", "position": "", "margin_x": " 5 "},
        "words": "",
        "container": "",
        "max_cost_usd": "",
        "output_filename": "../Férias final.mov",
        "id_roteiro": 12,
    }
    key = {"X-API-Key": "", "Authorization": f"bearer  {http.headers['x-api-key']}"}
    answer = http.post("/video/caption/", json=body, headers=key)
    assert answer.status_code == 200, answer.text
    assert answer.json()["idRoteiro"] == 12
    link = answer.json()["video_url"]
    assert link.partition("?")[0].endswith("/F%C3%A9rias%20final.mp4")
    named = http.head(link).headers["content-disposition"]
    assert named == "inline; filename=\"F_rias final.mp4\"; filename*=UTF-8''F%C3%A9rias%20final.mp4"


def test_caption_answers_as_the_contract_says(http, caption_body):
    answer = http.post("/video/caption", json=caption_body)
    found = answer.json()
    assert (answer.status_code, found["code"], found["message"]) == (200, 200, "Video caption added successfully")
    assert found["video_url"].startswith("http")
    execution, stats = found["execution"], found["stats"]
    assert RFC3339.fullmatch(execution["startTime"])
    assert RFC3339.fullmatch(execution["endTime"])
    assert execution["durationMs"] == pytest.approx(execution["durationSeconds"] * 1000, abs=1)
    assert isinstance(stats["delayTime"], int)
    assert isinstance(stats["executionTime"], int)
    assert stats["executionTime"] > 0
    job = http.get(f"/job/{stats['jobId']}").json()
    assert (job["id"], job["status"]) == (stats["jobId"], "COMPLETED")
    assert job["output"]["video_url"].startswith("http")
    assert {"delayTime", "executionTime"} <= job.keys()


def test_captions_may_stand_in_the_request_as_text_or_as_words_alone(http, caption_body):
    said = [{"word": " Hello", "start": 0, "end": 0.4}, {"word": " world.", "start": 0.4, "end": 0.7}]
    spoken = {"segments": [{"start": 0, "end": 0.7, "text": " Hello world.", "words": said}]}
    one_word = {"wordsPerLine": "1", "maxLines": 1}
    for body in (
        {"words": spoken, "url_srt": "", "cues": one_word},
        {"words": said, "srt_text": "", "style": {"preset": "word"}},
        {"srt_text": json.dumps(spoken), "cues": one_word},
    ):
        asked = {"url_video": caption_body["url_video"], "readability": "standard", **body}
        answer = http.post("/video/caption", json=asked)
        assert answer.status_code == 200, answer.text
        told = [each["metadata"]["figure"] for each in answer.json()["warnings"]]
        assert told == ["0.4", "20.0", "0.3"], answer.text
    asked = {"url_video": caption_body["url_video"], "srt_text": "no captions"}
    answer = http.post("/video/caption", json=asked)
    assert (answer.status_code, answer.json()["message"].partition(":")[0]) == (400, "srt_text")


def test_img2vid_and_the_alias_of_addaudio_answer_as_the_contract_says(http, media):
    image = put(http, media.image)
    found = http.post("/video/img2vid", json={"images": [{"id": "x", "image_url": image, "duracao": 0.2}]}).json()
    assert found["message"] == "Images converted to videos successfully"
    assert (found["videos"][0]["id"], found["stats"]["total"], found["stats"]["processed"]) == ("x", 1, 1)
    body = {"url_video": put(http, media.video), "url_audio": put(http, media.tone)}
    found = http.post("/video/adicionaaudio", json=body).json()
    assert found["message"] == "Video addaudio completed successfully"


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/video/caption", {}, "url_video and url_srt are required"),
        ("/video/caption", {"url_video": "https://example.com/a"}, "url_video and url_srt are required"),
        ("/video/addaudio", {"url_audio": "x"}, "url_video and url_audio are required"),
        ("/video/img2vid", {}, "images array is required with at least one image"),
        ("/video/img2vid", {"images": []}, "images array is required with at least one image"),
        ("/video/img2vid", {"images": [{"id": "a"}]}, "Each image must have id, image_url, and duracao"),
        (
            "/video/img2vid",
            {"images": [{"id": "a", "image_url": "https://example.com/a", "duracao": 2}] * 2},
            "images[0].id and images[1].id are both 'a'; give each element its own.",
        ),
    ],
)
def test_missing_fields_are_400_in_the_words_of_the_contract(http, path, body, message):
    answer = http.post(path, json=body)
    found = answer.json()
    assert (answer.status_code, found["error"], found["message"]) == (400, "Bad Request", message)
    assert (found["code"], found["status"]) == (3, "INVALID_ARGUMENT")
    assert found["details"][0]["@type"].endswith("google.rpc.BadRequest")


def test_an_unknown_job_is_404(http):
    answer = http.get("/job/nope")
    assert answer.status_code == 404
    assert answer.json()["error"] == "Job not found"
    assert answer.json()["message"] == "Job ID does not exist"


@pytest.mark.parametrize("job", ["nope", "a" * 5000, "%2A", "a%20b"])
def test_watching_what_is_no_job_is_404_and_harms_nobody(http, job):
    assert http.get(f"/job/{job}/watch").status_code == 404
    assert http.get("/job/nope").status_code == 404


def test_cancelling_answers_as_the_contract_says(http, caption_body):
    done = http.post("/video/caption", json=caption_body).json()["stats"]["jobId"]
    refused = http.post(f"/job/{done}/cancel")
    assert refused.status_code == 400
    assert (refused.json()["error"], refused.json()["message"]) == (
        "Failed to cancel job",
        "Job is already completed",
    )


def test_respond_async_answers_at_once_and_the_job_is_found(http, caption_body):
    answer = http.post("/video/caption", json=caption_body, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    location = answer.headers["location"]
    assert location == f"/job/{answer.json()['id']}"
    job = ended(http, location)
    assert job["status"] == "COMPLETED"
    assert job["id"] in [entry["id"] for entry in http.get("/jobs?status=COMPLETED").json()["jobs"]]


def test_a_client_that_goes_away_leaves_its_job(http, pair, media):
    body = {"images": [{"id": "a", "image_url": put(http, media.image), "duracao": 4}]}
    before = {job["id"] for job in http.get("/jobs").json()["jobs"]}
    address = urlsplit(pair.http_url)
    with contextlib.closing(HTTPConnection(address.hostname, address.port)) as client:
        client.request("POST", "/video/img2vid", json.dumps(body), {"X-API-Key": pair.key})
        (mine,) = until_sync(lambda: {job["id"] for job in http.get("/jobs").json()["jobs"]} - before)
    assert ended(http, f"/job/{mine}")["status"] == "COMPLETED"


def test_watching_tells_progress_and_the_end_as_ndjson_and_as_sse(http, media):
    body = {"img2vid": {"images": [{"id": "a", "image_url": put(http, media.image), "duracao": 2}]}}
    job = http.post("/jobs", json=body).json()["id"]
    with http.stream("GET", f"/job/{job}/watch") as answer:
        events = [json.loads(line)["result"] for line in answer.iter_lines()]
    kinds = [next(iter(event)) for event in events]
    assert kinds[-2:] == ["item", "finished"]
    assert "progress" in kinds
    assert events[-1]["finished"]["output"]["videos"][0]["video_url"]
    counted = [event["progress"]["framesDone"] for event in events if "progress" in event]
    assert counted == sorted(counted)
    assert max(counted) <= 48
    with http.stream("GET", f"/job/{job}/watch", headers={"Accept": "text/event-stream"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        data = [line for line in answer.iter_lines() if line.startswith("data:")]
    assert '"finished"' in data[-1]


def test_a_link_takes_ranges_and_refuses_a_forged_signature(http, caption_body, pair, http_of):
    link = http.post("/video/caption", json=caption_body).json()["video_url"]
    anybody = http_of(pair, key="")
    part = anybody.get(link, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert anybody.get(link[:-1] + ("0" if link[-1] != "0" else "1")).status_code == 403


def ended(http, path):
    """The job, once it has ended."""

    def found():
        job = http.get(path).json()
        assert job["status"] in STATUSES
        return job["status"] not in ("IN_QUEUE", "IN_PROGRESS") and job

    return until_sync(found)
