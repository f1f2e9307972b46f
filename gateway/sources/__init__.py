"""Sources: the files that `url_…` fields name, wherever they are, opened and read as streams."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace

from gateway.assets.links import LinkSigner
from gateway.assets.record import PREFIX, parse_name
from gateway.assets.store import AssetStore, StoredAsset
from gateway.sources import inline, urls
from gateway.sources.fetch import Fetcher
from gateway.sources.just_stored import HeldInput, JustStored
from gateway.sources.opened import Chunks, Source
from gateway.sources.outline import MIN_BYTES, ByteRanges, headed, longest_index, outlined, ranged
from gateway.sources.spools import Spool, Spools
from servicekit.chunks import CHUNK_BYTES
from servicekit.errors import NotFound

# Of a data: URI that is parsed in a fraction of a millisecond, which is less than a thread takes.
SMALL_CHARACTERS = 64 * 1024

__all__ = ["ByteRanges", "Source", "Sources"]


@dataclass(frozen=True)
class Sources:
    """Opens sources by the form of their text: the name of an asset ("assets/<id>"), or an http(s) URL. A link to an
    asset that this service signed is opened as the asset: no gateway fetches from itself. What a data: URI holds is
    stored as an asset, and opened as that.

    What is opened for a job, and cannot be read in parts, is kept for it in `spools`, if there are any; what was stored
    for it a moment ago is held in `just_stored`."""

    fetcher: Fetcher
    assets: AssetStore
    links: LinkSigner | None = None
    spools: Spools | None = None
    just_stored: JustStored = field(default_factory=JustStored)

    def __post_init__(self) -> None:
        if self.just_stored.told not in self.assets.listeners:  # as it is of one with other spools
            self.assets.listeners.append(self.just_stored.told)

    def check(self, source: str) -> None:
        """Raise InvalidArgument for a text that neither `open` nor `store` can take; does no I/O."""
        if source.startswith(PREFIX):
            parse_name(source)
        elif inline.is_inline(source):
            inline.check(source)
        else:
            urls.parse(source)

    async def store(
        self,
        source: str,
        tenant: str,
        asset_id: str = "",
        until_wanted: Callable[[], Awaitable[object]] | None = None,
    ) -> StoredAsset:
        """Store what a data: URI holds, as an upload of a tenant is stored, under an id if one is given; it is read at
        once, and there is no asset before `until_wanted` has returned. Raises InvalidArgument, and what that and
        AssetStore raise."""
        is_small = len(source) <= SMALL_CHARACTERS
        file = inline.parse(source) if is_small else await asyncio.to_thread(inline.parse, source)
        async with self.assets.create(file.filename, file.content_type, asset_id, tenant=tenant) as writer:
            writer.charset = file.charset
            writer.check_size(len(file.data))
            for start in range(0, len(file.data), CHUNK_BYTES):
                await writer.write(file.data[start : start + CHUNK_BYTES])
            if until_wanted is not None:
                await until_wanted()
            asset = await writer.commit()
        self.just_stored.add(asset, file.data)
        return asset

    async def stored(self, asset_id: str, tenant: str) -> StoredAsset | None:
        """Return what a data: URI was stored as under an id, if it was. Raises what AssetStore raises."""
        with contextlib.suppress(NotFound):
            return await self.assets.describe(asset_id, tenant)
        return None

    def open(self, source: str, tenant: str, job_id: str = "") -> AbstractAsyncContextManager[Source]:
        """Open the source for a tenant: an asset must be its own, a link opens for whoever has it; where it is kept for
        a job, that. Raises what Fetcher.open and AssetStore.read raise, InvalidArgument for other forms,
        PermissionDenied for a link of ours that has expired."""
        if self.spools is not None and (spool := self.spools.find(job_id, source)) is not None:
            return spool.open()
        asset_id = self.asset_id(source)
        if asset_id is None:
            return self.fetcher.open(source)
        if source.startswith(PREFIX) and (held := self.just_stored.take(asset_id, job_id, tenant)) is not None:
            return contextlib.nullcontext(self._opened_held(held))
        return self._open_asset(asset_id, tenant if source.startswith(PREFIX) else None)

    @asynccontextmanager
    async def open_outline(
        self, source: str, tenant: str, min_bytes: int = MIN_BYTES, job_id: str = ""
    ) -> AsyncIterator[Source]:
        """Open the source, as `open` does; of one of `min_bytes` or more an outline, where there is a way to read its
        end alone. Of one that is kept for a job as it comes, the outline is its head."""
        async with contextlib.AsyncExitStack() as stack:
            whole, spool = await self._kept(source, tenant, job_id, stack)
            if spool is None or spool.is_whole:
                yield await outlined(whole, stack, min_bytes)
            elif (part := spool.source.part) is not None:
                yield await outlined(replace(whole, part=part), stack, min_bytes)
            else:
                yield headed(whole, min_bytes, longest_index(whole))

    @asynccontextmanager
    async def open_head(self, source: str, tenant: str) -> AsyncIterator[Source]:
        """Open the source, as `open` does; of a large one the beginning, where there is a way to read parts of it."""
        async with self.open(source, tenant) as whole:
            yield headed(whole)

    @asynccontextmanager
    async def open_ranges(
        self, source: str, tenant: str, ranges: ByteRanges, job_id: str = ""
    ) -> AsyncIterator[Source]:
        """Open the source, as `open` does, with these ranges of it alone, where there is a way to; of one that is kept
        for a job as it comes, once they have. Raises FailedPrecondition for one that is not what it was when they were
        planned, and StillComing."""
        async with contextlib.AsyncExitStack() as stack:
            whole, spool = await self._kept(source, tenant, job_id, stack)
            if spool is not None:
                await spool.until(ranges.ranges[-1][1] if whole.size_bytes is not None else sys.maxsize)
                whole = replace(whole, size_bytes=spool.size_bytes)
            yield await ranged(whole, ranges, stack)

    @asynccontextmanager
    async def open_index(self, source: str, tenant: str) -> AsyncIterator[Source]:
        """Open the index of an asset, the rest left out; all of one that has none. Raises what `open` raises."""
        asset = await self.assets.find(parse_name(source), tenant)
        whole = self._opened(asset)
        if not 0 < asset.index_bytes < asset.size_bytes:
            yield whole
            return
        index = ByteRanges(asset.size_bytes, ((asset.size_bytes - asset.index_bytes, asset.size_bytes),))
        async with contextlib.AsyncExitStack() as stack:
            yield await ranged(whole, index, stack)

    async def _kept(
        self, source: str, tenant: str, job_id: str, stack: contextlib.AsyncExitStack
    ) -> tuple[Source, Spool | None]:
        """Open a source of which tasks of a job need parts: as it is, or as it is kept, where that is the only way to
        read parts of one and the same file."""
        spool = self.spools.find(job_id, source) if self.spools is not None else None
        if spool is None:
            download = await stack.enter_async_context(contextlib.AsyncExitStack())
            whole = await download.enter_async_context(self.open(source, tenant))
            if self.spools is not None and job_id and self.asset_id(source) is None:
                spool = await self.spools.begin(job_id, source, whole, download)
            if spool is None:
                return whole, None
            opened = await stack.enter_async_context(spool.open())
            await download.aclose()  # which is the spool's, unless another task began that meanwhile
            return opened, spool
        return await stack.enter_async_context(spool.open()), spool

    def known_bytes(self, source: str) -> int | None:
        """Return the size of a source that was stored here a moment ago; None of any other."""
        known = self.assets.known.get(source.removeprefix(PREFIX)) if source.startswith(PREFIX) else None
        return known.size_bytes if known is not None else None

    def asset_id(self, source: str) -> str | None:
        """Return the id of the asset that the text names or links to; None for what is to be fetched."""
        if source.startswith(PREFIX):
            return parse_name(source)
        if self.links is None:
            return None
        url = urls.parse(source)
        return self.links.asset_id(url.path, url.query.decode("ascii"))

    @asynccontextmanager
    async def _open_asset(self, asset_id: str, tenant: str | None) -> AsyncIterator[Source]:
        yield self._opened(await self.assets.find(asset_id, tenant))

    def _opened_held(self, held: HeldInput) -> Source:
        async def chunks() -> AsyncIterator[bytes]:
            yield held.data

        return replace(self._opened(held.asset), chunks=chunks)

    def _opened(self, asset: StoredAsset) -> Source:
        @asynccontextmanager
        async def part(start: int, end: int) -> AsyncIterator[Chunks]:
            yield lambda: self.assets.read(asset, start, end - start)

        return Source(asset.filename, asset.size_bytes, lambda: self.assets.read(asset), asset.charset, part=part)
