"""A RemoteTask from its links to its result: inputs are read by link, the result is written by link, and all ends soon
when nobody waits for it any more."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from apigpu.encoder.v1 import encoder_pb2
from encoder.operations.plan import Source
from encoder.runpod import transfer
from encoder.runpod.transfer import Links
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
        seconds = self._shop.limits.max_task_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._while_wanted(remote.result_url, self._run(remote, report))
        except TimeoutError as error:
            raise DeadlineExceeded(f"The task took longer than {seconds:g} s.") from error

    async def _run(self, remote: encoder_pb2.RemoteTask, report: Report) -> encoder_pb2.RemoteResult:
        async with self._shop.place(remote.task) as place:
            sources = await self._fetched(remote, place.folder)
            summary = await self._shop.make(remote.task, sources, place, report, ResultStream(_unsent, is_live=False))
            await self._links.put(remote.result_url, place.result, summary.size_bytes, summary.sha256)
            return encoder_pb2.RemoteResult(summary=summary)

    async def _fetched(self, remote: encoder_pb2.RemoteTask, folder: Path) -> dict[str, Source]:
        sources: dict[str, Source] = {}
        for number, (item, url) in enumerate(zip(remote.task.inputs, remote.input_urls, strict=True)):
            path = folder / f"input{number}"
            await self._links.fetch(url, path, item.field, self._shop.limits.max_input_bytes)
            sources[item.field] = Source(item.field, path)
        return sources

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


async def _unsent(data: bytes) -> None:
    """The outlet counts and digests the result; it is sent from its file, so that it can be sent again."""
