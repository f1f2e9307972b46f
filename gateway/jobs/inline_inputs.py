"""Inputs that stand in the request itself, as data: URIs: they become assets when the job is submitted, so that records
stay small."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from types import MappingProxyType

from apigpu.v1 import video_pb2
from gateway.assets.store import StoredAsset
from gateway.jobs import operation
from gateway.jobs.claims import IdempotencyKey
from gateway.metrics import CLIENT, IN, transferred
from gateway.sources import Sources
from gateway.sources.inline import is_inline
from servicekit.errors import InvalidArgument
from servicekit.tasks import cancel_and_wait

# Inputs of one request.
STORED_AT_ONCE = 8
NONE: Mapping[str, StoredAsset] = MappingProxyType({})

_count_received = transferred(IN, CLIENT)


async def find_inline(
    sources: Sources, wanted: video_pb2.Operation, tenant: str, key: IdempotencyKey | None
) -> Mapping[str, StoredAsset]:
    """Return what the data: URIs of a request with a key are stored as by an earlier try, as far as they are. Raises
    what Sources.stored raises."""
    found: dict[str, StoredAsset] = {}
    if key is None:
        return found
    for text in {text for _, text in operation.inputs(operation.kind(wanted)[1]) if is_inline(text)}:
        if (asset := await sources.stored(key.asset_id(text), tenant)) is not None:
            found[text] = asset
    return found


@contextlib.asynccontextmanager
async def stored_inline(
    sources: Sources,
    wanted: video_pb2.Operation,
    tenant: str,
    key: IdempotencyKey | None = None,
    found: Mapping[str, StoredAsset] = NONE,
) -> AsyncIterator[video_pb2.Operation]:
    """Yield the operation with an asset of the tenant in place of each data: URI; those that were `found` are there.

    The assets expire as uploads do; they are deleted where the block fails. Those of a request with a key are the same
    each time that it comes, also where a gateway was killed at it, and stay: another gateway may have made the job of
    them. Raises what Sources.store raises.
    """
    paths = {text: path for path, text in operation.inputs(operation.kind(wanted)[1]) if is_inline(text)}
    if not paths:
        yield wanted
        return
    async with contextlib.AsyncExitStack() as undo:
        try:
            names = await _store_all(sources, paths, tenant, undo, key, found)
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
    found: Mapping[str, StoredAsset],
) -> dict[str, str]:
    """Return the names of the assets that data: URIs are stored as; `undo` deletes them."""
    turns = asyncio.Semaphore(STORED_AT_ONCE)
    names: dict[str, str] = {}

    async def store(text: str, path: str) -> None:
        async with turns:
            with naming(path):
                asset_id = "" if key is None else key.asset_id(text)
                asset = found.get(text) or await sources.store(text, tenant, asset_id)
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
