"""Where the gateway keeps what it keeps: records in NATS, files and uploads in the asset store, and links to these."""

import asyncio
import contextlib
from dataclasses import dataclass

import structlog

from gateway.assets.bucket import Bucket, storage_floor
from gateway.assets.direct import DirectLinks
from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.config import GatewaySettings
from gateway.jetstream.connection import JetStream
from gateway.jetstream.guard import StoreGuard, make_room
from gateway.kept_secrets import link_secret
from gateway.uploads.sessions import UploadSessions
from gateway.uploads.setup import open_uploads
from servicekit.tasks import cancel_and_wait, repeat

log = structlog.get_logger("gateway")

SWEEP_SECONDS = 600.0


@dataclass(frozen=True)
class Storage:
    """What records, files and uploads are kept in."""

    jetstream: JetStream
    guard: StoreGuard
    assets: AssetStore
    uploads: UploadSessions
    links: LinkSigner
    direct: DirectLinks

    @classmethod
    async def open(cls, settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> "Storage":
        """Connect to NATS, and open the rest, until `stack` ends; what has expired is deleted meanwhile. Raises
        ConfigError."""
        jetstream, guard = await _jetstream(settings, stack)
        assets = AssetStore(
            Bucket(settings.assets_location, settings.data_dir / "staged"),
            retention_seconds=settings.asset_retention_seconds,
            max_bytes=settings.max_asset_bytes,
            min_free_bytes=settings.min_free_bytes,
        )
        bucket = await jetstream.key_value("uploads")
        uploads = await open_uploads(bucket, assets, settings.upload_expire_seconds, stack)
        links = LinkSigner(link_secret(settings), settings.link_ttl_seconds)
        direct = DirectLinks(assets, links, settings.bucket_links)
        for sweeping in (
            repeat("cannot sweep assets", SWEEP_SECONDS, lambda: _sweep(assets)),
            repeat("cannot sweep uploads to the bucket", SWEEP_SECONDS, direct.sweep),
        ):
            stack.push_async_callback(cancel_and_wait, asyncio.create_task(sweeping))
        return cls(jetstream, guard, assets, uploads, links, direct)

    def check_room(self) -> None:
        """Raise ResourceExhausted for a new job while there is room neither for its record nor for its results."""
        self.guard.check_room()
        self.assets.check_room_for_results()


async def _jetstream(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> tuple[JetStream, StoreGuard]:
    """Connect to NATS, or start one of our own, on a disk with room for it. Raises ConfigError."""
    folder = settings.data_dir / "nats"
    floor = storage_floor(settings.data_dir, settings.min_free_bytes)
    make_room(folder, floor)
    jetstream = await JetStream.open(settings.nats_url, folder, settings.nats_connect_seconds, settings.nats_replicas)
    stack.push_async_callback(jetstream.close)
    return jetstream, StoreGuard(jetstream, floor, folder)


async def _sweep(assets: AssetStore) -> None:
    if deleted := await assets.sweep():
        log.info("expired assets deleted", count=deleted)
