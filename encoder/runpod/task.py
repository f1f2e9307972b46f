"""RemoteTask: its inputs are read by link, its result is written by link, and it ends soon when nobody waits for it any
more."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apigpu.encoder.v1 import encoder_pb2
from encoder.media.info import Source
from encoder.operations.plan import ExtraFile
from encoder.runpod import transfer
from encoder.runpod.transfer import Links
from encoder.tasks import inputs
from encoder.tasks.executor import Report, TaskExecutor
from encoder.tasks.results import ResultStream
from servicekit.errors import Cancelled, DeadlineExceeded, InvalidArgument
from servicekit.tasks import cancel_and_wait

WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class RemoteTasks:
    """Runs RemoteTasks in an executor."""

    executor: TaskExecutor
    links: Links
    watch_seconds: float = WATCH_SECONDS

    async def run(self, remote: encoder_pb2.RemoteTask, report: Report) -> encoder_pb2.RemoteResult:
        """Run one to its end. Raises ServiceError; Cancelled when nobody waits any more. Leaves nothing behind, also
        when it is cancelled."""
        if len(remote.input_urls) != len(remote.task.inputs):
            raise InvalidArgument("The task needs a link for each of its inputs.", reason="BAD_LINK")
        for number, url in enumerate(remote.input_urls):
            transfer.check_link(url, f"inputUrls[{number}]")
        transfer.check_link(remote.result_url, "resultUrl")
        for number, url in enumerate(remote.file_urls):
            transfer.check_link(url, f"fileUrls[{number}]")
        seconds = self.executor.limits.max_task_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._run_while_wanted(remote.result_url, self._run(remote, report))
        except TimeoutError as error:
            raise DeadlineExceeded(f"The task took longer than {seconds:g} s.") from error

    async def _run(self, remote: encoder_pb2.RemoteTask, report: Report) -> encoder_pb2.RemoteResult:
        async with self.executor.reserve(remote.task) as folder:
            sources = await self._fetch_inputs(remote, folder.path)
            # The results are counted and digested only; they are sent from their files, so that they can be resent.
            stream = ResultStream(_discard, _discard, is_live=False)
            summary = await self.executor.execute(remote.task, sources, folder, report, stream)
            # The first result comes last: where it is, all are.
            for url, file in zip(remote.file_urls, summary.files, strict=False):
                await self.links.put(url, ExtraFile(file.name, file.content_type).path(folder.result), file)
            await self.links.put(remote.result_url, folder.result, summary)
            return encoder_pb2.RemoteResult(summary=summary)

    async def _fetch_inputs(self, remote: encoder_pb2.RemoteTask, folder: Path) -> dict[str, Source]:
        paths = []
        for number, (item, url) in enumerate(zip(remote.task.inputs, remote.input_urls, strict=True)):
            paths.append(folder / f"input{number}")
            await self.links.fetch(url, paths[-1], item.field, self.executor.limits.max_input_bytes)
        return inputs.by_field(remote.task.inputs, paths)

    async def _run_while_wanted(
        self, url: str, work: Coroutine[Any, Any, encoder_pb2.RemoteResult]
    ) -> encoder_pb2.RemoteResult:
        working, watching = asyncio.ensure_future(work), asyncio.ensure_future(self._wait_unwanted(url))
        try:
            await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise Cancelled("Nobody waits for this task any more.", reason="GONE")
        finally:
            await cancel_and_wait(working, watching)

    async def _wait_unwanted(self, url: str) -> None:
        """Return once nobody waits for the result."""
        while True:
            if not await self.links.is_wanted(url):
                return
            await asyncio.sleep(self.watch_seconds)


async def _discard(*_: object) -> None:
    pass
