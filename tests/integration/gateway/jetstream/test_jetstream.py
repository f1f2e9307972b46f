"""The store and the queue, on a real nats-server."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import nats
import psutil
import pytest

from gateway.jetstream.connection import JetStream
from servicekit.config import ConfigError
from servicekit.errors import Aborted, Unavailable
from servicekit.tasks import cancel_and_wait
from tests.support.processes import alive
from tests.support.until import until_async, until_sync, within


async def test_a_record_is_changed_only_at_the_revision_that_was_read(jetstream):
    records = await jetstream.key_value("jobs")
    first = await records.create("a", b"1")
    with pytest.raises(Aborted):
        await records.create("a", b"2")
    second = await records.update("a", b"2", first)
    with pytest.raises(Aborted):
        await records.update("a", b"3", first)
    assert await records.get("a") == (b"2", second)
    assert await records.get("b") is None


async def test_a_watch_tells_what_is_and_what_comes_and_outlives_the_server(jetstream):
    records = await jetstream.key_value("jobs")
    await records.create("a", b"1")
    seen, ready = [], asyncio.Event()
    watching = asyncio.create_task(records.watch(lambda key, value, revision: seen.append((key, value)), ready))
    await within(ready.wait())
    assert seen == [("a", b"1")]
    kill_server(jetstream)
    await until_async(lambda: create_succeeds(records, "b"))
    await until_async(lambda: told(seen, ("b", b"2")))
    watching.cancel()


class HastyBucket:
    """A bucket whose watches say that they are through before the first entry has come, as those of the client library
    do when it was slow to read."""

    def __init__(self, bucket):
        self.bucket = bucket

    async def watchall(self):
        return HastyWatch(await self.bucket.watchall())


class HastyWatch:
    def __init__(self, watch):
        self.watch, self.stop = watch, watch.stop

    async def __aiter__(self):
        yield None
        async for entry in self.watch:
            await asyncio.sleep(0.1)
            yield entry


async def test_a_watch_is_ready_once_all_that_there_was_has_come(jetstream):
    records = await jetstream.key_value("jobs")
    for number in range(3):
        await records.create(f"key{number}", b"1")
    await records.delete("key1")
    seen, ready = set(), asyncio.Event()
    hasty = dataclasses.replace(records, bucket=HastyBucket(records.bucket))
    watching = asyncio.create_task(hasty.watch(lambda key, value, revision: seen.add(key), ready))
    await within(ready.wait())
    assert seen == {"key0", "key2"}
    await cancel_and_wait(watching)


async def test_a_watch_outlives_a_record_that_cannot_be_taken_in(jetstream):
    records = await jetstream.key_value("jobs")
    await records.create("a", b"1")
    await records.create("b", b"2")
    seen, ready = [], asyncio.Event()

    def changed(key, value, revision):
        seen.append(key)
        if key == "a":
            raise RuntimeError("unforeseen")

    watching = asyncio.create_task(records.watch(changed, ready))
    await within(ready.wait())
    await records.create("c", b"3")
    await until_async(lambda: told(seen, "c"))
    assert seen == ["a", "b", "c"]
    watching.cancel()


async def test_the_same_task_is_queued_once(jetstream):
    queue = await jetstream.queue("tasks", ack_wait_seconds=10)
    assert await queue.put("job.0") is True
    assert await queue.put("job.0") is False
    assert await queue.put("job.1") is True
    delivery = await queue.next()
    assert delivery.key == "job.0"
    assert await queue.put("job.0") is False
    await delivery.ack()
    assert await queue.put("job.0") is True


async def test_a_task_that_could_not_be_stored_does_not_pass_for_queued(jetstream):
    queue = await jetstream.queue("task", ack_wait_seconds=10)
    other = await nats.connect(jetstream.server.url)
    config = (await other.jetstream().stream_info("TASK")).config
    config.max_bytes = 1
    await other.jetstream().update_stream(config)
    await other.close()
    with pytest.raises(Unavailable) as caught:
        await queue.put("job.0")
    assert "maximum bytes exceeded" in str(caught.value.__cause__)


async def test_a_message_of_a_silent_worker_comes_back_and_of_a_beating_one_does_not(jetstream):
    queue = await jetstream.queue("tasks", ack_wait_seconds=3)
    await queue.put("job.0")
    first = await queue.next()
    async with first.keep_alive():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.next(), 6.5)
    again = await within(queue.next())
    assert again.key == "job.0"
    await again.ack()


async def test_the_acknowledge_wait_of_the_last_start_counts(jetstream):
    await jetstream.queue("tasks", ack_wait_seconds=60)
    queue = await jetstream.queue("tasks", ack_wait_seconds=1)
    await queue.put("job.0")
    await queue.next()
    assert (await within(queue.next())).key == "job.0"


async def test_a_deleted_record_is_gone_and_can_be_made_again(jetstream):
    records = await jetstream.key_value("jobs")
    await records.create("a", b"1")
    await records.delete("a")
    assert await records.get("a") is None
    await records.create("a", b"2")


async def test_a_list_of_servers_is_tried_in_turn(jetstream, tmp_path, unused_tcp_port):
    urls = f"nats://127.0.0.1:{unused_tcp_port}, {jetstream.server.url}"
    other = await JetStream.open(urls, tmp_path / "other", connect_seconds=60)
    await (await other.key_value("jobs")).create("a", b"1")
    await other.close()


@contextlib.asynccontextmanager
async def swallowing(url):
    """A relay to the server: its URL, and what makes all its connections swallow what they are sent."""
    server, passing, writers = urlsplit(url), set(), []

    async def passed(source, sink):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()

    async def accept(reader, writer):
        far_reader, far_writer = await asyncio.open_connection(server.hostname, server.port)
        writers.extend((writer, far_writer))
        passing.update(asyncio.create_task(passed(*way)) for way in ((reader, far_writer), (far_reader, writer)))

    async def swallow():
        await cancel_and_wait(*passing)
        passing.clear()

    relay = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield url.replace(f":{server.port}", f":{relay.sockets[0].getsockname()[1]}"), swallow
    relay.close()
    await swallow()
    for writer in writers:
        writer.transport.abort()


@pytest.mark.parametrize("unsent", [0, 16])
async def test_a_server_that_falls_silent_is_connected_to_again(jetstream, tmp_path, unsent):
    """Also when the old socket, which takes no more, has MiB left to send."""
    async with swallowing(jetstream.server.url) as (url, swallow):
        other = await JetStream.open(url, tmp_path / "other", connect_seconds=60, ping_seconds=0.2)
        records, again = await other.key_value("jobs"), asyncio.Event()
        await records.create("a", b"1")
        other.on_reconnect.append(again.set)
        await swallow()
        sending = [asyncio.create_task(other.publish("topic", bytes((1 << 20) - 1))) for _ in range(unsent)]
        await within(again.wait())
        assert (await records.get("a")).value == b"1"
        await cancel_and_wait(*sending)
        await other.close()


async def test_a_connection_that_the_server_ends_for_good_is_noticed(jetstream):
    with contextlib.suppress(Exception):
        async with jetstream.subscribe("a" * 5000, lambda topic, data: None):
            await within(jetstream.lost.wait())
    assert jetstream.lost.is_set()


async def test_a_message_given_back_comes_again_at_once(jetstream):
    queue = await jetstream.queue("tasks", ack_wait_seconds=30)
    await queue.put("job.0")
    await (await queue.next()).give_back()
    assert (await within(queue.next())).key == "job.0"


async def test_what_was_acknowledged_survives_a_kill_of_the_server(jetstream):
    queue = await jetstream.queue("tasks", ack_wait_seconds=1)
    records = await jetstream.key_value("jobs")
    await records.create("a", b"kept")
    await queue.put("job.0")
    kill_server(jetstream)
    assert (await within(queue.next())).key == "job.0"
    assert (await records.get("a")).value == b"kept"


async def test_a_cancel_is_heard_whenever_it_comes(jetstream):
    records, queue = await jetstream.key_value("records"), await jetstream.queue("task", 30)
    await records.create("a", b"1")

    async def taken():
        await queue.put("job.0")
        return await queue.next()

    for asking in (lambda: records.get("a"), lambda: records.put("a", b"2"), taken):
        for steps in range(60):  # of the event loop: before, within and after the moment of the answer
            task = asyncio.create_task(asking())
            for _ in range(steps):
                await asyncio.sleep(0)
            had_ended = task.done()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert task.cancelled() or had_ended
            await asyncio.sleep(0.001)


async def test_announcements_reach_whoever_listens(jetstream):
    heard = asyncio.Queue()
    async with jetstream.subscribe("progress.a.*", lambda topic, data: heard.put_nowait((topic, data))):
        await jetstream.publish("progress.b.0", b"other")
        await jetstream.publish("progress.a.0", b"mine")
        assert await within(heard.get()) == ("progress.a.0", b"mine")


async def test_two_gateways_cannot_share_a_folder(jetstream, tmp_path):
    with pytest.raises(ConfigError, match="another gateway uses"):
        await JetStream.open("", tmp_path / "nats", connect_seconds=5)


async def test_a_server_that_does_not_answer_is_named_without_its_password(unused_tcp_port):
    url = f"nats://user:secret@127.0.0.1:{unused_tcp_port}"
    with pytest.raises(ConfigError, match=f"NATS_URL=127.0.0.1:{unused_tcp_port}") as caught:
        await JetStream.open(url, None, connect_seconds=0.5)
    assert "secret" not in str(caught.value)


def test_the_server_dies_with_its_gateway_even_when_that_is_killed(tmp_path):
    code = (
        "import asyncio, sys; from pathlib import Path; from gateway.jetstream.connection import JetStream\n"
        "async def main():\n"
        f"    jetstream = await JetStream.open('', Path({str(tmp_path)!r}), 60)\n"
        "    print(jetstream.server.pid, flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as gateway:
        server = psutil.Process(int(gateway.stdout.readline()))
        assert server.name() == "nats-server"
        os.kill(gateway.pid, signal.SIGKILL)
        gateway.wait()
    until_sync(lambda: not alive(server))


def kill_server(jetstream):
    os.kill(jetstream.server.pid, signal.SIGKILL)


async def create_succeeds(records, key):
    try:
        await records.create(key, b"2")
    except Aborted:
        return True
    except Exception:
        return False
    return True


async def told(seen, entry):
    return entry in seen
