"""Past the gateway: links of the bucket itself, by which files are downloaded and uploaded without its line.

An upload goes to a place of its own, where whoever has the link may still write while it is looked at. So it is copied
by the bucket first; what is examined, and becomes the asset, is the copy.
"""

import contextlib
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.assets.links import LinkSigner
from gateway.assets.parts import new_token, part_path
from gateway.assets.presigned import MAX_PUT_BYTES, presigned_headers
from gateway.assets.record import PREFIX, AssetPart, StoredAsset, clean_filename, new_id
from gateway.assets.record import content_type as media_type
from gateway.assets.store import ABANDONED_AFTER, AssetStore
from servicekit.chunks import Checksum
from servicekit.codec import from_json, to_json
from servicekit.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, ServiceError
from servicekit.tasks import run_to_completion

# Of what is uploaded and not an asset yet.
STAGING = "direct/"
PURPOSE = "direct upload"
UPLOAD_SECONDS = 6 * 3600.0
# Of S3 and Google Cloud Storage, for signatures of version 4.
MAX_LINK_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """An upload that a link was made for: the asset that it is to become, its name, media type and bytes, and whose it
    is."""

    id: str
    filename: str
    content_type: str
    size_bytes: int
    tenant: str


@dataclass(frozen=True)
class SignedUpload:
    """A link that takes a file by PUT with these headers until it expires, and what `commit` is called with then."""

    url: str
    headers: dict[str, str]
    token: str
    expires_at: datetime


@dataclass(frozen=True)
class DirectLinks:
    """The links of the bucket, where the operator wants them. Every method may raise Unavailable."""

    assets: AssetStore
    links: LinkSigner
    is_enabled: bool

    async def location(self, asset: StoredAsset, seconds: float) -> str | None:
        """Return a link by which the bucket serves a file as what it is, for so long; None where it does not."""
        if not self.is_enabled or not asset.bucket_type or asset.bucket_type != asset.content_type:
            return None
        return await self.assets.bucket.signed_url(PREFIX + asset.id, max(1.0, min(seconds, MAX_LINK_SECONDS)))

    async def begin(self, filename: str, content_type: str, size_bytes: int, tenant: str) -> SignedUpload:
        """Return a link for a file of that size. Raises FailedPrecondition, InvalidArgument, ResourceExhausted."""
        limit = min(self.assets.max_bytes, MAX_PUT_BYTES)
        if size_bytes <= 0:
            raise InvalidArgument.field("size_bytes", "is missing; give the bytes of the file.")
        if size_bytes > limit:
            text = (
                f"The file has more than the {limit} bytes that a link takes; upload it to /assets, or a smaller one."
            )
            raise ResourceExhausted(text, reason="ASSET_TOO_LARGE", metadata={"max_bytes": str(limit)})
        self.assets.account.check(tenant, size_bytes)
        name = clean_filename(filename)
        upload = DirectUpload(new_id(), name, media_type(name, content_type), size_bytes, tenant)
        url = None
        if self.is_enabled:
            url = await self.assets.bucket.signed_url(STAGING + upload.id, UPLOAD_SECONDS, "PUT")
        if url is None:
            text = "This gateway makes no links to its bucket (BUCKET_LINKS); upload the file to /assets."
            raise FailedPrecondition(text, reason="NO_BUCKET_LINKS")
        token = self.links.seal(to_json(upload).hex(), PURPOSE)
        expires_at = datetime.now(UTC) + timedelta(seconds=UPLOAD_SECONDS)
        return SignedUpload(url, presigned_headers(url, {}, upload.content_type), token, expires_at)

    async def commit(self, token: str, sha256: str, tenant: str) -> StoredAsset:
        """Make an asset of what was uploaded; of one that is made return it. Raises InvalidArgument (no such token),
        NotFound (nothing was uploaded), DataLoss (other bytes than were announced)."""
        upload = self._opened(token, tenant)
        with contextlib.suppress(NotFound):
            return await self.assets.describe(upload.id, tenant)
        # Of a name of its own: another commit with the token neither writes to it nor deletes it.
        part = AssetPart(f"{new_token()}-0", upload.size_bytes)
        self.assets.account.check(tenant, upload.size_bytes)
        bucket, staged, path = self.assets.bucket, STAGING + upload.id, part_path(upload.id, part.name)
        size_bytes = await bucket.size(staged, "What was to be uploaded")
        if size_bytes != upload.size_bytes:
            text = f"{upload.size_bytes} bytes were announced and {size_bytes} came; upload the file again."
            raise DataLoss(text, reason="SIZE_MISMATCH")
        await bucket.copy(staged, path)
        try:
            checksum = await self._read(path, upload.size_bytes)
            checksum.verify(upload.filename or "The file", size_bytes=await bucket.size(path, path), sha256=sha256)
        except BaseException:
            await run_to_completion(self.assets.remove_parts(upload.id, [part]))
            raise
        return await self._record(upload, part, checksum.sha256)

    async def sweep(self) -> int:
        """Delete what was uploaded and never committed; return how many files that were."""
        # Also where links are not wanted any more: those that are out still work.
        if not self.assets.bucket.is_cloud:
            return 0
        before = datetime.now(UTC) - ABANDONED_AFTER
        found = await self.assets.bucket.list_objects(STAGING.rstrip("/"))
        old = [name for name, written_at in found.items() if written_at < before]
        deleted = 0
        for name in old:
            with contextlib.suppress(ServiceError):
                await self.assets.bucket.delete(STAGING + name)
                deleted += 1
        return deleted

    def _opened(self, token: str, tenant: str) -> DirectUpload:
        text = self.links.unseal(token, PURPOSE)
        if text is None:
            raise InvalidArgument.field("token", "is none that SignUpload answered.", reason="BAD_UPLOAD_TOKEN")
        upload = from_json(DirectUpload, bytes.fromhex(text))
        if upload.tenant != tenant:
            raise InvalidArgument.field("token", "is none that SignUpload answered.", reason="BAD_UPLOAD_TOKEN")
        return upload

    async def _read(self, path: str, size_bytes: int) -> Checksum:
        checksum = Checksum()
        async with aclosing(self.assets.bucket.read(path, 0, size_bytes)) as chunks:
            async for chunk in chunks:
                checksum.add(chunk)
        return checksum

    async def _record(self, upload: DirectUpload, part: AssetPart, sha256: str) -> StoredAsset:
        now = datetime.now(UTC)
        asset = StoredAsset(
            id=upload.id,
            filename=upload.filename,
            content_type=upload.content_type,
            size_bytes=upload.size_bytes,
            sha256=sha256,
            created_at=now,
            expires_at=now + self.assets.retention,
            tenant=upload.tenant,
            parts=(part,),
        )
        await self.assets.add(asset)
        self.assets.account.add(asset.tenant, asset.size_bytes)
        await self.assets.bucket.delete(STAGING + upload.id)
        return asset
