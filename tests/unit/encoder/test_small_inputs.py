"""Inputs that come with their task."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apigpu.encoder.v1.encoder_pb2 import EncodeRequest, Input, InputChunk, InputEnd, SmallInput, Task
from encoder.media.info import Source
from encoder.tasks import inputs
from servicekit.chunk_messages import Received


def small_task(*given: bytes) -> Task:
    named = [Input(field=f"images[{number}]") for number in range(len(given))]
    ends = [InputEnd(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()) for data in given]
    small = [SmallInput(data=data, end=end) for data, end in zip(given, ends, strict=True)]
    return Task(inputs=named, small_inputs=small)


async def test_they_are_written_out_of_their_task(tmp_path: Path) -> None:
    task = small_task(b"one", b"two")
    sources = await inputs.take_small(task, tmp_path, 10)
    assert [source.path.read_bytes() for source in sources.values()] == [b"one", b"two"]
    assert not task.small_inputs


async def test_none_is_written_any_more_once_a_task_is_cancelled(tmp_path: Path) -> None:
    is_writing, may_go_on = threading.Event(), threading.Event()

    def wait() -> None:
        is_writing.set()
        may_go_on.wait()

    taking = asyncio.create_task(inputs.take_small(small_task(b"one", b"two"), tmp_path, 10, wait))
    await asyncio.to_thread(is_writing.wait)
    taking.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not taking.done()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input0", "input1"]


async def test_more_of_an_input_is_written_into_no_other_file(tmp_path: Path) -> None:
    secret, path = tmp_path / "secret", tmp_path / "input0"
    secret.write_bytes(b"secret")
    path.symlink_to(secret)  # as a process that plans could
    chunk = EncodeRequest(chunk=InputChunk(input=0))
    end = InputEnd(input=0, size_bytes=4, sha256=hashlib.sha256(b"evil").hexdigest())

    async def requests() -> AsyncIterator[Received[EncodeRequest]]:
        yield Received(chunk, b"evil")
        yield Received(EncodeRequest(input_end=end), b"")

    with pytest.raises(OSError, match="symbolic link"):
        await inputs.receive_more(requests(), 0, Source("film", path), 100)
    assert secret.read_bytes() == b"secret"
    path.unlink()
    path.write_bytes(b"a film")
    await inputs.receive_more(requests(), 0, Source("film", path), 100)
    assert path.read_bytes() == b"evillm"
