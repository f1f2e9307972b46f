"""ByteStream: writes at an offset, their status, takeovers; reads."""

import asyncio
import contextlib
import hashlib
import os
import time
import uuid

import grpc
import pytest
from google.bytestream.bytestream_pb2 import QueryWriteStatusRequest, ReadRequest, WriteRequest

from gateway.assets.bucket import Bucket
from gateway.uploads.session import Announcement
from gateway.uploads.writer import PART_SECONDS
from servicekit.chunks import Checksum
from servicekit.errors import Aborted, ResourceExhausted, from_rpc
from tests.support.object_server import BUCKET, ObjectServer, settings_of
from tests.support.until import until, until_async

MIB = 1024 * 1024


def name_of(data, filename="a.mp4", upload_id=""):
    return f"uploads/{upload_id or uuid.uuid4()}/blobs/{hashlib.sha256(data).hexdigest()}/{len(data)}/{filename}"


def messages(name, data, offset=0, end=None, finish=True):
    """The bytes from `offset` on, in messages of 1 MiB."""
    end = len(data) if end is None else end
    starts = range(offset, end, MIB) or [offset]
    for start in starts:
        stop = min(start + MIB, end)
        last = finish and start == starts[-1]
        yield WriteRequest(resource_name=name, write_offset=start, data=data[start:stop], finish_write=last)


async def write(at, name, data, **span):
    """What is kept afterwards, and the asset's name if it is whole."""
    call = at.stub.Write(messages(name, data, **span))
    answer = await call
    metadata = [*await call.initial_metadata(), *await call.trailing_metadata()]
    return answer.committed_size, dict(metadata).get("upload-asset")


async def status(at, name):
    answer = await at.stub.QueryWriteStatus(QueryWriteStatusRequest(resource_name=name))
    return answer.committed_size, answer.complete


async def read(at, name, **span):
    return b"".join([part.data async for part in at.stub.Read(ReadRequest(resource_name=name, **span))])


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc(caught.value)


def objects(at):
    folder = at.assets.bucket.disk_floor(0).folder
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def test_a_file_that_is_written_at_several_gateways_is_one_asset(streams):
    here, there = await streams(), await streams()
    data = os.urandom(20 * MIB + 7)
    name = name_of(data, "Ein Film/mit Ordner.mp4")
    error = await refused(status(here, name))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "UPLOAD_NOT_FOUND")
    assert await write(here, name, data, end=17 * MIB, finish=False) == (17 * MIB, None)
    assert await status(there, name) == (17 * MIB, False)
    assert await write(there, name, data, offset=17 * MIB, end=18 * MIB, finish=False) == (18 * MIB, None)
    size, asset = await write(here, name, data, offset=18 * MIB)
    assert size == len(data)
    assert await status(there, name) == (len(data), True)
    stored = await there.assets.describe(asset.removeprefix("assets/"))
    assert (stored.filename, stored.content_type) == ("mit Ordner.mp4", "video/mp4")
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert await read(there, asset) == data
    assert await read(here, asset, read_offset=16 * MIB - 5, read_limit=2 * MIB) == data[16 * MIB - 5 : 18 * MIB - 5]
    assert await read(here, asset, read_offset=len(data)) == b""
    # Again, as if the answer had been lost.
    assert await write(there, name, data) == (len(data), asset)
    assert await write(there, name, data, offset=len(data)) == (len(data), asset)
    await there.assets.delete(stored.id)
    assert objects(here) == []


