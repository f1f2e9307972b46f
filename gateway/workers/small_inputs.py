"""Inputs that come with their task, as they are small: no turn is taken for each of them, nor one until the task is
accepted."""

import asyncio

from apigpu.encoder.v1 import encoder_pb2
from gateway.workers.base import EncodeJob, Input, InputFailed, about, empty
from servicekit.chunks import MAX_SMALL_BYTES, Checksum
from servicekit.errors import ServiceError


def are_small(job: EncodeJob) -> bool:
    """Return True for a task whose inputs are all known to be whole, and small together: of those that are not known a
    look would take the time that it is to save."""
    sizes = [entry.size_bytes for entry in job.inputs if _is_whole(entry)]
    known = [size for size in sizes if size is not None]
    return 0 < len(job.inputs) == len(known) and sum(known) <= MAX_SMALL_BYTES


async def read(job: EncodeJob) -> list[encoder_pb2.SmallInput]:
    """Return the inputs of a task, where they are small; else none. Raises InputFailed."""
    if not are_small(job):
        return []
    return list(await asyncio.gather(*(_read(index, entry, job) for index, entry in enumerate(job.inputs))))


def _is_whole(entry: Input) -> bool:
    return not entry.has_holes and entry.open_index is None


async def _read(index: int, entry: Input, job: EncodeJob) -> encoder_pb2.SmallInput:
    checksum, parts = Checksum(), []
    try:
        async with entry.open() as source:
            job.versions[entry.source] = source.version
            async for data in source.chunks():
                checksum.add(data)
                parts.append(data)
            if not checksum.size_bytes:
                raise empty()
    except ServiceError as error:
        raise InputFailed(about(entry.field, error)) from error
    end = encoder_pb2.InputEnd(
        input=index, size_bytes=checksum.size_bytes, sha256=checksum.sha256, charset=source.charset
    )
    return encoder_pb2.SmallInput(data=b"".join(parts), end=end)
