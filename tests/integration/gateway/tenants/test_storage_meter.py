"""What tenants have stored is known to all gateways, and is made good where one was killed."""

import asyncio
import contextlib
import time

import pytest

from gateway.assets.bucket import Bucket
from gateway.assets.store import AssetStore
from gateway.uploads.session import Announcement
from gateway.uploads.setup import open_uploads
from gateway.usage.storage import StorageMeter, StoredBytes, moved
from servicekit.errors import Unavailable
from tests.support.until import until


async def files():
    for size_bytes in (100, 50):
        yield str(size_bytes), "acme", size_bytes


async def meter_of(jetstream, limited=(), found=files):
    buckets = [await jetstream.key_value(name) for name in ("tenants", "stored_claims")]
    return await StorageMeter.open(*buckets, found, lambda: limited, lambda tenant, size_bytes: None)


async def test_gateways_tell_each_other_and_count_anew_what_one_did_not_tell(jetstream):
    limited = ["acme"]

    async def opened():
        return await meter_of(jetstream, limited)

    one, two = await opened(), await opened()
    one.add("acme", 70)
    two.add("acme", 5)
    assert (one.used("acme"), two.used("acme")) == (70, 5)
    await one.flush()
    await two.flush()
    await until(lambda: one.used("acme") == two.used("acme") == 75)
    await two.count_daily()
    await until(lambda: one.used("acme") == 150)
    two.add("acme", -10)
    await two.count_daily()  # not again on the same day
    assert two.used("acme") == 140
    for meter in (one, two):
        await meter.records.stop()


async def test_one_gateway_counts_and_loses_nothing_that_comes_meanwhile(jetstream):
    looks, meters = [], []

    async def files_meanwhile():
        looks.append(1)
        yield "a", "acme", 100
        meters[0].add("acme", 30)
        await meters[0].flush()
        meters[0].add("acme", 4)
        yield "b", "acme", 50
        yield "a", "acme", 100  # an upload that has become a file

    meters += [await meter_of(jetstream, ["acme"], files_meanwhile) for _ in range(2)]
    meters[0].add("acme", 7)
    await asyncio.gather(*(meter.count_daily() for meter in meters))
    await meters[0].flush()
    await asyncio.gather(*(meter.count_daily() for meter in meters))
    await until(lambda: [meter.used("acme") for meter in meters] == [184, 184])
    assert len(looks) == 1
    for meter in meters:
        await meter.records.stop()


@contextlib.asynccontextmanager
async def gateways(jetstream, folder, bucket=Bucket):
    """Two gateways on one store: the uploads of each, which know its assets."""
    async with contextlib.AsyncExitStack() as stack:
        opened = []
        for _ in range(2):
            assets = AssetStore(bucket(str(folder)), retention_seconds=3600, max_bytes=1000)
            assets.account = await meter_of(jetstream)
            stack.push_async_callback(assets.account.records.stop)
            opened.append(await open_uploads(await jetstream.key_value("uploads"), assets, 3600, stack))
        yield opened


async def test_a_file_that_many_delete_at_once_counts_no_more_once(jetstream, tmp_path):
    async with gateways(jetstream, tmp_path) as both:
        one = both[0]
        async with one.assets.create("a", tenant="acme") as writer:
            await writer.write(b"x" * 100)
            asset = await writer.commit()
        upload = await one.create(Announcement(500), "acme")
        one.assets.account.add("acme", 7)  # other files
        deletes = [lambda each: each.assets.delete(asset.id), lambda each: each.delete(upload.id, "acme")]
        calls = [delete(each) for delete in deletes for each in both for _ in range(10)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(answer is None for answer in answers) > 2  # each that looked in time had it deleted
        for each in both:
            await each.assets.account.flush()
        await until(lambda: [each.assets.account.used("acme") for each in both] == [7, 7])


class AnswersLost(Bucket):
    """Puts objects, but nobody is told."""

    async def close_and_put(self, writer, path, data):
        await super().close_and_put(writer, path, data)
        raise Unavailable("The answer was lost.")


async def test_a_commit_of_which_nobody_knows_counts_no_more_once(jetstream, tmp_path):
    async with gateways(jetstream, tmp_path, AnswersLost) as (one, _):
        one.assets.account.add("acme", 700)
        async with one.assets.create("a", tenant="acme") as writer:
            await writer.write(b"x" * 100)
            with pytest.raises(Unavailable):
                await writer.commit()
        assert one.assets.account.used("acme") == 700


def test_there_are_never_less_than_no_bytes():
    now = time.time()
    assert moved(StoredBytes(5, now), -7) == StoredBytes(0, now)
