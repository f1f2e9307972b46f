"""A gateway on a disk with less free than must be: it takes no new work, and says why."""

import httpx
import pytest

from tests.support import whole_gateway


@pytest.mark.parametrize("path", ["/jobs", "/video/probe"])
async def test_new_jobs_are_refused_while_there_is_no_room_for_their_results(tmp_path, path):
    async with (
        whole_gateway.opened(tmp_path, min_free_bytes=1 << 60) as served,
        httpx.AsyncClient(base_url=served.http_url, headers={"X-API-Key": "key"}) as client,
    ):
        probe = {"url": "https://example.com/video.mp4"}
        answer = await client.post(path, json={"probe": probe} if path == "/jobs" else probe)
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (507, "STORAGE_FULL")
        assert int(answer.headers["retry-after"]) > 0
        listed = await client.get("/jobs")
        assert (listed.status_code, listed.json()["jobs"]) == (200, [])
