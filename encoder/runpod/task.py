"""A RemoteTask from its links to its result: inputs are read by link, the result is written by link, and all ends soon
when nobody waits for it any more."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from apigpu.encoder.v1 import encoder_pb2
from encoder.operations.plan import ExtraFile, Source
from encoder.runpod import transfer
from encoder.runpod.transfer import Links
from encoder.tasks import inputs
from encoder.tasks.executor import Report, TaskExecutor
from encoder.tasks.result_stream import ResultStream
from servicekit.errors import Cancelled, DeadlineExceeded, InvalidArgument
from servicekit.tasks import cancel_and_wait

WATCH_SECONDS = 1.0


class RemoteTasks:
    """Runs RemoteTasks in a workshop."""

    def __init__(self, shop: TaskExecutor, by_link: Links, watch_seconds: float = WATCH_SECONDS) -> None:
        self._shop = shop
        self._links = by_link
        self._watch_seconds = watch_seconds

    async def run(self, remote: encoder_pb2.RemoteTask, report: Report) -> encoder_pb2.RemoteResult:
        """Run one to its end. Raises ServiceError; Cancelled when nobody waits any more. Leaves nothing behind, also
        when it is cancelled."""
        if len(remote.input_urls) != len(remote.task.inputs):
            raise InvalidArgument("The task needs a link for each of its inputs.", reason="BAD_LINK")
        for number, url in enumerate(remote.input_urls):
            transfer.check(url, f"inputUrls[{number}]")
        transfer.check(remote.result_url, "resultUrl")
        for number, url in enumerate(remote.file_urls):
            transfer.check(url, f"fileUrls[{number}]")
        seconds = self._shop.limits.max_task_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._while_wanted(remote.result_url, self._run(remote, report))
        except TimeoutError as error:
            raise DeadlineExceeded(f"The task took longer than {seconds:g} s.") from error

    async def _run(self, remote: encoder_pb2.RemoteTask, report: Report) -> encoder_pb2.RemoteResult:
        async with self._shop.place(remote.task) as place:
            sources = await self._fetched(remote, place.folder)
            summary = await self._shop.make(remote.task, sources, place, report, _unsent_results())
            # The first result comes last: where it is, all are.
            for url, told in zip(remote.file_urls, summary.files, strict=False):
                await self._links.put(url, ExtraFile(told.name, told.content_type).path(place.result), told)
            await self._links.put(remote.result_url, place.result, summary)
            return encoder_pb2.RemoteResult(summary=summary)

    async def _fetched(self, remote: encoder_pb2.RemoteTask, folder: Path) -> dict[str, Source]:
        paths = []
        for number, (item, url) in enumerate(zip(remote.task.inputs, remote.input_urls, strict=True)):
            paths.append(folder / f"input{number}")
            await self._links.fetch(url, paths[-1], item.field, self._shop.limits.max_input_bytes)
        return inputs.by_field(remote.task.inputs, paths)

    async def _while_wanted(
        self, url: str, work: Coroutine[Any, Any, encoder_pb2.RemoteResult]
    ) -> encoder_pb2.RemoteResult:
        working, watching = asyncio.ensure_future(work), asyncio.ensure_future(self._unwanted(url))
        try:
            await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise Cancelled("Nobody waits for this task any more.", reason="GONE")
        finally:
            await cancel_and_wait(working, watching)

    async def _unwanted(self, url: str) -> None:
        """Returns once nobody waits for the result."""
        while True:
            if not await self._links.is_wanted(url):
                return
            await asyncio.sleep(self._watch_seconds)


def _unsent_results() -> ResultStream:
    """Return what counts and digests results only; they are sent from their files, so that they can be sent again."""

    async def discard(*_: object) -> None:
        pass

    return ResultStream(discard, discard, is_live=False)