async def test_faults_of_a_write(streams):
    at = await streams()
    data = b"0123456789"
    name = name_of(data)
    await write(at, name, data, end=4, finish=False)
    bad = [
        ([WriteRequest(resource_name=name, write_offset=3, data=b"x")], "ABORTED", "WRONG_OFFSET"),
        ([WriteRequest(resource_name=name, write_offset=4, data=b"4567890")], "OUT_OF_RANGE", "UPLOAD_TOO_LONG"),
        ([WriteRequest(resource_name=name, write_offset=4, finish_write=True)], "INVALID_ARGUMENT", "SIZE_MISMATCH"),
        (
            [WriteRequest(resource_name=name, write_offset=4), WriteRequest(resource_name="uploads/x", write_offset=4)],
            "INVALID_ARGUMENT",
            "BAD_PART",
        ),
        (
            [WriteRequest(resource_name=name, write_offset=4), WriteRequest(write_offset=5)],
            "INVALID_ARGUMENT",
            "WRONG_OFFSET",
        ),
        ([WriteRequest(resource_name="files/x")], "INVALID_ARGUMENT", "BAD_UPLOAD_NAME"),
        ([WriteRequest(resource_name="uploads/unknown-one")], "NOT_FOUND", "UPLOAD_NOT_FOUND"),
        ([], "INVALID_ARGUMENT", "NO_MESSAGE"),
    ]
    for requests, code, reason in bad:
        error = await refused(at.stub.Write(iter(requests)))
        assert (error.code.name, error.reason) == (code, reason)
    other = name_of(b"another", upload_id=name.split("/")[1])
    error = await refused(at.stub.Write(messages(other, b"another")))
    assert (error.code.name, error.reason) == ("ALREADY_EXISTS", "UPLOAD_ID_REUSED")
    assert await status(at, name) == (4, False)
    error = await refused(at.stub.Write(messages(name, b"0123" + b"x" * 6, offset=4)))
    assert (error.code.name, error.reason) == ("INVALID_ARGUMENT", "DIGEST_MISMATCH")
    assert (await refused(status(at, name))).reason == "UPLOAD_NOT_FOUND"
    assert objects(at) == []


async def test_faults_of_a_read(streams):
    at = await streams()
    _, asset = await write(at, name_of(b"abc"), b"abc")
    for span in ({"read_offset": -1}, {"read_offset": 4}, {"read_limit": -1}):
        error = await refused(read(at, asset, **span))
        assert (error.code.name, error.reason) == ("OUT_OF_RANGE", "OFFSET_OUT_OF_RANGE")
    assert (await refused(read(at, "assets/" + "a" * 26))).reason == "ASSET_NOT_FOUND"


async def test_a_second_writer_takes_over_at_whichever_gateway(streams):
    here, there = await streams(), await streams()
    data = os.urandom(3 * MIB)
    for second in (here, there):
        name = name_of(data)
        stalled = here.stub.Write()
        await stalled.write(WriteRequest(resource_name=name, data=b"x" * MIB))
        await stalled.initial_metadata()
        size, asset = await write(second, name, data)
        assert size == len(data)
        assert await read(here, asset) == data
        with contextlib.suppress(asyncio.InvalidStateError):  # it has ended already
            await stalled.write(WriteRequest(write_offset=MIB, data=b"x" * MIB))
            await stalled.done_writing()
        error = await refused(stalled)
        assert (error.code.name, error.reason) == ("ABORTED", "UPLOAD_TAKEN_OVER")
        assert await read(here, asset) == data


async def test_bytes_of_a_stalled_write_are_kept_after_a_while(streams):
    here, there = await streams(), await streams()
    data = os.urandom(2 * MIB)
    name = name_of(data)
    stalled = here.stub.Write()
    await stalled.write(WriteRequest(resource_name=name, data=data[:MIB]))
    await until_async(lambda: is_at(there, name, MIB))
    stalled.cancel()


class HeldBucket(Bucket):
    """A folder in which an object is made of what was written once it may be."""

    def __init__(self, location):
        super().__init__(location)
        self.closing, self.may_close = asyncio.Event(), asyncio.Event()

    def writer(self, *args):
        writer = super().writer(*args)
        close = writer.close

        async def held():
            self.closing.set()
            await self.may_close.wait()
            await close()

        writer.close = held
        return writer


async def test_bytes_find_their_place_while_those_before_become_a_part(streams, tmp_path):
    bucket = HeldBucket(str(tmp_path / "assets"))
    uploads = (await streams(bucket)).uploads
    data = os.urandom(17 * MIB)
    session = await uploads.create(Announcement(len(data), "a.mp4"), "default")
    async with uploads.writing(session, 0) as writer:
        await writer.write(data[: 16 * MIB])
        await bucket.closing.wait()  # nothing more comes, and a part is complete
        assert writer.offset == 16 * MIB
        going_on = asyncio.ensure_future(writer.write(data[16 * MIB :]))
        bucket.may_close.set()
        await going_on
        assert writer.offset == len(data)
    found = await uploads.get(session.id, "default")
    assert (found.is_finished, found.offset) == (True, len(data))
    asset = await uploads.asset(found)
    assert (asset.sha256, len(asset.parts)) == (hashlib.sha256(data).hexdigest(), 2)


