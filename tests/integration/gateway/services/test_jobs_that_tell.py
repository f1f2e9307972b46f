"""Jobs that tell of themselves, over HTTP: names, options, where they stand; results named after inputs; retries, and
lists of files."""

import asyncio
import contextlib
from dataclasses import dataclass

import httpx

from gateway.callers import Scope
from servicekit.errors import InvalidArgument, Unavailable
from tests.support.tenants import key_of
from tests.support.until import until_async
from tests.support.whole_gateway import Served, opened

# Times of files go by steps of 4 ms or so: two within one have no order.
STEP_SECONDS = 0.01
ENDED = {"COMPLETED", "FAILED", "CANCELLED"}


@dataclass
class Door:
    """The JSON surface of a gateway, for one key."""

    served: Served
    http: httpx.AsyncClient

    async def get(self, path, status=200, **more):
        return await self.ask("GET", path, status, **more)

    async def post(self, path, status=200, **more):
        return await self.ask("POST", path, status, **more)

    async def ask(self, method, path, status, headers=None, **more):
        answer = await self.http.request(method, path, headers={"x-api-key": "key", **(headers or {})}, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def upload(self, name, **more):
        await asyncio.sleep(STEP_SECONDS)
        return (await self.ask("PUT", f"/assets/{name}", 200, content=b"bytes", **more))["name"]

    async def ended(self, job):
        async def read():
            found = await self.get(f"/job/{job['id']}")
            return found if found["status"] in ENDED else None

        return await until_async(read)


@contextlib.asynccontextmanager
async def door(tmp_path):
    async with opened(tmp_path) as served, httpx.AsyncClient(base_url=served.http_url, timeout=60) as http:
        yield Door(served, http)


async def test_a_job_tells_where_it_stands_and_what_it_was_asked_for(tmp_path):
    async with door(tmp_path) as found:
        video, subtitles = await found.upload("it's.mp4"), await found.upload("talk.srt")
        found.served.encoder.script = ["hang"]
        asked = {"url_video": video, "url_srt": subtitles, "style": {"preset": "bold"}}
        runs = await found.post("/jobs", json={"caption": asked, "priority": "batch"})

        async def running():
            job = await found.get(f"/job/{runs['id']}")
            return job if job.get("progress", {}).get("framesTotal") else None

        job = await until_async(running)
        assert job["progress"]["framesDone"] == 1
        assert (job["progress"]["secondsLeft"], job["progress"]["phase"]) == (0.1, "ENCODING")
        assert job["inputs"] == [{"field": "url_video", "name": "it's.mp4"}, {"field": "url_srt", "name": "talk.srt"}]
        shown = asked | {"style": {"preset": "PRESET_BOLD"}}
        assert job["request"] == {"operation": {"caption": shown}, "options": {"priority": "batch"}, "inputCount": 2}
        waits = await found.post("/jobs", json={"probe": {"url": video}})
        assert (waits["queued"]["place"], waits["queued"]["phase"]) == (1, "WAITING_FOR_WORKER")
        assert "startsInSeconds" not in waits["queued"]  # no such task was seen yet
        found.served.gateway.components.fleet.estimate_store.task_ended("probe", 8.0, is_rented=False)

        async def estimated():
            job = await found.get(f"/job/{waits['id']}")
            return job if "startsInSeconds" in job["queued"] else None

        # By the frame that is left of what runs.
        assert (await until_async(estimated))["queued"]["startsInSeconds"] == 0
        (listed, other) = (await found.get("/jobs"))["jobs"]
        assert (listed["queued"]["place"], other["progress"]["framesDone"]) == (1, 1)
        assert (listed["inputs"], "progress" in listed, "queued" in other) == (waits["inputs"], False, False)
        for one in (runs, waits):
            await found.post(f"/job/{one['id']}/cancel")
        ended = await found.ended(runs)
        assert ("queued" in ended, "progress" in ended, ended["request"]) == (False, False, job["request"])


async def test_results_are_files_named_after_the_input_and_ended_jobs_are_tried_again(tmp_path):
    async with door(tmp_path) as found:
        video, subtitles = await found.upload("it's.mp4"), await found.upload("talk.srt")
        found.served.encoder.script = [InvalidArgument("no", reason="BAD_INPUT")]
        asked = {"caption": {"url_video": video, "url_srt": subtitles}, "metadata": {"order": "17"}}
        failed = await found.ended(await found.post("/jobs", json=asked))
        assert failed["status"] == "FAILED"
        key = {"idempotency-key": "again"}
        retried = await found.post(f"/job/{failed['id']}/retry", headers=key)
        assert (await found.post(f"/job/{failed['id']}/retry", headers=key))["id"] == retried["id"] != failed["id"]
        done = await found.ended(retried)
        assert (done["status"], done["metadata"], done["inputs"]) == ("COMPLETED", {"order": "17"}, failed["inputs"])
        assert done["request"] == failed["request"] | {"retryOf": failed["id"]}
        blind = {"x-api-key": await key_of(found.served.gateway, "default", {Scope.SUBMIT})}
        told = await found.post(f"/job/{failed['id']}/retry", headers=blind)
        assert told["id"] not in (failed["id"], retried["id"])
        assert told.keys().isdisjoint({"request", "inputs", "metadata"})
        assert "/it%27s-caption.mp4?" in done["output"]["video_url"]
        assert (await found.get(f"/{done['output']['asset']}"))["filename"] == "it's-caption.mp4"
        download = await found.http.get(done["output"]["video_url"])
        assert 'filename="it\'s-caption.mp4"' in download.headers["content-disposition"]
        taken = await found.post(f"/job/{done['id']}/retry", 409, headers=key)
        assert taken["details"][0]["reason"] == "IDEMPOTENCY_KEY_REUSED"
        await found.http.delete(f"/{subtitles}", headers={"x-api-key": "key"})
        gone = await found.post(f"/job/{failed['id']}/retry", 400)
        assert gone["details"][0]["reason"] == "INPUT_GONE"
        assert "url_srt (talk.srt)" in gone["message"]
        gone = await found.post(f"/job/{failed['id']}/retry", 400, headers=blind)
        assert "The input url_srt of job" in gone["message"]
        found.served.encoder.script = ["hang"]
        runs = await found.post("/jobs", json={"probe": {"url": video}})
        refused = await found.post(f"/job/{runs['id']}/retry", 400)
        assert refused["details"][0]["reason"] == "RETRY_REFUSED"


async def test_attempts_and_the_end_of_what_ffmpeg_said_are_told_to_those_who_may_read_the_job(tmp_path):
    async with door(tmp_path) as found:
        video, subtitles = await found.upload("talk.mp4"), await found.upload("talk.srt")
        said = "[mov @ …] moov atom not found\n" * 60
        lost, bad = (
            Unavailable("gone", reason="KILLED", log="killed"),
            InvalidArgument("no", reason="BAD_INPUT", log=said),
        )
        found.served.encoder.script = [lost, bad]
        asked = {"caption": {"url_video": video, "url_srt": subtitles}}
        job = await found.ended(await found.post("/jobs", json=asked))
        first, last = job["attempts"]
        assert (first["outcome"], first["reason"], last["outcome"], last["reason"]) == (
            *("INTERRUPTED", "KILLED"),
            *("FAILED", "BAD_INPUT"),
        )
        assert first["encoder"] == last["encoder"] != ""
        assert first["startTime"] <= first["endTime"] <= last["startTime"] <= last["endTime"] == job["endTime"]
        (log,) = (await found.get(f"/job/{job['id']}/log"))["logs"]
        assert (log["text"], log["task"], log["encoder"]) == (said.strip("\n") + "\n", 0, last["encoder"])
        assert said not in str(job)
        assert "attempts" not in (await found.get("/jobs"))["jobs"][0]
        done = await found.ended(await found.post(f"/job/{job['id']}/retry"))
        assert [one["outcome"] for one in done["attempts"]] == ["COMPLETED"]
        assert (await found.get(f"/jobs/{done['id']}/log"))["logs"] == []
        other = await key_of(found.served.gateway, "other")
        await found.get(f"/job/{job['id']}/log", 404, headers={"x-api-key": other})
        await found.get("/job/" + "0" * 32 + "/log", 404)


async def test_files_are_listed_the_newest_first_by_pages_kinds_and_tenants(tmp_path):
    async with door(tmp_path) as found:
        names = [await found.upload(f"{number}.mp4") for number in range(3)] + [await found.upload("a.png")]
        theirs = {"headers": {"x-api-key": await key_of(found.served.gateway, "two")}}
        foreign = await found.upload("b.png", **theirs)
        page = await found.get("/assets?pageSize=3")
        assert [one["name"] for one in page["assets"]] == names[:0:-1]
        assert (page["assets"][0]["filename"], page["assets"][0]["contentType"]) == ("a.png", "image/png")
        rest = await found.get(f"/assets?pageSize=3&pageToken={page['nextPageToken']}")
        assert [one["name"] for one in rest["assets"]] + [rest["nextPageToken"]] == [names[0], ""]
        for kind, wanted in (("image/png", names[3:]), ("video", names[2::-1]), ("audio", [])):
            assert [one["name"] for one in (await found.get(f"/assets?contentType={kind}"))["assets"]] == wanted
        assert [one["name"] for one in (await found.get("/assets", **theirs))["assets"]] == [foreign]
        assert (await found.get("/assets?tenant=default", **theirs))["assets"] == []
        assert (await found.get("/assets?createdBefore=2020-01-01T00:00:00Z"))["assets"] == []
        await found.get(f"/assets?contentType=video&pageToken={page['nextPageToken']}", 400)
        await found.get("/assets?pageSize=1001", 400)
        await found.http.delete(f"/{names[3]}", headers={"x-api-key": "key"})
        assert [one["name"] for one in (await found.get("/assets"))["assets"]] == names[2::-1]
