"""Sources: the files that `url_…` fields name, wherever they are, opened and read as streams."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from gateway.assets.links import LinkSigner
from gateway.assets.record import PREFIX, parse_name
from gateway.assets.store import AssetStore
from gateway.sources import urls
from gateway.sources.fetch import Fetcher, Source

__all__ = ["Source", "Sources"]


@dataclass(frozen=True)
class Sources:
    """Opens sources by the form of their text: the name of an asset ("assets/<id>"), or an http(s) URL. A link to an
    asset that this service signed is opened as the asset: no gateway fetches from itself."""

    fetcher: Fetcher
    assets: AssetStore
    links: LinkSigner | None = None

    def check(self, source: str) -> None:
        """Raise InvalidArgument for a text that `open` cannot take; does no I/O."""
        if source.startswith(PREFIX):
            parse_name(source)
        else:
            urls.parse(source)

    def open(self, source: str) -> AbstractAsyncContextManager[Source]:
        """Open the source. Raises what Fetcher.open and AssetStore.read raise, InvalidArgument for other forms,
        PermissionDenied for a link of ours that has expired."""
        asset_id = self.asset_id(source)
        return self._open_asset(asset_id) if asset_id else self.fetcher.open(source)

    def asset_id(self, source: str) -> str | None:
        """Return the id of the asset that the text names or links to; None for what is to be fetched."""
        if source.startswith(PREFIX):
            return parse_name(source)
        if self.links is None:
            return None
        url = urls.parse(source)
        return self.links.asset_id(url.path, url.query.decode("ascii"))

    @asynccontextmanager
    async def _open_asset(self, asset_id: str) -> AsyncIterator[Source]:
        asset = await self.assets.describe(asset_id)
        yield Source(asset.filename, asset.size_bytes, lambda: self.assets.read(asset.id), asset.charset)
