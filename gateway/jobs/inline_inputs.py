"""Inputs that stand in the request itself, as data: URIs: they become assets when the job is submitted, so that records
stay small."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

from apigpu.v1 import video_pb2
from gateway.jobs import operation
from gateway.jobs.claims import IdempotencyKey
from gateway.metrics import CLIENT, IN, transferred
from gateway.sources import Sources
from gateway.sources.inline import is_inline
from servicekit.errors import InvalidArgument
from servicekit.tasks import cancel_and_wait

# Inputs of one request.
STORED_AT_ONCE = 8

_count_received = transferred(IN, CLIENT)


@contextlib.asynccontextmanager
async def stored_inline(
    sources: Sources,
    wanted: video_pb2.Operation,
    tenant: str,
    key: IdempotencyKey | None = None,
    until_claimed: Callable[[], Awaitable[object]] | None = None,
) -> AsyncIterator[video_pb2.Operation]:
    """Yield the operation with an asset of the tenant in place of each data: URI. They are read at once, and stored
    once `until_claimed` has returned; those of a request with a key are looked for before.

    The assets expire as uploads do; they are deleted where the block fails. Those of a request with a key are the same
    each time that it comes, also where a gateway was killed at it, and stay: another gateway may have made the job of
    them. Raises what Sources.store and `until_claimed` raise.
    """
    paths = {text: path for path, text in operation.inputs(operation.kind(wanted)[1]) if is_inline(text)}
    if not paths:
        yield wanted
        return
    async with contextlib.AsyncExitStack() as undo:
        try:
            names = await _store_all(sources, paths, tenant, undo, key, until_claimed)
        except InvalidArgument:  # as at any other gateway
            raise
        except BaseException:
            if key is not None:
                undo.pop_all()
            raise
        if key is not None:
            undo.pop_all()
        stored = video_pb2.Operation()
        stored.CopyFrom(wanted)
        operation.replace_inputs(operation.kind(stored)[1], lambda text: (names.get(text, text),))
        yield stored
        undo.pop_all()


async def _store_all(
    sources: Sources,
    paths: Mapping[str, str],
    tenant: str,
    undo: contextlib.AsyncExitStack,
    key: IdempotencyKey | None,
    until_claimed: Callable[[], Awaitable[object]] | None,
) -> dict[str, str]:
    """Return the names of the assets that data: URIs are stored as; `undo` deletes those that were not there."""
    turns = asyncio.Semaphore(STORED_AT_ONCE)
    names: dict[str, str] = {}

    async def store(text: str, path: str) -> None:
        async with turns:
            with naming(path):
                asset_id = "" if key is None else key.asset_id(text)
                found = await sources.stored(asset_id, tenant) if asset_id else None
                asset = found or await sources.store(text, tenant, asset_id, until_claimed)
            if found is None:  # of one that was there before there may be a job
                undo.push_async_callback(sources.assets.remove, asset.id)
            names[text] = asset.name
            _count_received(asset.size_bytes)

    storing = [asyncio.create_task(store(text, path)) for text, path in paths.items()]
    try:
        for task in storing:
            await task
    finally:
        await cancel_and_wait(*storing)
    return names


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Name the field in an InvalidArgument that the block raises."""
    try:
        yield
    except InvalidArgument as error:
        raise InvalidArgument.field(path, error.message, reason=error.reason) from error
