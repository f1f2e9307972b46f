"""A gateway as it is wired, by HTTP: going on where one stopped, waiting for a while, parts of files, forms."""

import asyncio
import contextlib
import hashlib
import json

import httpx

from tests.support.missing import need
from tests.support.until import until, within
from tests.support.whole_gateway import opened

DATA = bytes(range(256)) * 5000
TAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
SSE = {"accept": "text/event-stream"}


@contextlib.asynccontextmanager
async def served(tmp_path, **changes):
    """A gateway, and a client with its key."""
    async with (
        opened(tmp_path, **changes) as gateway,
        httpx.AsyncClient(base_url=gateway.http_url, headers={"x-api-key": "key"}, timeout=60) as http,
    ):
        yield gateway, http


async def batch(http, count):
    """The body of a request for so many clips."""
    name = (await http.put("/assets/a.png", content=b"picture")).raise_for_status().json()["name"]
    return {"images": [{"id": f"i{n}", "image_url": name, "duracao": 1} for n in range(count)]}


def events(text):
    """Of a text of server-sent events: the id and the JSON of each."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        found.append((lines["id"], json.loads(lines["data"])["result"]))
    return found


async def test_a_page_token_that_is_not_of_this_list_is_refused(tmp_path):
    async with served(tmp_path) as (gateway, http):
        gateway.encoder.script = ["hang"]
        body = await batch(http, 1)
        for _ in range(3):
            (await http.post("/jobs", json={"img2vid": body})).raise_for_status()
        first = (await http.get("/jobs?pageSize=2")).json()
        second = (await http.get("/jobs", params={"pageToken": first["nextPageToken"]})).json()
        assert [len(page["jobs"]) for page in (first, second)] == [2, 1]
        assert not second["nextPageToken"]
        for wrong in ({"pageToken": "x"}, {"pageToken": first["jobs"][0]["id"]}, {"status": "FAILED"}):
            answer = await http.get("/jobs", params={"pageToken": first["nextPageToken"], **wrong})
            assert (answer.status_code, answer.json()["status"]) == (400, "INVALID_ARGUMENT")
            assert answer.json()["details"][0]["reason"] == "BAD_PAGE_TOKEN"


async def test_a_watch_goes_on_where_it_stopped_and_ends_for_good(tmp_path):
    async with served(tmp_path) as (gateway, http):
        hold = asyncio.Event()
        gateway.encoder.script = [None, None, hold.wait]
        job = (await http.post("/jobs", json={"img2vid": await batch(http, 3)})).raise_for_status().json()["id"]
        await until(lambda: gateway.encoder.tasks == 3)
        path = f"/job/{job}/watch"
        async with http.stream("GET", path, headers=SSE) as answer:
            told = ""
            async for text in answer.aiter_text():
                told += text
                if told.count('"item"') == 2 and told.endswith("\n\n"):
                    break
        hold.set()
        again = await http.get(path, headers={**SSE, "last-event-id": events(told)[-1][0]})
        kinds = [next(iter(result)) for _, result in events(again.text)]
        assert (kinds.count("item"), kinds[-1]) == (1, "finished")
        last = events(again.text)[-1][0]
        over = await http.get(path, headers={**SSE, "last-event-id": last})
        assert (over.status_code, over.content) == (204, b"")
        anew = await http.get(path, headers={**SSE, "last-event-id": "of another job"})
        assert [next(iter(result)) for _, result in events(anew.text)] == ["item"] * 3 + ["finished"]
        lines = (await http.get(path, params={"last_event_id": last})).text
        assert lines == ""


async def test_a_wait_ends_with_the_job_or_with_its_time(tmp_path):
    async with served(tmp_path) as (gateway, http):
        hold = asyncio.Event()
        gateway.encoder.script = [hold.wait]
        body = await batch(http, 1)
        waiting = {"prefer": "wait=1"}
        early = await http.post("/video/img2vid", json=body, headers=waiting)
        assert (early.status_code, early.headers["preference-applied"]) == (202, "wait=1")
        job = early.json()
        assert (early.headers["location"], job["status"]) == (f"/job/{job['id']}", "IN_PROGRESS")
        still = await http.get(early.headers["location"], headers=waiting)
        assert (still.json()["status"], still.headers["preference-applied"]) == ("IN_PROGRESS", "wait=1")
        long = asyncio.create_task(http.get(early.headers["location"], headers={"prefer": "wait=60"}))
        hold.set()
        done = await within(long)
        assert (done.json()["status"], done.headers["preference-applied"]) == ("COMPLETED", "wait=60")
        direct = await http.post("/video/img2vid", json=body, headers={"prefer": "respond-async, wait=60"})
        assert (direct.status_code, direct.headers["preference-applied"]) == (200, "wait=60")
        assert direct.json()["message"] == "Images converted to videos successfully"
        submitted = await http.post("/jobs", json={"img2vid": body}, headers={"prefer": "wait=60"})
        assert submitted.json()["status"] == "COMPLETED"
        wrong = await http.get(f"/job/{job['id']}?wait_seconds=301")
        assert (wrong.status_code, wrong.json()["details"][1]["reason"]) == (400, "BAD_FIELD")


async def test_a_job_that_stands_still_is_not_sent_twice(tmp_path):
    async with served(tmp_path) as (_, http):
        job = (await http.post("/jobs", json={"img2vid": await batch(http, 1)}, headers={"prefer": "wait=60"})).json()
        first = await http.get(f"/job/{job['id']}")
        assert "signature=" in first.text
        again = await http.get(f"/job/{job['id']}", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


RANGES = [
    ("bytes=0-9", 206, DATA[:10], f"bytes 0-9/{len(DATA)}"),
    ("bytes=100-", 206, DATA[100:], f"bytes 100-{len(DATA) - 1}/{len(DATA)}"),
    ("bytes=-5", 206, DATA[-5:], f"bytes {len(DATA) - 5}-{len(DATA) - 1}/{len(DATA)}"),
    (f"bytes=700000-{len(DATA) * 2}", 206, DATA[700_000:], f"bytes 700000-{len(DATA) - 1}/{len(DATA)}"),
    ("bytes=0-1,5-6", 200, DATA, None),
    ("bytes=5-1", 200, DATA, None),
    ("lines=1-2", 200, DATA, None),
]


async def test_parts_of_a_file_by_key(tmp_path):
    async with served(tmp_path, max_transfers=1) as (gateway, http):
        name = (await http.put("/assets/a.mp4", content=DATA)).raise_for_status().json()["name"]
        path = f"/{name}/content"
        for wanted, status, content, where in RANGES:
            answer = await http.get(path, headers={"range": wanted})
            assert (answer.status_code, answer.content == content) == (status, True), wanted
            assert answer.headers.get("content-range") == where
            assert (answer.headers["etag"], answer.headers["accept-ranges"]) == (TAG, "bytes")
            await until(lambda: gateway.gateway.components.transfers.free == 1)
        beyond = await http.get(path, headers={"range": f"bytes={len(DATA)}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(DATA)}")
        for held, status in ((TAG, 206), ('"other"', 200)):
            answer = await http.get(path, headers={"range": "bytes=0-9", "if-range": held})
            assert answer.status_code == status
        same = await http.get(path, headers={"if-none-match": f'"x", {TAG}'})
        assert (same.status_code, same.content) == (304, b"")
        head = await http.head(path)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(DATA)), b"")
        by_parameters = await http.get(path, params={"offset": 10, "length": 5})
        assert (by_parameters.status_code, by_parameters.content) == (200, DATA[10:15])
        wrong = await http.get(path, params={"length": -1})
        assert wrong.status_code == 400


async def test_a_form_of_curl(tmp_path):
    need("curl")
    (tmp_path / "my talk.mp4").write_bytes(DATA)
    async with served(tmp_path) as (gateway, http):
        command = ["curl", "-s", "-H", "X-API-Key: key", "-F", f"file=@{tmp_path}/my talk.mp4"]
        url = f"{gateway.http_url}/assets/"
        process = await asyncio.create_subprocess_exec(*command, url, stdout=asyncio.subprocess.PIPE)
        asset = json.loads((await within(process.communicate()))[0])
        assert (asset["filename"], asset["sha256"]) == ("my talk.mp4", hashlib.sha256(DATA).hexdigest())
        assert (await http.get(f"/{asset['name']}/content")).content == DATA
