"""Objects in a local folder: what is staged, what is left behind, and when."""

import asyncio
import errno
import hashlib
import os
import threading

import pytest

from gateway.assets.local_files import WRITTEN_ALONE_BYTES, LocalReader, LocalWriter, put_object


def names(folder):
    return sorted(path.name for path in folder.iterdir())


async def test_an_object_is_there_once_it_is_closed(tmp_path):
    folder = tmp_path / "assets"
    writer, digested = LocalWriter(folder / "a", 0), []
    for data in (b"ab", memoryview(b"-cd-")[1:3], b""):
        await writer.write(data, lambda data: digested.append(bytes(data)))
    await writer.flush()
    assert (names(folder), digested) == (["a#1"], [b"ab", b"cd", b""])
    await writer.close()
    await writer.abandon()
    assert (folder / "a").read_bytes() == b"abcd"
    assert names(folder) == ["a"]


async def test_a_few_bytes_are_held_until_there_are_more_or_that_is_all(tmp_path):
    for further, staged in ((), []), ((b"ef",), []), ((bytes(7), b"ef"), ["a#1"]):
        writer, digested = LocalWriter(tmp_path / "a", 8), []
        for data in (b"ab", memoryview(b"-cd-")[1:3], *further):
            await writer.write(data, digested.append)
        await writer.flush()
        assert (names(tmp_path), len(digested)) == (staged, 2 + len(further))
        await writer.close()
        assert (tmp_path / "a").read_bytes() == b"".join((b"abcd", *further))
        (tmp_path / "a").unlink()
    writer = LocalWriter(tmp_path / "a", 8)
    await writer.write(b"ab")
    await writer.abandon()
    assert names(tmp_path) == []


async def test_a_small_object_is_put_in_the_turn_that_ends_another_once_that_is_there(tmp_path):
    assets, records = tmp_path / "assets", tmp_path / "records"
    writer, seen, threads = LocalWriter(assets / "a"), [], []

    def then():
        seen.append(names(assets))
        threads.append(threading.current_thread())
        put_object(records / "a.json", b"record")

    await writer.write(b"ab", lambda _: threads.append(threading.current_thread()))
    await writer.close(then)
    assert (seen, names(records), (records / "a.json").read_bytes()) == ([["a"]], ["a.json"], b"record")
    assert threads[0] is threading.current_thread()
    assert threads[1] is not threads[0]
    await writer.abandon()
    assert names(assets) == ["a"]


async def test_a_record_that_cannot_be_put_leaves_nothing_staged_and_no_object(tmp_path):
    (tmp_path / "record").mkdir()
    writer = LocalWriter(tmp_path / "a")
    with pytest.raises(IsADirectoryError):
        await writer.close(lambda: put_object(tmp_path / "record", b"data"))
    await writer.abandon()
    assert names(tmp_path) == ["record"]  # nor an object that has none


async def test_what_comes_in_large_pieces_is_digested_whole_and_in_its_order(tmp_path):
    pieces = [bytes([number]) * (WRITTEN_ALONE_BYTES + number) for number in range(8)]
    writer, digest = LocalWriter(tmp_path / "a", 0), hashlib.sha256()
    for piece in pieces:
        await writer.write(piece, digest.update)
    await writer.flush()
    assert digest.digest() == hashlib.sha256(b"".join(pieces)).digest()
    await writer.close()
    assert (tmp_path / "a").read_bytes() == b"".join(pieces)


async def test_a_digest_that_goes_on_beside_the_writing_is_waited_for(tmp_path):
    writer, goes_on, digested = LocalWriter(tmp_path / "a", 0), threading.Event(), []

    def digest(data):
        goes_on.wait(10)
        digested.append(len(data))

    await writer.write(bytes(WRITTEN_ALONE_BYTES + 1), digest)
    flushing = asyncio.ensure_future(writer.flush())
    await asyncio.sleep(0.05)
    assert not flushing.done()
    goes_on.set()
    await flushing
    assert digested == [WRITTEN_ALONE_BYTES + 1]
    await writer.close()


async def test_an_empty_object_and_one_that_exists_are_written(tmp_path):
    (tmp_path / "a").write_bytes(b"before")
    await LocalWriter(tmp_path / "a", 0).close()
    assert (tmp_path / "a").read_bytes() == b""


