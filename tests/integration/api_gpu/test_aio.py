"""The client for asyncio against the real pair; and the examples of the guide to both clients."""

import asyncio
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api_gpu import AsyncClient, Client, Finished, Progress, Scene, Status, WaitTimeout
from api_gpu.aio import AsyncConnection
from api_gpu.assets import Transfers
from api_gpu.connection import credentials
from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from tests.support.command_line import OWN, stored
from tests.support.paths import ROOT
from tests.support.until import until_async, within
from tools.media_check import footage
from tools.pair import Pair
from tools.samples import Samples

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "guides" / "python.md").read_text(), re.DOTALL | re.M)


async def test_operations_events_lists_and_files(pair: Pair, media: Samples, tmp_path: Path) -> None:
    async with AsyncClient.local(pair.data_dir) as client:
        assert (await client.health()).encoders == 1
        noted = client.telling(metadata={"from": "asyncio"})
        job = await noted.img2vid([media.images[0]], seconds=0.5, fps=10)
        events = [event async for event in job.watch()]
        assert isinstance(events[-1], Finished)
        done = await (await job.refresh()).wait()
        assert (done.status, done.metadata) == (Status.COMPLETED, {"from": "asyncio"})
        target = await client.download(done.clips[0].asset, tmp_path / "out.mp4")
        assert footage(target).frames == 5
        assert [each.id async for each in client.jobs(metadata={"from": "asyncio"})] == [job.id]
        again = await (await done.retry()).wait(60)
        assert (again.request.retry_of, again.inputs[0].name) == (done.id, media.images[0].name)
        asset = await client.upload(media.video)
        assert asset.name in [each.name async for each in client.assets("video")]
        film = await client.story([asset.name, Scene(image=media.images[1], seconds=0.5)], fps=10, width=160, height=90)
        assert len((await film.wait()).scenes) == 2
        picture = await (await client.thumbnail(asset.name, width=160)).wait()
        await client.delete(picture.asset)  # it has come along
        assert (await client.download(picture, tmp_path / "a.jpg")).read_bytes() == picture.result != b""
        assert (await client.quote("probe", media.video)).ok
        await client.delete(asset.name)
        with pytest.raises(NotFound):
            await client.asset(asset.name)
        with pytest.raises(InvalidArgument):
            await client.caption(media.video, media.video, style={"preset": "loud"})  # type: ignore[arg-type]


async def test_a_wait_ends_and_the_job_goes_on(pair: Pair, media: Samples) -> None:
    async with AsyncClient.local(pair.data_dir) as client:
        job = await client.img2vid([media.images[0]], seconds=600)
        with pytest.raises(WaitTimeout) as caught:
            await job.wait(timeout=0.2)
        assert isinstance(caught.value, TimeoutError)
        assert (await job.refresh()).ended is None
        with pytest.raises(FailedPrecondition):
            await job.retry()

        async def is_running() -> bool:
            found = await job.refresh()
            return isinstance(found.progress, Progress) and found.progress.frames_done > 0

        await until_async(is_running)
        await job.cancel()
        with pytest.raises(Exception, match="cancelled"):
            await job.wait()


def test_the_blocking_wait_ends_too(client: Client, media: Samples) -> None:
    job = client.img2vid([media.images[0]], seconds=600)
    with pytest.raises(WaitTimeout):
        job.wait(0.2)
    with pytest.raises(TimeoutError):
        job.wait(timeout=0)
    job.cancel()


async def test_a_task_that_is_cancelled_ends_its_upload(pair: Pair, tmp_path: Path) -> None:
    before, pipe = stored(pair), tmp_path / "endless.mp4"
    os.mkfifo(pipe)
    async with AsyncClient.local(pair.data_dir) as client:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        uploading = asyncio.create_task(client.upload(pipe, lambda *_: loop.call_soon_threadsafe(told.set)))
        endless = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)
        os.write(endless, b"x" * 1024)
        await asyncio.sleep(0)
        uploading.cancel()
        # What reads the pipe has ended once its other side may be closed.
        os.close(endless)
        with pytest.raises(asyncio.CancelledError):
            await uploading
    assert stored(pair) == before


async def test_a_transfer_that_waits_for_a_thread_ends_at_once() -> None:
    connection, free = AsyncConnection("localhost:1", "", credentials(None, None, None)), threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    busy, begun = asyncio.create_task(asyncio.to_thread(free.wait)), list[Transfers]()
    try:
        waiting = asyncio.create_task(connection.transfer(begun.append))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(waiting)
    finally:
        free.set()
        await busy
    await asyncio.to_thread(lambda: None)
    assert not begun


async def test_what_may_be_sent_again_is_until_the_gateway_answers() -> None:
    connection, calls = AsyncConnection("localhost:1", "", credentials(None, None, None)), []

    async def method(request: str, metadata: object) -> str:
        calls.append(request)
        if len(calls) == 1:
            raise Unavailable("away")
        return "there"

    assert await connection.call_until_answered(method, "ask") == "there"
    assert calls == ["ask", "ask"]
    given_up = AsyncConnection("localhost:1", "", credentials(None, None, None), reconnect_seconds=-1.0)
    calls.clear()
    with pytest.raises(Unavailable, match="away"):
        await given_up.call_until_answered(method, "ask")
    await connection.close()


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_guide_run(
    pair: Pair, media: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for name in OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".api-gpu").symlink_to(pair.data_dir)
    inputs = {
        "talk.mp4": media.video,
        "talk.srt": media.subtitles,
        "music.wav": media.audio,
        "photo.png": media.images[0],
    }
    for name, source in inputs.items():
        (tmp_path / name).symlink_to(source)
    exec(compile(EXAMPLES[number], f"example {number}", "exec"), {"__name__": "__main__"})


def test_there_are_examples_of_both_clients() -> None:
    assert len(EXAMPLES) >= 5
    assert any("AsyncClient" in example for example in EXAMPLES)
