"""Links to the playlists of a film that is being made: who may open them, what they answer, and what is in them."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import m3u8
import pytest

from gateway.jobs import model
from gateway.jobs.model import Job
from gateway.jobs.store import JobIndex, JobStore
from gateway.preview.playlist import master_playlist
from servicekit.errors import NotFound
from tests.support import media
from tests.unit.gateway.preview.test_preview_film import FIRST, GONE, JOIN, SECOND, SOUND, THIRD, made, shown, story

ASSET = "assets/" + "a" * 26
TYPE = "application/vnd.apple.mpegurl"


class Jobs:
    """Stands for the store of jobs: it has one."""

    def __init__(self) -> None:
        self.index = JobIndex()
        self.reads = 0
        self._job = story()

    @property
    def job(self) -> Job:
        return self._job

    @job.setter
    def job(self, job: Job) -> None:
        self._job = job
        self.index.followers.changed(job.id, job)

    async def latest(self, key: str, max_age_seconds: float) -> Job:
        return await JobStore.latest(self, key, max_age_seconds)

    def seen(self, _: str, max_age_seconds: float) -> None:
        """Tell that the job was not seen within that time."""

    async def get(self, key: str) -> Job:
        self.reads += 1
        await asyncio.sleep(0)
        if key != self.job.id:
            raise NotFound("Job ID does not exist", reason="JOB_NOT_FOUND")
        return self.job


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
async def http(start, jobs) -> AsyncIterator[httpx.AsyncClient]:
    async with start(jobs=jobs) as gateway, httpx.AsyncClient(base_url=gateway.url, timeout=60) as client:
        client.links = gateway.links
        yield client


def with_pieces(job: Job, *indexes: int) -> Job:
    """The job with these tasks done, whose results have names as assets have."""
    done = made(job, *indexes)
    for index in indexes:
        done = model.with_task(done, index, asset=ASSET[:-1] + "abcdefg"[index])
    return done


async def test_the_link_opens_without_a_key_and_leads_to_every_piece(http, jobs) -> None:
    jobs.job = with_pieces(jobs.job, FIRST, SOUND, SECOND)
    link = http.links.sign_preview(jobs.job.id)
    answer = await http.get(link, headers={"origin": "https://page.example"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, TYPE)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "private, no-cache"
    master = m3u8.loads(answer.text)
    addresses = [master.playlists[0].uri, master.media[0].uri]
    for uri in addresses:
        inner = await http.get(urljoin(str(answer.url), uri))
        assert (inner.status_code, inner.headers["content-type"]) == (200, TYPE)
        for segment in m3u8.loads(inner.text).segments:
            # The store of this test has no files: what counts is that the link is taken for one.
            found = await http.get(urljoin(str(inner.url), segment.uri))
            assert (found.status_code, found.json()["message"][:25]) == (404, f"{ASSET[:-1]}"[:25])
            assert f"expires={inner.url.params['expires']}" in segment.uri
    head = await http.head(link)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(answer.content)))


async def test_it_says_when_it_can_begin_and_that_nothing_plays(http, jobs) -> None:
    link = http.links.sign_preview(jobs.job.id)
    answer = await http.get(link)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["details"][0]["reason"] == "PREVIEW_NOT_READY"
    jobs.job = model.cancel(jobs.job, GONE, 6.0)
    assert (await http.get(link)).json()["details"][0]["reason"] == "PREVIEW_NOT_FOUND"
    jobs.job = story(preview=False)
    assert (await http.get(http.links.sign_preview(jobs.job.id))).status_code == 404


async def test_it_is_a_permission_of_its_own(http, jobs, monkeypatch) -> None:
    jobs.job = with_pieces(jobs.job, FIRST)
    path, _, proof = http.links.sign_preview(jobs.job.id).partition("?")
    file_proof = http.links.sign_file("a" * 26, "story.mp4").partition("?")[2]
    other = http.links.sign_preview("0" * 32).partition("?")[2]
    for wrong in ("", "expires=1&signature=00", file_proof, other, proof.replace("expires=1", "expires=2")):
        refused = await http.get(f"{path}?{wrong}")
        assert (refused.status_code, refused.json()["details"][0]["reason"]) == (403, "LINK_FORGED"), wrong
    assert (await http.get(f"/job/{'0' * 32}/preview.m3u8?{other}")).status_code == 404
    inner = path.removesuffix(".m3u8")
    assert (await http.get(f"{inner}/picture.m3u8?{proof}")).status_code == 200
    assert (await http.get(f"{inner}/sound.m3u8?{proof}")).status_code == 503
    assert (await http.get(f"{inner}/other.m3u8?{proof}")).status_code == 404
    refused = await http.post(f"{path}?{proof}")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    later = time.time() + 601
    monkeypatch.setattr(time, "time", lambda: later)
    assert (await http.get(f"{path}?{proof}")).json()["details"][0]["reason"] == "LINK_EXPIRED"


async def test_the_job_is_read_once_for_all_who_look(http, jobs) -> None:
    jobs.job = with_pieces(jobs.job, FIRST)
    link = http.links.sign_preview(jobs.job.id)
    for _ in range(4):
        answers = await asyncio.gather(*(http.get(link) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}
    assert jobs.reads < 20
    # What has changed is seen at once.
    inner = link.replace(".m3u8", "/picture.m3u8")
    assert len(m3u8.loads((await http.get(inner)).text).segments) == 1
    jobs.job = with_pieces(jobs.job, SECOND)
    assert len(m3u8.loads((await http.get(inner)).text).segments) == 3


async def test_after_the_end_the_same_link_has_the_whole(http, jobs) -> None:
    link = http.links.sign_preview(jobs.job.id)
    jobs.job = with_pieces(jobs.job, FIRST)
    assert (await http.get(link)).status_code == 200
    jobs.job = with_pieces(story(), FIRST, SOUND, SECOND, THIRD, JOIN)
    path, _, proof = http.links.sign_preview(jobs.job.id).partition("?")
    found = m3u8.loads((await http.get(f"{path.removesuffix('.m3u8')}/picture.m3u8?{proof}")).text)
    assert (found.is_endlist, sum(segment.duration for segment in found.segments)) == (True, 12.5)


def test_ffmpeg_opens_the_master_and_all_that_it_names(tmp_path: Path) -> None:
    kind = ("-hls_segment_type", "fmp4", "-hls_fmp4_init_filename")
    media.video(tmp_path / "picture.m3u8", 2, "64x36", 5, False, *kind, "picture.mp4")
    media.run("-f", "lavfi", "-i", "sine=duration=2", *kind, "sound.mp4", tmp_path / "sound.m3u8")
    master = tmp_path / "preview.m3u8"
    master.write_text(master_playlist(shown(made(story(), FIRST, SOUND)), "picture.m3u8", "sound.m3u8"))
    media.run("-i", master, "-map", "v:0", "-map", "a:0", tmp_path / "played.mkv")
