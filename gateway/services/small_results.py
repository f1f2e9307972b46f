"""Small results, which go along with the news that their job has ended."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress

from apigpu.v1 import jobs_pb2 as pb2
from gateway.assets.record import parse_name
from gateway.assets.store import AssetStore
from gateway.callers import caller
from gateway.jobs.followers import MAX_OFFERED_BYTES
from gateway.metrics import CLIENT, OUT, transferred
from servicekit.errors import InvalidArgument, ServiceError

# As many as come at once by the flow control of HTTP/2, and as a stored file of is read in one turn.
MAX_RESULT_BYTES = MAX_OFFERED_BYTES
# A store that is slow to answer holds up the news no longer.
READ_SECONDS = 2.0

_count_sent = transferred(OUT, CLIENT)


def check_most(most_bytes: int) -> None:
    """Raise InvalidArgument for more bytes than a result may have that goes along."""
    if not 0 <= most_bytes <= MAX_RESULT_BYTES:
        raise InvalidArgument.field("max_result_bytes", f"is {most_bytes}; give 0 to {MAX_RESULT_BYTES}.")


async def small_result(
    assets: AssetStore,
    job: pb2.Job,
    most_bytes: int,
    read_seconds: float = READ_SECONDS,
    held: Callable[[str], bytes] = lambda asset: b"",
) -> bytes:
    """Return the bytes of the result of an ended job, as they are `held`, by the name of the asset, or in the store
    now; b"" where it has none, or more than so many, or the store takes longer than `read_seconds`. What is wrong with
    the file is told to whoever downloads it."""
    if not (most_bytes and job.output.HasField("asset")):
        return b""
    if 0 < len(data := held(job.output.asset)) <= most_bytes:
        _count_sent(len(data))
        return data
    with suppress(ServiceError, TimeoutError):
        async with asyncio.timeout(read_seconds):
            return await _read(assets, job, most_bytes)
    return b""


async def _read(assets: AssetStore, job: pb2.Job, most_bytes: int) -> bytes:
    asset = await assets.find(parse_name(job.output.asset), caller.get().sight)
    if asset.size_bytes > most_bytes:
        return b""
    data = b"".join([chunk async for chunk in assets.read(asset)])
    if hashlib.sha256(data).hexdigest() != asset.sha256:
        return b""
    _count_sent(len(data))
    return data