async def test_two_writers_of_one_object_do_not_mix(tmp_path):
    one, other = LocalWriter(tmp_path / "a", 0), LocalWriter(tmp_path / "a", 0)
    for writer, data in ((one, b"1"), (other, b"2"), (one, b"1"), (other, b"2")):
        await writer.write(data)
    await one.close()
    await other.close()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"22"


async def test_an_abandoned_object_leaves_nothing_though_it_is_written_just_then(tmp_path):
    writer, goes_on = LocalWriter(tmp_path / "a", 0), threading.Event()
    await writer.write(b"ab", lambda _: goes_on.wait(10))
    abandoning = asyncio.ensure_future(writer.abandon())
    await asyncio.sleep(0.05)
    abandoning.cancel()
    await asyncio.sleep(0.05)
    assert not abandoning.done()
    assert names(tmp_path) == ["a#1"]
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await abandoning
    assert names(tmp_path) == []
    with pytest.raises(OSError, match="no more"):
        await writer.write(b"cd")


def test_an_abandoned_object_leaves_nothing_though_the_event_loop_ends_meanwhile(tmp_path):
    goes_on, abandoning = threading.Event(), []

    async def write_and_leave():
        writer = LocalWriter(tmp_path / "a", 0)
        await writer.write(b"ab", lambda _: goes_on.wait(10))
        abandoning.append(asyncio.ensure_future(writer.abandon()))
        await asyncio.sleep(0.05)
        threading.Timer(0.2, goes_on.set).start()

    asyncio.run(write_and_leave())
    assert (abandoning[0].cancelled(), names(tmp_path)) == (True, [])


async def test_a_write_that_is_cancelled_while_it_waits_writes_nothing_twice(tmp_path):
    writer, goes_on = LocalWriter(tmp_path / "a", 0), threading.Event()
    await writer.write(b"ab", lambda _: goes_on.wait(10))
    waiting = asyncio.ensure_future(writer.write(b"cd"))
    await asyncio.sleep(0.05)
    assert not waiting.done()  # one chunk is held, not more
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    goes_on.set()
    await writer.write(b"ef")
    await writer.close()
    assert (tmp_path / "a").read_bytes() == b"abef"


async def test_what_goes_wrong_is_raised_by_the_next_call_and_leaves_nothing(tmp_path):
    def refuse(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for step in ("flush", "close", "write"):
        writer = LocalWriter(tmp_path / "a", 0)
        await writer.write(b"ab", refuse)
        with pytest.raises(OSError, match="No space"):
            await (writer.write(b"cd") if step == "write" else getattr(writer, step)())
        assert names(tmp_path) == []


async def test_what_cannot_be_deleted_is_left_to_the_sweep_and_hides_no_error(tmp_path):
    writer = LocalWriter(tmp_path / "a", 0)
    await writer.write(b"ab")
    await writer.flush()
    (tmp_path / "a#1").unlink()
    (tmp_path / "a#1").mkdir()  # which cannot be unlinked, like a file of a disk that takes no more writes
    await writer.abandon()
    with pytest.raises(OSError, match="no more"):
        await writer.flush()


@pytest.mark.parametrize("number", range(5))
async def test_a_writer_that_is_abandoned_while_it_closes_leaves_the_file_of_the_next_one_alone(tmp_path, number):
    one, other = LocalWriter(tmp_path / "a", 0), LocalWriter(tmp_path / "a", 0)
    await one.write(b"1")
    closing = asyncio.ensure_future(one.close())
    while not (tmp_path / "a").exists():  # cancelled as soon as that is so, it is mostly not done yet
        await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    await other.write(b"2")
    await other.flush()  # under the name that the first one has no more
    await one.abandon()
    assert names(tmp_path) == ["a", "a#1"]
    await other.close()
    assert (tmp_path / "a").read_bytes() == b"2"


async def test_ranges_are_read_in_chunks_up_to_the_end(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    reader = LocalReader(tmp_path / "a", 4)
    assert await reader.begin(0, 8) == [b"0123", b"4567"]
    (tmp_path / "a").unlink()
    assert await reader.begin(1, 6) == [b"1234", b"5"]
    assert await reader.begin(8, 16) == [b"89", b""]
    opened = len(os.listdir("/proc/self/fd"))
    await reader.close()
    await reader.close()
    assert len(os.listdir("/proc/self/fd")) == opened - 1
    missing = LocalReader(tmp_path / "b", 4)
    with pytest.raises(FileNotFoundError):
        await missing.begin(0, 1)
    await missing.close()
