"""The whole way with NVENC, on the stand-in for NVIDIA's driver: the caller is told what made the video."""

import pytest

from tests.e2e.test_operations import put, saved
from tests.nvdriver.driver import Driver
from tests.nvdriver.fixtures import nvdriver, nvdriver_libraries
from tools.media_check import footage
from tools.pair import running

__all__ = ["nvdriver", "nvdriver_libraries"]

pytestmark = pytest.mark.nvenc

CARD = "API-GPU stand-in (no GPU)"


def test_results_tell_what_made_them(nvdriver: Driver, http_of, media, tmp_path) -> None:
    with running(tmp_path / "data", **nvdriver.environment()) as pair:
        http = http_of(pair)
        video, srt = put(http, media.video), put(http, media.srt)
        found = http.post("/video/caption", json={"url_video": video, "url_srt": srt}).json()
        why = "the codec nvenc makes video of the profile high, and not of baseline"
        assert found["encoding"] == {"codec": "nvenc", "reason": CARD, "frames_copied": 0, "whole_reason": why}
        assert footage(saved(found["video_url"], tmp_path / "out.mp4")).frames == 50
        job = http.get(f"/job/{found['stats']['jobId']}").json()
        assert job["output"]["encoding"] == found["encoding"]

        nvdriver.fault(encode_fails_at=10)
        images = [{"id": "a", "image_url": put(http, media.image), "duracao": 1}]
        clip = http.post("/video/img2vid", json={"images": images}).json()["videos"][0]
        assert clip["encoding"]["codec"] == "x264"
        assert "the session failed" in clip["encoding"]["reason"]

        nvdriver.clear()
        scored = http.post("/video/addaudio", json={"url_video": video, "url_audio": put(http, media.tone)}).json()
        assert scored["encoding"]["codec"] == "copy"
    assert nvdriver.state().live.sessions == 0
