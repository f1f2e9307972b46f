"""curl: the JSON surface as people use it from a shell."""

import hashlib
import json
import subprocess

import pytest

from tests.support.judge import facts
from tests.support.missing import need

CALL_SECONDS = 120


@pytest.fixture
def curl(pair):
    need("curl")

    def run(path, *options, key=pair.key):
        """The HTTP status and the text of the answer."""
        url = path if path.startswith("http") else pair.http_url + path
        header = ["--header", f"X-API-Key: {key}"] if key else []
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--write-out", "%{stderr}%{http_code}", *header, *options, url],
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stderr[-3:]), done.stdout

    return run


@pytest.fixture
def request_body(curl, inputs):
    """A caption request whose sources are uploaded, as the options of curl that send it."""
    names = []
    for path in inputs:
        status, text = curl("/assets/", "--upload-file", path)
        assert status == 200, text
        assert json.loads(text)["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        names.append(json.loads(text)["name"])
    body = json.dumps({"url_video": names[0], "url_srt": names[1]})
    return ["--header", "Content-Type: application/json", "--data", body]


def test_captions_a_video(curl, request_body, inputs, tmp_path):
    status, text = curl("/video/caption", *request_body)
    assert status == 200, text
    answer = json.loads(text)
    assert answer["message"] == "Video caption added successfully"
    out = tmp_path / "out.mp4"
    assert curl(answer["video_url"], "--output", out, key="")[0] == 200
    assert facts(out).frames == facts(inputs[0]).frames


def test_follows_a_job(curl, request_body):
    body = json.dumps({"caption": json.loads(request_body[-1])})
    status, text = curl("/jobs", *request_body[:-1], body)
    assert status == 200, text
    status, text = curl(f"/job/{json.loads(text)['id']}/watch", "--no-buffer")
    assert status == 200, text
    events = [json.loads(line)["result"] for line in text.splitlines()]
    assert events[-1]["finished"]["status"] == "COMPLETED"


@pytest.mark.parametrize("key", ["", "wrong"])
def test_no_or_a_wrong_key_is_401(curl, key):
    status, text = curl("/jobs", key=key)
    assert status == 401
    assert json.loads(text)["status"] == "UNAUTHENTICATED"
