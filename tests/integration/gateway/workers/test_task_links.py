"""The links of a task: what workers may read and put, and for how long."""

import asyncio
import contextlib
import socket
from dataclasses import replace

import pytest

from gateway.sources.outline import MIN_BYTES, TAIL_BYTES
from gateway.sources.versions import version_of
from gateway.workers.tickets import AttemptTicket
from servicekit.chunks import HEAD_BYTES, HOLE, Hole
from tests.integration.gateway.workers.conftest import MAX_BYTES, RESULT, digest, fetched, plain, put
from tests.support.web_server import Web, answer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def made(stage):
    """Makes a task with a ticket: the job, its ticket, its links."""

    async def make(*sources):
        job = await stage.job(*sources)
        ticket = AttemptTicket.new(job)
        await stage.tickets.issue(job.id, ticket)
        return job, ticket, await stage.task_links.remote_task(job, ticket)

    return make


async def test_inputs_are_streamed_from_assets_and_from_the_web(stage, made):
    _, _, inner = await made(await stage.asset(b"abc"))
    _, _, task = await made(inner.input_urls[0].replace("localhost", "127.0.0.1"), await stage.asset(b"subtitles"))
    first, second = [await fetched(url) for url in task.input_urls]
    assert (second.status_code, second.content, second.headers["content-length"]) == (200, b"subtitles", "9")
    # The first one was of a ticket that this one has replaced.
    assert (first.status_code, first.json()["status"]) == (404, "NOT_FOUND")
    assert first.json()["message"].startswith("url_video: ")


async def test_an_input_that_may_be_an_outline_is_one_where_it_is_large(stage):
    large, small = bytes(MIN_BYTES // 2) + b"x" * (MIN_BYTES // 2), b"small"
    job = await stage.job(await stage.asset(large), await stage.asset(small))
    job = replace(job, inputs=[replace(entry, is_outline=True) for entry in job.inputs])
    ticket = AttemptTicket.new(job)
    await stage.tickets.issue(job.id, ticket)
    task = await stage.task_links.remote_task(job, ticket)
    assert [entry.is_outline for entry in task.task.inputs] == [True, True]
    outline, whole = [await fetched(url) for url in task.input_urls]
    assert outline.content == large[:HEAD_BYTES] + large[-TAIL_BYTES:]
    assert outline.headers[HOLE] == str(Hole(HEAD_BYTES, len(large) - TAIL_BYTES))
    assert (whole.content, HOLE in whole.headers) == (small, False)


async def test_which_version_of_a_source_was_opened_is_noted_for_the_tasks_that_follow(stage):
    web = Web({"/v": answer(b"video", ETag='"one"')})
    async with await asyncio.start_server(web.handle, "127.0.0.1", 0) as server:
        web.port = server.sockets[0].getsockname()[1]
        job = await stage.job(web.url("/v"), await stage.asset())
        job = replace(job, inputs=[replace(entry, is_outline=True) for entry in job.inputs])
        ticket = AttemptTicket.new(job)
        await stage.tickets.issue(job.id, ticket)
        task = await stage.task_links.remote_task(job, ticket)
        assert [(await fetched(url)).status_code for url in task.input_urls] == [200, 200]
    # The run is noted by a gateway that has not seen that yet.
    await stage.tickets.note_run(job.id, ticket, "run")
    found = await stage.tickets.get(job.id)
    assert (found.run_id, found.versions) == ("run", ((web.url("/v"), version_of('"one"', "")),))


async def test_an_input_that_cannot_be_read_says_which_field_it_is(stage, made):
    _, _, task = await made("http://10.1.2.3/private", await stage.asset(b""))
    private, blank = [(await fetched(url)).json() for url in task.input_urls]
    assert (private["status"], blank["status"]) == ("PERMISSION_DENIED", "INVALID_ARGUMENT")
    assert private["details"][-1]["fieldViolations"][0]["field"] == "url_video"
    assert blank["message"].startswith("url_srt: the file is empty")


async def test_a_result_is_stored_under_the_id_that_was_promised_and_may_be_put_again(stage, made):
    _, ticket, task = await made()
    assert [(await put(task.result_url)).status_code for _ in range(2)] == [204, 204]
    assert await stage.content(ticket.asset_id) == RESULT
    other = await put(task.result_url, b"another one")
    assert (other.status_code, await stage.content(ticket.asset_id)) == (409, RESULT)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"content-digest": "sha-256=:AAAA:"}, 400),
        ({"content-digest": digest(b"something else")}, 500),
    ],
)
async def test_a_result_without_its_digest_or_with_another_is_refused(stage, made, headers, status):
    _, _, task = await made()
    before = await stage.stored()
    async with plain() as http:
        refused = await http.put(task.result_url, content=RESULT, headers=headers)
    assert (refused.status_code, await stage.stored()) == (status, before)
    assert (await put(task.result_url)).status_code == 204


