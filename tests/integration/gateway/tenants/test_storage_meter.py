"""What tenants have stored is known to all gateways, and is made good where one was killed."""

import time

from gateway.usage.storage import StorageMeter, StoredBytes, moved
from tests.support.until import until


async def files():
    for size_bytes in (100, 50):
        yield "acme", size_bytes


async def test_gateways_tell_each_other_and_count_anew_what_one_did_not_tell(jetstream):
    limited = ["acme"]

    async def opened():
        bucket = await jetstream.key_value("tenants")
        return await StorageMeter.open(bucket, files, lambda: limited, lambda tenant, size_bytes: None)

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


def test_there_are_never_less_than_no_bytes():
    now = time.time()
    assert moved(StoredBytes(5, now), -7) == StoredBytes(0, now)