async def test_what_comes_fast_is_no_part_for_each_few_bytes(streams):
    at = await streams()
    data, begun = os.urandom(40 * MIB), time.monotonic()
    _, asset = await write(at, name_of(data), data)
    stored = await at.assets.describe(asset.removeprefix("assets/"))
    # Each but the last took PART_SECONDS, whatever else the machine was busy with.
    assert len(stored.parts) <= 1 + (time.monotonic() - begun) / PART_SECONDS
    assert sum(part.size_bytes for part in stored.parts) == len(data)


async def is_at(at, name, size):
    try:
        return (await status(at, name))[0] == size
    except grpc.aio.AioRpcError:
        return False


async def test_a_cut_keeps_what_has_come(streams):
    at = await streams()
    data = os.urandom(2 * MIB)
    name = name_of(data)
    cut = at.stub.Write()
    await cut.write(WriteRequest(resource_name=name, data=data[:MIB]))
    await cut.initial_metadata()
    await asyncio.sleep(0.2)
    cut.cancel()
    await until(lambda: at.transfers.free == 8)
    size, _ = await status(at, name)
    assert size in (0, MIB)
    assert (await write(at, name, data, offset=size))[0] == len(data)


async def test_a_slow_write_gives_its_slot_up_and_keeps_its_bytes(streams):
    at = await streams(transfers=1)
    data = os.urandom(2 * MIB)
    name = name_of(data)
    slow = at.stub.Write()
    await slow.write(WriteRequest(resource_name=name, data=data[:MIB]))
    await until_async(lambda: at_work(at, slow))
    await until_async(lambda: evicts(at))
    assert (await refused(slow)).reason == "EVICTED"
    assert await status(at, name) == (MIB, False)


async def at_work(at, call):
    await call.initial_metadata()
    return at.transfers.free == 0


async def evicts(at):
    try:
        return await write(at, name_of(b"b"), b"b")
    except grpc.aio.AioRpcError:
        return None


async def test_what_expires_leaves_nothing(streams):
    at = await streams(lifetime_seconds=0.5, retention_seconds=0)
    data = os.urandom(MIB)
    left, whole = name_of(data), name_of(data)
    await write(at, left, data, end=1000, finish=False)
    await write(at, whole, data)
    session = await at.uploads.get(left.split("/")[1], "default")
    await at.assets.bucket.put(f"assets/{session.asset_id}.aaaaaaaa-9", b"of a writer that died")
    assert len(objects(at)) == 4
    await until_async(lambda: is_expired(at, left))
    assert (await refused(write(at, left, data, offset=1000))).reason == "UPLOAD_EXPIRED"
    await until_async(lambda: is_swept(at))


async def is_swept(at):
    await at.assets.sweep()
    return not objects(at) and not await at.uploads.records.keys()


async def is_expired(at, name):
    try:
        await status(at, name)
    except grpc.aio.AioRpcError as error:
        return from_rpc(error).reason == "UPLOAD_EXPIRED"
    return False


async def test_a_sweep_leaves_what_may_be_gone_on_with(streams):
    here, there = await streams(), await streams()
    data = os.urandom(MIB)
    name = name_of(data)
    await write(here, name, data, end=1000, finish=False)
    await write(there, name, data, offset=1000, end=2000, finish=False)
    for path in (here.assets.bucket.disk_floor(0).folder / "assets").iterdir():
        os.utime(path, (0, 0))
    await there.assets.sweep()
    _, asset = await write(here, name, data, offset=2000)
    for path in (here.assets.bucket.disk_floor(0).folder / "assets").iterdir():
        os.utime(path, (0, 0))
    await there.assets.sweep()
    assert await read(there, asset) == data


async def test_an_upload_whose_gateway_died_before_it_was_an_asset_becomes_one(streams):
    here, there = await streams(), await streams()
    data = os.urandom(1000)
    name = name_of(data)
    await write(here, name, data, end=999, finish=False)
    session = await here.uploads.get(name.split("/")[1], "default")
    async with here.uploads.writing(session, 999) as writer:
        await writer.write(data[999:])
    assert await status(there, name) == (1000, True)
    _, asset = await write(there, name, data)
    assert await read(here, asset) == data


