"""The three operations over gRPC and over JSON, judged by decoding what came out."""

import av
import httpx
import pytest

from tests.e2e.conftest import RATE, SECONDS
from tools.media_check import changed_share, footage, sound_seconds


@pytest.fixture(params=["grpc", "json"])
def run(request, pair, http_of, tmp_path):
    """Run an operation with local files; the results as files, in order."""

    def by_grpc(operation, *files, **options):
        with pair.client() as client:
            job = getattr(client, operation)(*files, **options).wait()
            assets = [clip.asset for clip in job.clips] or [job.asset]
            return [client.download(asset, tmp_path / f"{n}.mp4") for n, asset in enumerate(assets)]

    def by_json(operation, *files, seconds=None, fps=None):
        http = http_of(pair)
        if operation == "img2vid":
            images = [
                {"id": f"still {n}", "image_url": put(http, path), "duracao": seconds}
                for n, path in enumerate(files[0])
            ]
            body = {"images": images} | ({"frame_rate": fps} if fps else {})
        else:
            names = {"caption": ("url_video", "url_srt"), "addaudio": ("url_video", "url_audio")}[operation]
            body = dict(zip(names, [put(http, path) for path in files], strict=True))
        answer = http.post(f"/video/{operation}", json=body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        links = [video["video_url"] for video in found["videos"]] if "videos" in found else [found["video_url"]]
        return [saved(link, tmp_path / f"{n}.mp4") for n, link in enumerate(links)]

    return by_grpc if request.param == "grpc" else by_json


def put(http, path):
    with path.open("rb") as file:
        answer = http.put(f"/assets/{path.name}", content=file)
    assert answer.status_code == 200, answer.text
    return answer.json()["name"]


def saved(link, path):
    """Follow a link as any HTTP client does: without a key."""
    answer = httpx.get(link, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    path.write_bytes(answer.content)
    return path


def test_caption(run, media):
    (out,) = run("caption", media.video, media.srt)
    before, after = footage(media.video), footage(out)
    assert (after.frames, after.width, after.height) == (before.frames, 320, 180)
    assert after.audio_seconds == pytest.approx(SECONDS, abs=0.1)
    for shown in (0.6, 1.4):
        assert changed_share(media.video, out, shown) > 0.005
    for bare in (0.2, 1.0, 1.8):
        assert changed_share(media.video, out, bare) < 0.0005
    assert is_faststart(out)


def test_img2vid(run, media):
    outs = run("img2vid", [media.image, media.image], seconds=1.5, fps=20)
    assert len(outs) == 2
    for out in outs:
        clip = footage(out)
        assert (clip.frames, clip.size, clip.audio_seconds) == (30, "1920×1080", None)
        assert clip.seconds == pytest.approx(1.5, abs=0.01)


def test_addaudio(run, media):
    (out,) = run("addaudio", media.silent, media.tone)
    made = footage(out)
    assert made.seconds == pytest.approx(1.2, abs=1.5 / RATE)
    assert sound_seconds(out) == pytest.approx(1.2, abs=0.05)
    with av.open(out) as container:
        assert container.streams.audio[0].codec_context.name == "aac"


def is_faststart(path):
    data = path.read_bytes()
    return data.index(b"moov") < data.index(b"mdat")


def test_inputs_by_url(pair, http_of, web, media, tmp_path):
    body = {"url_video": f"{web}/video.mp4", "url_srt": f"{web}/captions.srt"}
    answer = http_of(pair).post("/video/caption", json=body).json()
    assert footage(saved(answer["video_url"], tmp_path / "out.mp4")).frames == SECONDS * RATE


def test_the_older_form_of_img2vid(pair, http_of, media, tmp_path):
    http = http_of(pair)
    body = {"url_image": put(http, media.image), "frame_rate": 30, "duration": 0.5}
    answer = http.post("/video/img2vid", json=body).json()
    (video,) = answer["videos"]
    assert footage(saved(video["video_url"], tmp_path / "out.mp4")).frames == 15


def test_one_bad_image_fails_alone(pair, http_of, media):
    http = http_of(pair)
    good, bad = put(http, media.image), put(http, media.write("broken.png", b"no image at all"))
    images = [
        {"id": name, "image_url": url, "duracao": 0.2} for name, url in zip("abc", [good, bad, good], strict=True)
    ]
    answer = http.post("/video/img2vid", json={"images": images})
    assert answer.status_code == 200
    found = answer.json()
    assert [video["id"] for video in found["videos"]] == ["a", "b", "c"]
    assert [bool(video["video_url"]) for video in found["videos"]] == [True, False, True]
    assert found["videos"][1]["error"]["status"] == "INVALID_ARGUMENT"
    assert (found["stats"]["total"], found["stats"]["processed"]) == (3, 2)


def test_options_and_warnings_pass_through_json(pair, http_of, media, tmp_path):
    http = http_of(pair)
    body = {"url_video": put(http, media.silent), "url_audio": put(http, media.tone), "soundtrack": {"mix": True}}
    found = http.post("/video/addaudio", json=body).json()
    assert [warning["reason"] for warning in found["warnings"]] == ["NO_ORIGINAL_AUDIO"]
    job = http.get(f"/job/{found['stats']['jobId']}").json()
    assert job["output"]["warnings"] == found["warnings"]
    encoding = found["encoding"]
    assert (encoding["codec"], encoding["reason"]) == ("copy", "the video need not be encoded")

    image = {"id": "a", "image_url": put(http, media.image), "duracao": 0.2, "motion": {"endZoom": 2}}
    body = {"images": [image], "width": 320, "height": 640, "fit": "blur"}
    found = http.post("/video/img2vid", json=body).json()
    clip = footage(saved(found["videos"][0]["video_url"], tmp_path / "clip.mp4"))
    assert (clip.width, clip.height) == (320, 640)

    refused = http.post("/video/img2vid", json=body | {"motion": {"endZoom": 99}})
    assert (refused.status_code, refused.json()["message"]) == (400, "motion.endZoom is 99 and must be from 1 to 10.")


def test_the_encoding_of_subtitles_is_told_guessed_or_wrong(pair, http_of, media):
    http = http_of(pair)
    text = "1\n00:00:00,400 --> 00:00:00,800\nДа\n".encode("koi8-r")

    def captioned(content_type, **options):
        uploaded = http.put("/assets/a.srt", content=text, headers={"content-type": content_type}).json()
        body = {"url_video": put(http, media.silent), "url_srt": uploaded["name"], **options}
        return http.post("/video/caption", json=body)

    assert captioned("text/plain; charset=koi8-r").json()["warnings"] == []
    assert captioned("text/plain", charset="KOI8-R").json()["warnings"] == []
    (guess,) = captioned("text/plain").json()["warnings"]
    assert (guess["reason"], "charset" in guess["message"]) == ("ENCODING_GUESSED", True)
    for name, words in {"klingon": "no encoding that is known", "utf-8": "does not fit"}.items():
        refused = captioned("text/plain", charset=name)
        assert refused.status_code == 400
        assert refused.json()["message"].startswith("charset: ")
        assert words in refused.json()["message"]
