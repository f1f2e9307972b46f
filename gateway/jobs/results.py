"""The results of one attempt at a task: they become assets as they come in, and are kept all or none."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Self

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.record import PREFIX, clean_filename, derived_id, name_for_type, parse_name
from gateway.assets.store import AssetStore, AssetWriter
from gateway.jobs import media_facts, model
from gateway.jobs.composed_ranges import ComposedRanges, not_composed
from gateway.jobs.followers import MAX_OFFERED_BYTES
from gateway.workers.base import Input, is_without_result
from servicekit.chunks import Data
from servicekit.composing import MAX_COMPOSED
from servicekit.errors import DataLoss, ServiceError
from servicekit.playback import playback_fault
from servicekit.tasks import run_to_completion

THE_RESULT = "the encoder's result"
MAX_FILENAME_BYTES = 100
MAX_REPORT_BYTES = 64 * 1024


@dataclass(eq=False)
class TaskResults:
    """Takes the chunks of the first result, then those of each further one that is announced."""

    assets: AssetStore
    filename: str
    max_files: int
    tenant: str
    attempt_id: str
    _stack: contextlib.AsyncExitStack
    _writers: list[AssetWriter] = field(default_factory=list, init=False)
    # The first result, as long as it is small.
    _small: bytearray | None = field(default_factory=bytearray, init=False)

    @property
    def small(self) -> bytes:
        """The bytes of the first result, once it is committed, where it is small; else b""."""
        return bytes(self._small or b"")

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, assets: AssetStore, filename: str, max_files: int, tenant: str, attempt_id: str
    ) -> AsyncIterator[Self]:
        """Begin the first result, a `filename` should it be an MP4; `max_files` further ones may come. They are the
        tenant's; their ids follow from that of the attempt. Leaving the block without a commit leaves nothing behind.
        """
        async with contextlib.AsyncExitStack() as stack:
            results = cls(assets, filename, max_files, tenant, attempt_id, stack)
            await results._begin(filename)
            yield results

    async def write(self, data: Data) -> None:
        """Store the next bytes of the result that is coming in."""
        if self._small is not None and len(self._writers) == 1:
            self._small = self._small + data if len(self._small) + len(data) <= MAX_OFFERED_BYTES else None
        await self._writers[-1].write(data)

    async def begin_file(self, name: str, content_type: str) -> None:
        """Have the next bytes go to a further result. Raises DataLoss for more than the operation may have."""
        if len(self._writers) > self.max_files:
            raise DataLoss("The encoder sends more results than the operation may have.", reason="TOO_MANY_RESULTS")
        await self._begin(checked_filename(name), content_type)

    async def compose(self, summary: encoder_pb2.Summary, inputs: Sequence[Input]) -> encoder_pb2.Summary:
        """Append the ranges of inputs that the first result goes on with, and return the summary of the whole. Raises
        DataLoss for ranges that there are not, InputFailed for an input that cannot be read any more."""
        if not summary.composed:
            return summary
        writer, self._small = self._writers[0], None
        sent = await writer.checksum()
        sent.verify(THE_RESULT, size_bytes=summary.size_bytes, sha256=_digest(summary))
        _check_ranges(summary, inputs)
        writer.check_size(summary.size_bytes + sum(found.end - found.start for found in summary.composed))
        ranges = ComposedRanges(self.assets, self.tenant, inputs)
        async with self.assets.composing, aclosing(ranges.read(summary.composed)) as chunks:
            async for data in chunks:
                await writer.write(data)
        whole = encoder_pb2.Summary()
        whole.CopyFrom(summary)
        whole.ClearField("composed")
        checksum = await writer.checksum()
        whole.size_bytes, whole.sha256 = checksum.size_bytes, checksum.sha256
        return whole

    async def commit(self, summary: encoder_pb2.Summary) -> model.Result:
        """Make assets of all results, if there are any beside further tasks or a report. Raises DataLoss when they are
        not what the summary says; none is kept then."""
        if len(summary.files) != len(self._writers) - 1:
            raise DataLoss("The results are not those that the encoder's summary names.", reason="FILES_MISMATCH")
        _check_told(summary)
        self._writers[0].index_bytes = summary.index_bytes
        if is_without_result(summary) and not self._writers[0].size_bytes:
            return stored_result(summary, "", ())
        name = name_for_type(self.filename, summary.content_type)
        self._writers[0].rename(name, summary.content_type)
        announced = [
            (summary.size_bytes, _digest(summary)),
            *((file.size_bytes, _digest(file)) for file in summary.files),
        ]
        ids: list[str] = []
        try:
            for writer, (size_bytes, sha256) in zip(self._writers, announced, strict=True):
                ids.append((await writer.commit(size_bytes=size_bytes, sha256=sha256)).id)
        except BaseException:
            await run_to_completion(delete_assets(self.assets, ids))
            raise
        return stored_result(summary, ids[0], ids[1:])

    async def _begin(self, filename: str, content_type: str = "") -> None:
        asset_id = result_id(self.attempt_id, len(self._writers))
        writing = self.assets.create(filename, content_type, asset_id, is_result=True, tenant=self.tenant)
        self._writers.append(await self._stack.enter_async_context(writing))


def stored_result(summary: encoder_pb2.Summary, asset_id: str, file_ids: Sequence[str]) -> model.Result:
    """Return the results of a summary as the record names them ("": there is none). Raises DataLoss for a summary of
    other results, or that tells what cannot be."""
    _check_told(summary)
    if len(file_ids) != len(summary.files):
        raise DataLoss("The results are not those that the worker's summary names.", reason="FILES_MISMATCH")
    return model.Result(
        asset=PREFIX + asset_id if asset_id else "",
        frames=summary.frames,
        duration_seconds=round(summary.duration_seconds, 6),
        size_bytes=summary.size_bytes + sum(file.size_bytes for file in summary.files) if asset_id else 0,
        codec=summary.codec,
        report=summary.media.SerializeToString(),
        playback=summary.playback.SerializeToString(),
        codec_reason=summary.codec_reason,
        frames_copied=max(summary.frames_copied, 0),
        encode_seconds=round(max(summary.encode_seconds, 0.0), 3),
        facts=media_facts.stored(summary),
        whole_reason=summary.whole_reason,
        warnings=tuple(model.ResultWarning(w.reason, w.message, dict(w.metadata)) for w in summary.warnings),
        content_type=summary.content_type,
        files=tuple(
            model.ResultFile(checked_filename(file.name), PREFIX + file_id, file.content_type)
            for file, file_id in zip(summary.files, file_ids, strict=True)
        ),
    )


def _digest(told: encoder_pb2.Summary | encoder_pb2.ResultFile) -> str:
    """Return the SHA-256 that is told of a result. Raises DataLoss where none is."""
    if not told.sha256:
        raise DataLoss("The encoder's summary has no SHA-256 of a result.", reason="DIGEST_MISSING")
    return told.sha256


def _check_ranges(summary: encoder_pb2.Summary, inputs: Sequence[Input]) -> None:
    """Raise DataLoss for ranges that are not of inputs that a result may be composed of."""
    if len(summary.composed) > MAX_COMPOSED or summary.files:
        raise not_composed("it has more of them than one can have")
    for found in summary.composed:
        is_known = found.input < len(inputs) and inputs[found.input].open_index is not None
        if not (is_known and 0 <= found.start < found.end):
            raise not_composed(f"there is no range {found.start} to {found.end} of its input {found.input}")


def _check_told(summary: encoder_pb2.Summary) -> None:
    if summary.composed:
        raise not_composed("it came by another way than results that can be composed")
    if summary.index_bytes > summary.size_bytes:
        raise DataLoss("The index of the result is larger than the result.", reason="BAD_INDEX")
    if summary.media.ByteSize() > MAX_REPORT_BYTES:
        raise DataLoss("The encoder's report is larger than one can be.", reason="REPORT_TOO_LARGE")
    fault = playback_fault(summary.playback, summary.size_bytes) if summary.HasField("playback") else ""
    if fault:
        raise DataLoss(f"The result cannot play as the encoder says: {fault}.", reason="BAD_PLAYBACK")


def result_id(attempt_id: str, number: int) -> str:
    """Return the id of the asset of an attempt's result, as unguessable as that of the attempt: so what a gateway
    stored that was killed before it could write it down is found."""
    return derived_id(f"{attempt_id}.{number}")


async def delete_orphaned_results(assets: AssetStore, task: model.Task, max_files: int) -> None:
    """Delete what the gateways of attempts stored at a task that has ended, and were killed before they could write it
    down."""
    kept = {task.asset, *(file.asset for file in task.files)}
    # The newest one too, unless it was the only one, and completed the task: then all its results are on record.
    is_on_record = task.status is model.Status.COMPLETED and not task.superseded
    attempts = () if is_on_record else (*task.superseded, task.attempt_id)
    found = [result_id(attempt_id, number) for attempt_id in attempts if attempt_id for number in range(max_files + 1)]
    for asset_id in found:
        with contextlib.suppress(ServiceError):
            if PREFIX + asset_id not in kept:
                await assets.remove(asset_id)


async def delete_result(assets: AssetStore, result: model.Result) -> None:
    """Delete the assets of a result that no record names."""
    names = (result.asset, *(file.asset for file in result.files))
    await delete_assets(assets, [parse_name(name) for name in names if name])


async def delete_assets(assets: AssetStore, ids: Sequence[str]) -> None:
    """Delete the assets, those that the store gives up on excepted: they expire."""
    for asset_id in ids:
        with contextlib.suppress(ServiceError):
            await assets.delete(asset_id)


def checked_filename(name: str) -> str:
    """Return a file name as an encoder gives it. Raises DataLoss for one that is none, or too long for a record."""
    if not name or clean_filename(name) != name or len(name.encode()) > MAX_FILENAME_BYTES:
        raise DataLoss("A result of the encoder has a name that no file can have.", reason="BAD_FILENAME")
    return name
