"""The end of a run of FFmpeg: what it wrote is checked as soon as it says that all is written."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from apigpu.encoder.v1 import encoder_pb2
from encoder.ffmpeg import process
from encoder.ffmpeg.children import Child, Output
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import FfmpegProcess
from encoder.tasks.finishing import finish_checked
from servicekit.errors import InvalidArgument, ServiceError
from tests.support.until import HANG_SECONDS

CHECKED = encoder_pb2.Summary(frames=10)


class Run:
    """A run of FFmpeg that does what it is told."""

    def __init__(self, ended: "asyncio.Future[int]", messages: Output, progress: Output) -> None:
        self.ended, self._messages, self._progress = ended, messages, progress
        self.process = FfmpegProcess(
            Child(ended, lambda: None), FfmpegRun((), ("url_video",)), None, messages, progress
        )
        self.steps: list[str] = []

    def tell(self, frames: int, last: bytes) -> None:
        os.write(self._progress.writing, b"frame=%d\nfps=25.0\nprogress=%s\n" % (frames, last))

    def end(self, code: int, message: bytes = b"") -> None:
        os.write(self._messages.writing, message)
        self._messages.close_writing()
        self.steps.append("ended")
        self.ended.set_result(code)

    async def check(self, *, until_ended: bool = False) -> encoder_pb2.Summary:
        self.steps.append("checking")
        if until_ended:
            await asyncio.wait([self.ended])
            await asyncio.sleep(0.02)
        self.steps.append("checked")
        return CHECKED

    async def refuse(self) -> encoder_pb2.Summary:
        raise InvalidArgument("There is nothing in it.")


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    messages, progress = await Output.open(), await Output.open()
    yield Run(asyncio.get_running_loop().create_future(), messages, progress)
    progress.close_writing()
    messages.close()
    progress.close()


async def test_progress_is_over_when_all_is_written_though_the_process_lives(run: Run) -> None:
    run.tell(5, b"continue")
    run.tell(10, b"end")
    assert [told.frames_done async for told in run.process.progress()] == [5, 10]
    run.end(0)
    await run.process.finish()


async def test_results_are_checked_while_the_run_ends(run: Run) -> None:
    asyncio.get_running_loop().call_later(0.05, run.end, 0)
    assert await finish_checked(run.process, run.check()) == CHECKED
    assert run.steps == ["checking", "checked", "ended"]


async def test_what_a_run_failed_with_goes_before_what_is_wrong_with_its_results(run: Run) -> None:
    asyncio.get_running_loop().call_later(0.05, run.end, 1, b"Error opening output file: No space left on device\n")
    with pytest.raises(ServiceError) as raised:
        await finish_checked(run.process, run.refuse())
    assert not isinstance(raised.value, InvalidArgument)


async def test_a_failed_run_asks_nothing_of_the_planner_any_more_when_it_is_told(run: Run) -> None:
    asyncio.get_running_loop().call_later(0.02, run.end, 1)
    with pytest.raises(ServiceError):
        await finish_checked(run.process, run.check(until_ended=True))
    assert run.steps == ["checking", "ended", "checked"]


async def test_what_is_wrong_with_results_of_a_run_that_ended_well_is_told(run: Run) -> None:
    asyncio.get_running_loop().call_later(0.02, run.end, 0)
    with pytest.raises(InvalidArgument):
        await finish_checked(run.process, run.refuse())


async def test_nothing_is_checked_where_it_is_too_early(run: Run) -> None:
    run.end(0)
    assert await finish_checked(run.process, None) is None


class Hanging:
    """A process that does not end, though it was killed."""

    returncode = None

    async def communicate(self) -> tuple[bytes, bytes]:
        await asyncio.Event().wait()
        return b"", b""

    async def wait(self) -> int:
        return len((await self.communicate())[0])


async def test_a_short_run_that_hangs_in_the_kernel_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task that asks what a card does would hang with it."""
    killed: list[Hanging] = []

    async def spawn(*_: object, **__: object) -> Hanging:
        return Hanging()

    monkeypatch.setattr(process, "spawn", spawn)
    monkeypatch.setattr(process, "kill_group", killed.append)
    monkeypatch.setattr(process, "KILL_SECONDS", 0.01)
    asking = asyncio.create_task(process.query(["ffmpeg"], 0.01))
    await asyncio.wait([asking], timeout=HANG_SECONDS)
    assert (asking.done(), len(killed)) == (True, 1)
    with pytest.raises(TimeoutError):
        await asking
