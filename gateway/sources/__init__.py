"""Sources: the files that `url_…` fields name, wherever they are, opened and read as streams."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from gateway.assets.record import PREFIX, parse_name
from gateway.assets.store import AssetStore
from gateway.sources import urls
from gateway.sources.fetch import Fetcher, Source

__all__ = ["Source", "Sources"]


@dataclass(frozen=True)
class Sources:
    """Opens sources by the form of their text: the name of an asset ("assets/<id>"), or an http(s) URL."""

    fetcher: Fetcher
    assets: AssetStore

    def check(self, source: str) -> None:
        """Raise InvalidArgument for a text that `open` cannot take; does no I/O."""
        if source.startswith(PREFIX):
            parse_name(source)
        else:
            urls.parse(source)

    def open(self, source: str) -> AbstractAsyncContextManager[Source]:
        """Open the source. Raises what Fetcher.open and AssetStore.read raise, InvalidArgument for other forms."""
        return self._open_asset(parse_name(source)) if source.startswith(PREFIX) else self.fetcher.open(source)

    @asynccontextmanager
    async def _open_asset(self, asset_id: str) -> AsyncIterator[Source]:
        asset = await self.assets.describe(asset_id)
        yield Source(asset.filename, asset.size_bytes, lambda: self.assets.read(asset.id))
