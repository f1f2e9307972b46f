"""Sources: what a `url_…` field names, opened and read as a stream, wherever it is."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway.assets.record import PREFIX, parse_name
from gateway.assets.store import AssetStore
from gateway.sources import urls
from gateway.sources.assets import opened
from gateway.sources.fetch import Fetcher

__all__ = ["Source", "Sources"]


class Source(Protocol):
    """An open source. Its bytes can be read once."""

    @property
    def filename(self) -> str:
        """Name of the file, without folders; may be empty."""

    @property
    def size_bytes(self) -> int | None:
        """Bytes, where known beforehand."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes in chunks of CHUNK_BYTES, the last one excepted. An end that comes too early is an error."""


class Sources:
    """Opens sources by the form of their text: the name of an asset ("assets/<id>"), or an http(s) URL."""

    def __init__(self, fetcher: Fetcher, assets: AssetStore) -> None:
        self._fetcher = fetcher
        self._assets = assets

    def check(self, source: str) -> None:
        """Hold the form of the text alone against what `open` takes; no I/O. Raises InvalidArgument."""
        if source.startswith(PREFIX):
            parse_name(source)
        else:
            urls.parse(source)

    def open(self, source: str) -> AbstractAsyncContextManager[Source]:
        """Open the source. Raises what Fetcher.open and AssetStore.read raise, InvalidArgument for other forms."""
        if source.startswith(PREFIX):
            return opened(self._assets, parse_name(source))
        return self._fetcher.open(source)
