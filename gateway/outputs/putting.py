"""Puts one file to where it is wanted: to a URL that its owner signed, or into a bucket by signed requests."""

import contextlib
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from gateway.assets.presigned import MAX_PUT_BYTES, presigned_headers, with_default
from gateway.assets.store import AssetStore, StoredAsset
from gateway.jobs.outputs import S3
from gateway.metrics import OUT, OUTPUT, transferred
from gateway.outputs.destinations import Destination, Destinations
from gateway.outputs.plan import PutOutcome
from gateway.outputs.receipt import outcome
from gateway.sources.send import Sender
from servicekit.errors import ServiceError, Unavailable

# What a receiver must take on average; and what it may take beside.
MIN_BYTES_PER_SECOND = 32 * 1024
BASE_SECONDS = 60.0
EMPTY = hashlib.sha256(b"").hexdigest()
TEST_KEY, TEST_TEXT = "api-gpu-test.txt", b"Put by api-gpu to see whether it may. This file is of no use any more.\n"


_count_put = transferred(OUT, OUTPUT)


@dataclass(eq=False)
class _Reading:
    """The bytes of an asset on their way: how many were read, and their digest."""

    assets: AssetStore
    asset: StoredAsset
    size_bytes: int = 0
    digest: "hashlib._Hash" = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self.assets.read(self.asset)) as chunks:
            async for chunk in chunks:
                self.size_bytes += len(chunk)
                _count_put(len(chunk))
                self.digest.update(chunk)
                yield chunk


@dataclass(frozen=True)
class OutputPutter:
    """Puts assets to URLs and into buckets. What fails is in the outcome."""

    assets: AssetStore
    destinations: Destinations
    sender: Sender

    async def put(self, tenant: str, url: str, asset_id: str, given: Mapping[str, str]) -> PutOutcome:
        """Put an asset to a URL, or an object that "s3://BUCKET/KEY" names, with the headers of its owner."""
        try:
            asset = await self.assets.describe(asset_id, tenant)
            if url.startswith(S3):
                bucket, _, key = url.removeprefix(S3).partition("/")
                destination = await self.destinations.get(tenant, bucket)
                headers = with_default(given, "Content-Type", asset.content_type)
                return await self._put_object(destination, key, asset, headers)
            headers = presigned_headers(url, given, asset.content_type)
            return await self._put(url, headers, asset, is_signed=False)
        except ServiceError as error:
            return PutOutcome(error.message, not is_passing(error))

    async def test(self, destination: Destination) -> PutOutcome:
        """Put a small object into a bucket, and delete it if that is allowed."""
        url, digest = destination.url(TEST_KEY), hashlib.sha256(TEST_TEXT).hexdigest()
        try:
            headers = self.destinations.signed(destination, "PUT", url, {"Content-Type": "text/plain"}, digest)
            answer = await self.sender.send(str(url), headers, TEST_TEXT, "PUT")
            md5 = hashlib.md5(TEST_TEXT, usedforsecurity=False).digest()
            found = outcome(str(url), answer, md5, is_whole=True, is_signed=True)
            if not found.error:
                headers = self.destinations.signed(destination, "DELETE", url, {}, EMPTY)
                await self.sender.send(str(url), headers, method="DELETE")
        except ServiceError as error:
            return PutOutcome(error.message)
        return found

    async def _put_object(
        self, destination: Destination, key: str, asset: StoredAsset, given: Mapping[str, str]
    ) -> PutOutcome:
        url = destination.url(key)
        headers = self.destinations.signed(destination, "PUT", url, given, asset.sha256)
        found = await self._put(str(url), headers, asset, is_signed=True)
        if found.error:
            return found
        # Where the credentials may read, what is there now is looked at.
        headers = self.destinations.signed(destination, "HEAD", url, {}, EMPTY)
        with contextlib.suppress(ServiceError):
            answer = await self.sender.send(str(url), headers, method="HEAD")
            size = answer.headers.get("content-length", "")
            if answer.status == 200 and size != str(asset.size_bytes):
                return PutOutcome(
                    f"The object has {size[:20]} bytes after it was put, and the result {asset.size_bytes}."
                )
        return found

    async def _put(self, url: str, headers: Mapping[str, str], asset: StoredAsset, *, is_signed: bool) -> PutOutcome:
        if asset.size_bytes > MAX_PUT_BYTES:
            text = f"The result has {asset.size_bytes} bytes, and one PUT takes {MAX_PUT_BYTES}; fetch it by its link."
            return PutOutcome(text, is_final=True)
        reading = _Reading(self.assets, asset)
        seconds = BASE_SECONDS + asset.size_bytes / MIN_BYTES_PER_SECOND
        answer = await self.sender.put(url, headers, asset.size_bytes, reading.chunks, seconds)
        is_whole = reading.size_bytes == asset.size_bytes
        return outcome(url, answer, reading.digest.digest(), is_whole=is_whole, is_signed=is_signed)


def is_passing(error: ServiceError) -> bool:
    """Return True for an error that another attempt may get around: the network's, a store's, a name server's."""
    return isinstance(error, Unavailable) or error.reason in ("FETCH_FAILED", "NO_SUCH_HOST", "BAD_CERTIFICATE")
