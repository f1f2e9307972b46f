"""Webhooks of a whole gateway: what is sent and when, signed, tried again, seen, and sent anew."""

import base64
import contextlib

import httpx
from standardwebhooks import Webhook

from tests.support.hook_receiver import SECRET, HookReceiver
from tests.support.until import until, until_async
from tests.support.whole_gateway import opened

LOOPBACK = "127.0.0.0/8"
OTHER = "whsec_" + base64.b64encode(b"another secret of thirty-two byt").decode()
ALL = ["job.queued", "job.started", "job.item", "job.ended"]


@contextlib.asynccontextmanager
async def served(tmp_path, **changes):
    settings = {"fetch_allow_cidrs": LOOPBACK, "webhook_secret": f"{OTHER}, {SECRET}"} | changes
    async with (
        opened(tmp_path, **settings) as gateway,
        httpx.AsyncClient(base_url=gateway.http_url, headers={"X-API-Key": "key"}, timeout=60) as http,
    ):
        yield gateway, http


async def image(http):
    return (await http.put("/assets/a.png", content=b"a picture")).json()["name"]


async def submitted(http, body, path="/jobs"):
    answer = await http.post(path, json=body, headers={"Prefer": "respond-async"})
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


async def told(http, job_id):
    return (await http.get(f"/job/{job_id}/webhooks")).json()


async def test_what_happens_to_a_job_is_told_once_signed_and_with_its_result(tmp_path):
    with HookReceiver() as receiver:
        async with served(tmp_path) as (_, http):
            source = await image(http)
            stills = [{"id": name, "image_url": source, "duracao": 1} for name in "ab"]
            said = {"webhook_url": receiver.url, "webhook_events": ALL, "metadata": {"order": 17, "who": "Ana"}}
            job = await submitted(http, {"img2vid": {"images": stills}, **said})
            assert job["metadata"] == {"order": "17", "who": "Ana"}
            await until(lambda: "job.ended" in receiver.types)
            seen = await told(http, job["id"])
            await until(lambda: len(receiver.calls) == 5)
            got = (await http.get(f"/job/{job['id']}")).json()
            listed = (await http.get("/jobs")).json()["jobs"]
    assert sorted(receiver.types) == sorted([*ALL, "job.item"])
    assert len(set(receiver.ids)) == 5
    assert receiver.all_signed(SECRET)
    assert receiver.all_signed(OTHER)
    headers, body = receiver.calls[0]
    Webhook(SECRET).verify(body, headers)
    assert (got["metadata"], listed[0]["metadata"]) == (job["metadata"], job["metadata"])
    ended = next(body for body in receiver.bodies if body["type"] == "job.ended")["data"]
    for name in ("id", "status", "operation", "metadata", "createTime", "endTime", "processed"):
        assert ended[name] == got[name]
    links = [video["video_url"].partition("?")[0] for video in ended["output"]["videos"]]
    assert links == [video["video_url"].partition("?")[0] for video in got["output"]["videos"]]
    items = [body["item"]["id"] for body in receiver.bodies if body["type"] == "job.item"]
    assert sorted(items) == ["a", "b"]
    assert all("output" not in body["data"] for body in receiver.bodies if body["type"] != "job.ended")
    assert [entry["type"] for entry in seen["deliveries"]].count("job.item") == 2


async def test_a_receiver_that_fails_is_called_again_and_one_that_hangs_delays_no_other(tmp_path):
    with HookReceiver(*[-1] * 20) as hanging, HookReceiver(500, 302) as failing, HookReceiver() as well:
        async with served(tmp_path) as (_, http):
            source = await image(http)
            for url in [hanging.url] * 6:
                await submitted(http, {"url_video": source, "webhook_url": url}, "/video/thumbnail")
            await until(lambda: len(hanging.calls) == 4)
            direct = await http.post("/video/thumbnail", json={"url_video": source, "webhook_url": well.url})
            assert direct.status_code == 200
            await until(lambda: well.types == ["job.ended"])
            job = await submitted(http, {"thumbnail": {"url_video": source}, "webhook_url": failing.url})
            await until(lambda: len(failing.calls) == 3, 60)
            seen = await until_delivered(http, job["id"])
            assert [attempt["httpStatus"] for attempt in seen["attempts"]] == [500, 302, 204]
            assert set(failing.ids) == {seen["webhook_id"]}
            again = await http.post(f"/job/{job['id']}/webhooks/redeliver", json={})
            assert [one["webhook_id"] for one in again.json()["deliveries"]] == [seen["webhook_id"]]
            await until(lambda: len(failing.calls) == 4)
            assert set(failing.ids) == {seen["webhook_id"]}
            no_such = await http.post(f"/job/{job['id']}/webhooks/redeliver", json={"webhook_id": "msg_none"})
            assert no_such.status_code == 404
            assert len(hanging.calls) <= 8


async def until_delivered(http, job_id):
    async def delivered():
        found = (await told(http, job_id))["deliveries"][0]
        return found if found["state"] == "DELIVERED" else None

    return await until_async(delivered)


REFUSED = [
    ({"webhook_url": "ftp://example.org/"}, "webhook_url"),
    ({"webhook_url": "not a URL"}, "webhook_url"),
    ({"webhook_url": "http://user:secret@127.0.0.1/"}, "webhook_url"),
    ({"webhook_url": "http://10.1.2.3/"}, "webhook_url"),
    ({"webhook_url": "http://[::1]/"}, "webhook_url"),
    ({"webhook_url": "http://127.0.0.1/", "webhook_events": ["job.ende"]}, "webhook_events"),
    ({"webhook_events": ["job.ended"]}, "webhook_url"),
    ({"metadata": {"a" * 65: "b"}}, "metadata."),
    ({"metadata": {"a": "b" * 513}}, "metadata.a"),
    ({"metadata": {str(n): "b" for n in range(51)}}, "metadata"),
    ({"metadata": {str(n): "b" * 500 for n in range(20)}}, "metadata"),
]


async def test_what_cannot_be_told_is_refused_by_its_field(tmp_path):
    async with served(tmp_path, fetch_allow_cidrs="127.0.0.2/32") as (_, http):
        for said, field in REFUSED:
            answer = await http.post("/jobs", json={"thumbnail": {"url_video": "https://a/b.mp4"}, **said})
            assert (answer.status_code, answer.json()["message"].startswith(field)) == (400, True), answer.text
            body = {"url_video": "https://a/b", "url_audio": "https://a/c", **said}
            answer = await http.post("/gpu/video/addaudio", json=body)
            assert (answer.status_code, answer.json()["message"].startswith(field)) == (400, True), answer.text
        assert (await http.get("/jobs")).json()["jobs"] == []
