"""Lists of files: what a gateway stores and deletes is in them at once, though names are not listed for each page."""

import asyncio

import pytest

from gateway.assets.listing import AssetFilter, AssetLister
from gateway.assets.store import AssetStore


class CountedStore(AssetStore):
    """Counts how often all names are listed; each time takes until `go` is set."""

    def __init__(self, location):
        super().__init__(location, retention_seconds=3600, max_bytes=1000)
        self.listed = 0
        self.go = asyncio.Event()
        self.go.set()

    async def record_times(self):
        self.listed += 1
        found = await super().record_times()
        await self.go.wait()
        return found


@pytest.fixture
async def store(tmp_path):
    return CountedStore(str(tmp_path / "assets"))


async def stored(store, name):
    async with store.create(name) as writer:
        await writer.write(b"x")
        return (await writer.commit()).id


async def names(lister, size=10):
    """The names of all files, by pages."""
    found, place = [], None
    while True:
        page, place = await lister.page(AssetFilter(), size, place)
        found += [asset.filename for asset in page]
        if place is None:
            return found


async def test_many_first_pages_list_the_names_once(store):
    lister = AssetLister(store, names_seconds=3600)
    assert await names(lister) == []
    made = [await stored(store, f"{number}.mp4") for number in range(7)]
    for size in (1, 2, 3, 7, 100):
        assert await names(lister, size) == [f"{number}.mp4" for number in reversed(range(7))]
    await store.remove(made[3])
    await store.add(await store.describe(made[5]))  # again, as uploads do that were cut at their end
    assert await names(lister, 2) == [f"{number}.mp4" for number in (6, 5, 4, 2, 1, 0)]
    assert store.listed == 1


async def test_files_are_found_by_their_size(store):
    lister = AssetLister(store)
    await stored(store, "one.mp4")
    async with store.create("three.mp4") as writer:
        await writer.write(b"xyz")
        await writer.commit()
    found = {size: (await lister.page(AssetFilter(size_bytes=size), 10, None))[0] for size in (0, 1, 2, 3)}
    named = {size: {asset.filename for asset in assets} for size, assets in found.items()}
    assert named == {0: {"one.mp4", "three.mp4"}, 1: {"one.mp4"}, 2: set(), 3: {"three.mp4"}}


async def test_what_another_gateway_stores_is_listed_later(store, tmp_path):
    lister = AssetLister(store, names_seconds=0.2)
    await stored(store, "mine.mp4")
    assert await names(lister) == ["mine.mp4"]
    await stored(CountedStore(str(tmp_path / "assets")), "theirs.mp4")

    async with asyncio.timeout(20):
        while await names(lister) != ["theirs.mp4", "mine.mp4"]:
            await asyncio.sleep(0.05)


async def test_what_is_stored_while_names_are_listed_is_not_lost(store):
    lister = AssetLister(store, names_seconds=3600)
    await stored(store, "before.mp4")
    store.go.clear()
    listing = asyncio.create_task(names(lister))
    while not store.listed:
        await asyncio.sleep(0)
    await asyncio.sleep(0.2)
    await stored(store, "meanwhile.mp4")
    store.go.set()
    assert await listing == ["meanwhile.mp4", "before.mp4"]
    assert await names(lister) == ["meanwhile.mp4", "before.mp4"]
