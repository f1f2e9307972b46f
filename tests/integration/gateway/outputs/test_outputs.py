"""Results of a whole gateway that are put where they are wanted: once they are, the job is COMPLETED."""

import contextlib

import httpx

from tests.support.hook_receiver import SECRET, HookReceiver
from tests.support.put_receiver import BREAK_OFF, HANG, REFUSE_EARLY, PutReceiver
from tests.support.until import until, until_async
from tests.support.whole_gateway import opened

LOOPBACK = "127.0.0.0/8"
LARGE = b"a" * 3_000_000


@contextlib.asynccontextmanager
async def served(tmp_path, **changes):
    settings = {"fetch_allow_cidrs": LOOPBACK, "webhook_secret": SECRET} | changes
    async with (
        opened(tmp_path, **settings) as gateway,
        httpx.AsyncClient(base_url=gateway.http_url, headers={"X-API-Key": "key"}, timeout=60) as http,
    ):
        yield gateway, http


async def source(http):
    return (await http.put("/assets/a.png", content=b"a picture")).json()["name"]


async def submitted(http, operation, output, **more):
    answer = await http.post("/jobs", json={**operation, "output": output, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


async def job_of(http, job_id):
    return (await http.get(f"/job/{job_id}")).json()


async def ended(http, job_id, seconds=60):
    async def found():
        job = await job_of(http, job_id)
        return job if job["status"] not in ("IN_QUEUE", "IN_PROGRESS") else None

    return await until_async(found, seconds)


async def result_of(http, job):
    return (await http.get(f"/{job['output']['asset']}/content")).content


async def test_a_result_is_put_before_the_job_is_completed_and_then_its_webhook_is_told(tmp_path):
    with PutReceiver(503) as receiver, HookReceiver() as hook:
        async with served(tmp_path) as (_, http):
            output = {"url": receiver.url("film.mp4"), "headers": {"Cache-Control": "no-cache"}}
            picture = await source(http)
            job_id = await submitted(http, {"thumbnail": {"url_video": picture}}, output, webhook_url=hook.url)
            await until(lambda: len(receiver.puts) == 1)

            async def tried():
                found = await job_of(http, job_id)
                return found if found.get("deliveries", [{}])[0].get("attemptCount") else None

            waiting = await until_async(tried)
            assert hook.types == []
            job = await ended(http, job_id)
            await until(lambda: hook.types == ["job.ended"])
            content = await result_of(http, job)
    assert waiting["status"] == "IN_PROGRESS"
    assert waiting["deliveries"][0]["state"] == "PENDING"
    assert "503" in waiting["deliveries"][0]["error"]
    assert waiting["deliveries"][0]["nextAttemptTime"]
    assert job["status"] == "COMPLETED"
    (delivery,) = job["deliveries"]
    assert (delivery["state"], delivery["attemptCount"], delivery["verified"]) == ("DELIVERED", 2, True)
    assert delivery["place"] == receiver.url("film.mp4").partition("?")[0]
    assert "secret" not in str(job)
    assert receiver.stored["/film.mp4"] == content
    assert receiver.puts[0][1]["Cache-Control"] == "no-cache"
    assert receiver.puts[0][1]["Content-Type"]
    assert hook.bodies[0]["data"]["deliveries"] == job["deliveries"]


async def test_a_blocking_call_answers_once_the_result_is_there(tmp_path):
    with PutReceiver() as receiver:
        async with served(tmp_path) as (_, http):
            body = {"url_video": await source(http), "output": {"url": receiver.url("a")}}
            answer = await http.post("/video/thumbnail", json=body)
            assert answer.status_code == 200, answer.text
            assert receiver.paths == ["/a"]


async def test_a_batch_goes_to_a_url_for_each_item(tmp_path):
    with PutReceiver() as receiver:
        async with served(tmp_path) as (_, http):
            picture = await source(http)
            stills = [{"id": name, "image_url": picture, "duracao": 1} for name in "abc"]
            batch = {"img2vid": {"images": stills}}
            urls = [receiver.url(f"{name}.mp4") for name in "abc"]
            job = await ended(http, await submitted(http, batch, {"urls": urls}))
            assert [(one["item"], one["state"]) for one in job["deliveries"]] == [(name, "DELIVERED") for name in "abc"]
            assert sorted(receiver.stored) == ["/a.mp4", "/b.mp4", "/c.mp4"]
            for output in ({"url": urls[0]}, {"urls": urls[:2]}):
                refused = await http.post("/jobs", json={**batch, "output": output})
                assert refused.status_code == 400
                assert "3 results" in refused.json()["message"]


FINAL = [
    (403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", "403 (SignatureDoesNotMatch)"),
    (412, b"<Error><Code>PreconditionFailed</Code></Error>", "something already"),
    (301, b"", "redirects are not followed"),
]


async def test_what_a_receiver_refuses_is_told_and_kept(tmp_path):
    async with served(tmp_path) as (_, http):
        picture = await source(http)
        for status, body, text in FINAL:
            with PutReceiver(status, body=body) as receiver:
                output = {"url": receiver.url("a")}
                job = await ended(http, await submitted(http, {"thumbnail": {"url_video": picture}}, output))
                assert len(receiver.puts) == 1
            (delivery,) = job["deliveries"]
            assert (job["status"], delivery["state"]) == ("COMPLETED", "GIVEN_UP")
            assert text in delivery["error"]
            (warning,) = job["output"]["warnings"]
            assert warning["reason"] == "NOT_DELIVERED"
            assert warning["metadata"] == {"place": delivery["place"]}
            assert await result_of(http, job)


async def test_a_receiver_that_is_cut_or_refuses_early_is_judged_and_one_that_hangs_delays_no_other(tmp_path):
    with PutReceiver(*[HANG] * 20) as hanging, PutReceiver(BREAK_OFF) as cut, PutReceiver(REFUSE_EARLY) as early:
        async with served(tmp_path) as (gateway, http):
            gateway.encoder.script = [LARGE] * 8
            still = {"thumbnail": {"url_video": await source(http)}}
            slow = [await submitted(http, still, {"url": hanging.url(str(number))}) for number in range(6)]
            await until(lambda: len(hanging.puts) == 4)
            refused = await ended(http, await submitted(http, still, {"url": early.url("a")}))
            job = await ended(http, await submitted(http, still, {"url": cut.url("b")}))
            assert "403" in refused["deliveries"][0]["error"]
            assert job["deliveries"][0]["attemptCount"] == 2
            assert cut.stored["/b"] == LARGE
            assert len(hanging.puts) == 4
            assert (await http.post(f"/job/{slow[0]}/cancel")).status_code == 200
            assert (await job_of(http, slow[0]))["status"] == "CANCELLED"


REFUSED = [
    ({"url": "ftp://example.org/"}, "output.url"),
    ({"url": "http://user:secret@127.0.0.1/"}, "output.url"),
    ({"url": "http://10.1.2.3/"}, "output.url"),
    ({"url": "http://127.0.0.1/", "urls": ["http://127.0.0.1/"]}, "output.url"),
    ({"urls": ["http://127.0.0.1/"] * 5}, "output.urls"),
    ({"urls": ["http://10.1.2.3/"]}, "output.urls[0]"),
    ({"headers": {"a": "b"}}, "output.url"),
    ({"url": "http://127.0.0.1/", "headers": {"a": "b\r\nc: d"}}, "output.headers.a"),
    ({"url": "http://127.0.0.1/", "headers": {"a b": "c"}}, "output.headers.a b"),
    ({"url": "http://127.0.0.1/", "headers": {"Transfer-Encoding": "chunked"}}, "output.headers.Transfer-Encoding"),
    ({"url": "http://127.0.0.1/", "headers": {"a": "b" * 5000}}, "output.headers"),
    ({"url": "s3://media/a.mp4"}, "output.url"),
    ({"url": "s3://media/a.mp4", "headers": {"X-Amz-Security-Token": "x"}}, "output.headers"),
    ({"url": "s3://media/a.mp4", "headers": {"authorization": "x"}}, "output.headers"),
    ({"url": "s3://A/a.mp4"}, "output.url"),
]


async def test_what_can_be_no_output_is_refused_by_its_field(tmp_path):
    async with served(tmp_path) as (_, http):
        still = {"thumbnail": {"url_video": await source(http)}}
        for output, field in REFUSED:
            answer = await http.post("/jobs", json={**still, "output": output})
            assert answer.status_code == 400, (output, answer.text)
            assert answer.json()["message"].startswith(f"{field}: "), answer.text
        body = {"probe": {"url": await source(http)}, "output": {"url": "http://127.0.0.1/"}}
        answer = await http.post("/jobs", json=body)
        assert (answer.status_code, "makes no file" in answer.text) == (400, True), answer.text
        assert (await http.get("/jobs")).json()["jobs"] == []