async def test_an_upload_to_a_bucket(streams, monkeypatch):
    with ObjectServer() as server:
        for name, value in settings_of(server.server_port).items():
            monkeypatch.setenv(name, value)
        here, there = await streams(f"s3://{BUCKET}"), await streams(f"s3://{BUCKET}")
        data = os.urandom(18 * MIB)
        name = name_of(data)
        await write(here, name, data, end=17 * MIB, finish=False)
        _, asset = await write(there, name, data, offset=17 * MIB)
        assert await read(here, asset) == data
        asset_id = asset.removeprefix("assets/")
        assert await here.assets.signed_url(asset_id, 60) is None
        _, small = await write(here, name_of(data[:10]), data[:10])
        assert await there.assets.signed_url(small.removeprefix("assets/"), 60)
        await there.assets.delete(asset_id)
        assert asset_id not in " ".join(server.objects)


async def test_a_tenant_does_not_see_the_uploads_of_another(streams):
    at = await streams()
    data = b"0123456789"
    name = name_of(data)
    await write(at, name, data, end=4, finish=False)
    upload_id = name.split("/")[1]
    with pytest.raises(Exception, match="no upload"):
        await at.uploads.get(upload_id, "another")
    with pytest.raises(Exception, match="no upload"):
        await at.uploads.delete(upload_id, "another")
    assert await status(at, name) == (4, False)


async def test_bytes_that_were_not_digested_are_read_again(streams, monkeypatch):
    class BrokenChecksum(Checksum):
        def add(self, data):
            raise ValueError("cannot digest")

    uploads = (await streams()).uploads
    session = await uploads.create(Announcement(4, "a.mp4"), "default")
    with monkeypatch.context() as patch:
        patch.setattr("gateway.uploads.sessions.Checksum", BrokenChecksum)
        async with uploads.writing(session, 0) as writer:
            await writer.write(b"ab")
    async with uploads.writing(session, 2) as writer:
        await writer.write(b"cd")
    asset = await uploads.asset(await uploads.get(session.id, "default"))
    assert asset.sha256 == hashlib.sha256(b"abcd").hexdigest()


async def test_a_writer_at_a_wrong_offset_ends_no_other(streams):
    uploads = (await streams()).uploads
    session = await uploads.create(Announcement(4, "a.mp4"), "default")
    async with uploads.writing(session, 0) as writer:
        await writer.write(b"ab")
        with pytest.raises(Aborted) as caught:
            async with uploads.writing(session, 3):
                pass
        assert caught.value.reason == "WRONG_OFFSET"
        await writer.write(b"cd")
    found = await uploads.get(session.id, "default")
    assert (found.offset, found.is_finished) == (4, True)


async def test_open_uploads_are_counted_over_all_gateways(streams):
    def at_most_two(tenant, count, expires_at):
        if count >= 2:
            raise ResourceExhausted(f"{tenant} has {count}", reason="QUOTA_EXCEEDED", retry_seconds=30)

    here, there = await streams(), await streams()
    for at in (here, there):
        at.uploads.check_open = at_most_two
    data = os.urandom(1000)
    names = [name_of(data, upload_id=f"upload-{number}") for number in range(4)]
    for at, name in zip((here, there), names, strict=False):
        await write(at, name, data, end=1, finish=False)
    for at in (here, there):
        await until_async(lambda: asyncio.sleep(0, at.uploads.count_open("default") == 2))  # noqa: B023
        error = await refused(write(at, names[2], data))
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
        assert await status(at, names[0]) == (1, False)  # those that are open go on
    assert (await here.uploads.create(Announcement(1), "another")).tenant == "another"
    assert (await write(here, names[0], data, offset=1))[0] == len(data)
    await until_async(lambda: asyncio.sleep(0, there.uploads.count_open("default") == 1))
    await write(there, names[2], data, end=1, finish=False)
    # Of a deletion no watch tells: whoever would refuse a new one looks.
    await here.uploads.delete("upload-2", "default")
    there.uploads.look_seconds = 0
    await there.uploads.create(Announcement(5), "default", "upload-5")


async def test_an_upload_that_expired_or_was_swept_elsewhere_is_open_no_more(streams):
    here, there = await streams(lifetime_seconds=0.5), await streams()
    await here.uploads.create(Announcement(5), "acme")
    kept = await there.uploads.create(Announcement(5), "acme")
    await until_async(lambda: asyncio.sleep(0, there.uploads.count_open("acme") == 1))
    await until_async(lambda: asyncio.sleep(0, here.uploads.count_open("acme") == 1))
    await there.uploads.delete(kept.id, "acme")
    assert await here.uploads.unfinished() == set()
    assert here.uploads.count_open("acme") == there.uploads.count_open("acme") == 0
