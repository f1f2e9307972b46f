"""Writers of objects in a cloud: who hands on bytes as they come, and who lets parts wait."""

import os
from dataclasses import dataclass, field

import pytest

from gateway.assets.cloud_files import DIRECT_WRITERS, FAST_SECONDS, PART_BYTES, CloudWriter, WriterRoom
from servicekit.chunks import CHUNK_BYTES

CHUNKS_OF_A_PART = PART_BYTES // CHUNK_BYTES


@dataclass
class Clients:
    """Clients that send chunks, each after so many seconds of a clock of theirs, and what came of them."""

    room: WriterRoom = field(init=False)
    now: float = 0.0
    objects: list["SentObject"] = field(default_factory=list)

    def __post_init__(self):
        self.room = WriterRoom(clock=lambda: self.now)

    def writer(self):
        self.objects.append(made := SentObject())
        return CloudWriter(made.opened, self.room)

    async def send(self, writer, data, seconds_of_a_chunk):
        for start in range(0, len(data), CHUNK_BYTES):
            self.now += seconds_of_a_chunk
            await writer.write(data[start : start + CHUNK_BYTES])
        await writer.flush()


@dataclass
class SentObject:
    """What a writer of obstore is given."""

    sent: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    concurrency: int = 0

    def opened(self, parts):
        assert not self.concurrency
        self.concurrency = parts
        return self

    async def write(self, data):
        self.sent += data

    async def close(self):
        self.is_whole = True


SLOW, FAST = 2 * FAST_SECONDS / CHUNKS_OF_A_PART, FAST_SECONDS / CHUNKS_OF_A_PART / 4


async def test_slow_uploads_take_no_place_of_those_that_hand_on_bytes_as_they_come():
    clients, data = Clients(), os.urandom(2 * PART_BYTES + PART_BYTES // 2 + 7)
    slow = [clients.writer() for _ in range(DIRECT_WRITERS + 1)]
    for writer in slow:
        await clients.send(writer, data, SLOW)
        assert clients.room.direct_left == DIRECT_WRITERS
    fast = clients.writer()
    await clients.send(fast, data, FAST)
    assert clients.room.direct_left == DIRECT_WRITERS - 1
    # The last bytes of the others wait for their part to be whole.
    assert [len(one.sent) < len(data) for one in clients.objects] == [True] * len(slow) + [False]
    for writer in (*slow, fast):
        await writer.close()
    assert clients.room.direct_left == DIRECT_WRITERS
    assert all(one.is_whole and bytes(one.sent) == data for one in clients.objects)


async def test_one_that_becomes_slow_makes_place_for_another():
    clients, data = Clients(), os.urandom(4 * PART_BYTES)
    waning, *others = [clients.writer() for _ in range(DIRECT_WRITERS + 1)]
    for writer in (waning, *others):
        await clients.send(writer, data[: PART_BYTES + CHUNK_BYTES], FAST)
    assert clients.room.direct_left == 0
    # The last of them came too late; the next part that comes fast takes the place that is free by then.
    await clients.send(waning, data[PART_BYTES + CHUNK_BYTES : 2 * PART_BYTES], SLOW)
    assert clients.room.direct_left == 1
    clients.now += FAST
    await clients.send(others[-1], data[PART_BYTES + CHUNK_BYTES : 2 * PART_BYTES], 0)
    await clients.send(waning, data[2 * PART_BYTES :], SLOW)
    for writer in others:
        start = 2 * PART_BYTES if writer is others[-1] else PART_BYTES + CHUNK_BYTES
        await clients.send(writer, data[start:], FAST)
    for writer in (waning, *others):
        await writer.close()
    assert clients.room.direct_left == DIRECT_WRITERS
    assert all(one.is_whole and bytes(one.sent) == data for one in clients.objects)


@pytest.mark.parametrize("pace", [SLOW, FAST])
async def test_one_that_is_abandoned_makes_place(pace):
    clients = Clients()
    for _ in range(2 * DIRECT_WRITERS):
        writer = clients.writer()
        await clients.send(writer, bytes(2 * PART_BYTES), pace)
        await writer.abandon()
        with pytest.raises(OSError, match="written no more"):
            await writer.close()
    assert clients.room.direct_left == DIRECT_WRITERS
    assert not any(one.is_whole for one in clients.objects)