async def test_a_result_without_its_length_or_over_the_limit_is_refused(made):
    _, _, task = await made()

    async def body():
        yield RESULT

    async with plain() as http:
        chunked = await http.put(task.result_url, content=body(), headers={"content-digest": digest(RESULT)})
    assert (chunked.status_code, (await put(task.result_url, bytes(MAX_BYTES + 1))).status_code) == (400, 413)


async def test_head_tells_whether_the_task_is_still_waited_for(stage, made):
    job, ticket, task = await made()
    async with plain() as http:
        assert (await http.head(task.result_url)).status_code == 204
        await stage.tickets.drop(job.id, ticket)
        assert (await http.head(task.result_url)).status_code == 410
        assert (await http.get(task.input_urls[0])).status_code == 410
        assert (await http.delete(task.result_url)).status_code == 405


async def test_a_result_that_comes_while_the_try_ends_is_not_kept(stage, made):
    job, ticket, task = await made()
    begun, before = asyncio.Event(), await stage.stored()

    async def body():
        yield RESULT[:10]
        begun.set()
        await stage.tickets.drop(job.id, ticket)
        yield RESULT[10:]

    headers = {"content-digest": digest(RESULT), "content-length": str(len(RESULT))}
    async with plain() as http:
        late = await http.put(task.result_url, content=body(), headers=headers)
    assert (late.status_code, await stage.stored()) == (410, before)


async def test_of_two_workers_with_the_same_ticket_the_first_result_stays(stage, made):
    _, ticket, task = await made()

    async def body():
        yield b"first"
        second = await put(task.result_url)
        assert (second.status_code, second.json()["details"][0]["reason"]) == (503, "RESULT_COMING")
        yield b" one"

    headers = {"content-digest": digest(b"first one"), "content-length": "9"}
    async with plain() as http:
        first = await http.put(task.result_url, content=body(), headers=headers)
    assert (first.status_code, (await put(task.result_url)).status_code) == (204, 409)
    assert await stage.content(ticket.asset_id) == b"first one"


async def test_links_take_a_place_among_the_transfers(stage, made):
    _, _, task = await made()
    async with contextlib.AsyncExitStack() as places:
        for number in range(4):
            await places.enter_async_context(stage.door.transfers.acquire(str(number)))
        busy = [await fetched(task.input_urls[0]), await put(task.result_url)]
        async with plain() as http:
            assert (await http.head(task.result_url)).status_code == 204
    assert [answer.status_code for answer in busy] == [429, 429]
    assert [(await fetched(task.input_urls[0])).status_code, (await put(task.result_url)).status_code] == [200, 204]


async def test_whoever_has_links_to_files_cannot_keep_results_out(stage, made):
    _, _, task = await made()
    asset = await stage.assets.describe((await stage.asset(bytes(MAX_BYTES))).removeprefix("assets/"))
    path = stage.links.sign_file(asset.id, "a.bin")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", int(stage.url.rpartition(":")[2])))
        slow.sendall(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        assert (await asyncio.to_thread(slow.recv, 12)) == b"HTTP/1.1 200"
        assert (await fetched(stage.url + path)).status_code == 429  # it has the only place
        assert (await put(task.result_url)).status_code == 204
        assert (await fetched(task.input_urls[0])).status_code == 200


async def test_links_of_others_changed_links_and_old_links_do_not_open(stage, made):
    job, ticket, task = await made()
    forged = [
        task.input_urls[0].replace("/inputs/0", "/inputs/1"),
        task.result_url.replace("expires=", "expires=9"),
        task.result_url.replace(ticket.id, "a" * 26),
        task.result_url.partition("?")[0],
    ]
    assert [(await fetched(url) if "inputs" in url else await put(url)).status_code for url in forged] == [403] * 4
    expired = stage.url + stage.links.sign(f"/tasks/{job.id}/{ticket.id}/result", -1)
    answer = await put(expired)
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (403, "LINK_EXPIRED")


async def test_a_ticket_of_a_later_try_closes_the_links_of_the_one_before(stage, made):
    _, _, old = await made()
    _, _, new = await made()
    assert [(await put(task.result_url)).status_code for task in (old, new)] == [410, 204]


async def test_further_results_are_put_with_their_names_and_types(stage):
    job = replace(await stage.job(), max_files=2)
    ticket = AttemptTicket.new(job)
    await stage.tickets.issue(job.id, ticket)
    task = await stage.task_links.remote_task(job, ticket)
    assert len(task.file_urls) == 2
    named = {"content-type": "text/vtt", "content-disposition": 'attachment; filename="sprites.vtt"'}
    for _ in range(2):  # the same again is no fault
        assert (await put(task.file_urls[0], b"WEBVTT", **named)).status_code == 204
    assert (await put(task.result_url, RESULT, **{"content-type": "image/png"})).status_code == 204
    first, further = [await stage.assets.describe(asset_id) for asset_id in ticket.result_ids[:2]]
    assert (first.filename, first.content_type) == ("caption.png", "image/png")
    assert (further.filename, further.content_type) == ("sprites.vtt", "text/vtt")
    assert len({*ticket.result_ids}) == 3
