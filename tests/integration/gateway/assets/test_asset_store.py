"""The asset store on a local folder: real files."""

import asyncio
import gc
import hashlib
import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from gateway.assets.listing import AssetFilter, AssetLister
from gateway.assets.store import AssetStore
from servicekit.chunks import CHUNK_BYTES
from servicekit.config import ConfigError
from servicekit.errors import DataLoss, InvalidArgument, NotFound, ResourceExhausted
from tests.support.until import until

MAX_BYTES = 8 * 1024 * 1024


async def put(store, data, filename="clip.mp4", piece_bytes=300_000, **announced):
    async with store.create(filename) as writer:
        for start in range(0, len(data), piece_bytes):
            await writer.write(data[start : start + piece_bytes])
        return await writer.commit(**announced)


async def get(store, asset_id, offset=0, length=None):
    return b"".join([chunk async for chunk in store.read(asset_id, offset, length)])


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def settled(folder, wanted):
    """A dropped writer deletes its staged file on another thread."""
    await until(lambda: files(folder) == wanted)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 7 * 1024 * 1024 + 13])
async def test_what_is_committed_comes_back(store, folder, size):
    data = os.urandom(size)
    before = datetime.now(UTC)
    asset = await put(store, data, size_bytes=size, sha256=hashlib.sha256(data).hexdigest().upper())
    assert await store.describe(asset.id) == asset
    assert await get(store, asset.id) == data
    assert (asset.name, asset.filename, asset.content_type) == (f"assets/{asset.id}", "clip.mp4", "video/mp4")
    assert (asset.size_bytes, asset.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert before <= asset.created_at <= datetime.now(UTC)
    assert asset.expires_at - asset.created_at == timedelta(seconds=3600)
    assert files(folder) == [f"assets/{asset.id}", f"records/{asset.id}.json"]


async def test_chunks_are_of_the_size_that_streams_want(store):
    asset = await put(store, os.urandom(5 * CHUNK_BYTES + 7))
    sizes = [len(chunk) async for chunk in store.read(asset.id)]
    assert sizes == [CHUNK_BYTES] * 5 + [7]
    assert {type(chunk) async for chunk in store.read(asset.id)} == {bytes}


async def test_a_file_that_was_written_a_moment_ago_is_found_without_its_record_until_it_is_deleted(
    store, folder, monkeypatch
):
    asset, asked = await put(store, b"mine"), []
    monkeypatch.setattr(
        store.bucket, "get", lambda path, what, get=store.bucket.get: asked.append(path) or get(path, what)
    )
    assert (await store.find(asset.id), asked) == (asset, [])
    with pytest.raises(NotFound):
        await store.find(asset.id, "somebody else")
    other = AssetStore(str(folder), retention_seconds=1, max_bytes=1)
    assert await other.find(asset.id) == asset
    await other.delete(asset.id)
    with pytest.raises(NotFound):  # here it is known for a while, and cannot be read
        await get(store, await store.find(asset.id))
    await store.remove(asset.id)
    with pytest.raises(NotFound):
        await store.find(asset.id)


async def test_another_store_on_the_same_folder_has_it(store, folder):
    asset = await put(store, b"shared")
    other = AssetStore(f"file://{folder}", retention_seconds=1, max_bytes=1)
    assert await other.describe(asset.id) == asset
    assert await get(other, asset.id) == b"shared"


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 1),
        (1, None),
        (CHUNK_BYTES - 1, 2),
        (2 * CHUNK_BYTES, 2 * CHUNK_BYTES),
        (1, 2_000_000),
        (3_000_000, 10**9),
        (5, 0),
    ],
)
async def test_a_part_is_read_by_offset_and_length(store, offset, length):
    data = os.urandom(3_000_001)
    asset = await put(store, data)
    end = None if length is None else offset + length
    assert await get(store, asset.id, offset, length) == data[offset:end]


async def test_the_end_is_a_place_to_read_from_and_beyond_it_is_not(store):
    asset = await put(store, b"12345")
    assert await get(store, asset.id, 5) == b""
    for offset, length in ((6, None), (-1, None), (0, -1)):
        with pytest.raises(InvalidArgument, match="5 bytes"):
            await get(store, asset.id, offset, length)


async def test_leaving_without_commit_leaves_nothing(store, folder):
    async with store.create("a.mp4") as writer:
        for _ in range(6):
            await writer.write(bytes(CHUNK_BYTES))
        assert writer.size_bytes == 6 * CHUNK_BYTES
        assert len(files(folder)) == 1, "a staged file shows that this test sees what it is about"
    await settled(folder, [])
    with pytest.raises(RuntimeError):
        await writer.write(b"late")
    with pytest.raises(RuntimeError):
        await writer.commit()


async def test_an_error_in_mid_write_leaves_nothing(store, folder):
    async def upload():
        async with store.create("a.mp4") as writer:
            await writer.write(bytes(3 * 1024 * 1024))
            raise LookupError

    with pytest.raises(LookupError):
        await upload()
    await settled(folder, [])


async def test_a_cancelled_upload_leaves_nothing(store, folder):
    begun = asyncio.Event()

    async def upload():
        async with store.create("a.mp4") as writer:
            await writer.write(bytes(3 * 1024 * 1024))
            begun.set()
            while writer.size_bytes < MAX_BYTES:
                await writer.write(bytes(CHUNK_BYTES))
                await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(upload()) for _ in range(5)]
    await begun.wait()
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end) for end in ended} == {asyncio.CancelledError}
    await settled(folder, [])


@pytest.mark.parametrize("yields", range(6))
async def test_a_commit_cancelled_at_any_point_leaves_all_or_nothing(store, folder, yields):
    task = asyncio.create_task(put(store, b"x" * 3_000_000, piece_bytes=3_000_000))
    while not files(folder):
        await asyncio.sleep(0)
    for _ in range(yields):
        await asyncio.sleep(0.001)
    task.cancel()
    (end,) = await asyncio.gather(task, return_exceptions=True)
    kept = [] if isinstance(end, asyncio.CancelledError) else [f"assets/{end.id}", f"records/{end.id}.json"]
    await settled(folder, kept)


@pytest.mark.parametrize("announced", [{"size_bytes": 4}, {"sha256": "00" * 32}, {"size_bytes": 0}])
async def test_untrue_announcements_are_refused_and_nothing_is_kept(store, folder, announced):
    with pytest.raises(DataLoss, match=r"clip\.mp4"):
        await put(store, b"12345", **announced)
    await settled(folder, [])


async def test_a_file_over_the_limit_is_refused_as_soon_as_it_is(store, folder):
    async with store.create("a.mp4") as writer:
        await writer.write(bytes(MAX_BYTES))
        with pytest.raises(ResourceExhausted, match=str(MAX_BYTES)) as caught:
            await writer.write(b"1")
    assert caught.value.reason == "ASSET_TOO_LARGE"
    await settled(folder, [])


async def test_a_file_of_exactly_the_limit_is_taken(store):
    assert (await put(store, bytes(MAX_BYTES))).size_bytes == MAX_BYTES


async def test_deleted_is_gone(store, folder):
    kept, asset = await put(store, b"kept"), await put(store, b"gone")
    await store.delete(asset.id)
    assert files(folder) == [f"assets/{kept.id}", f"records/{kept.id}.json"]
    for call in (store.describe(asset.id), get(store, asset.id), store.delete(asset.id)):
        with pytest.raises(NotFound, match=asset.name):
            await call


@pytest.mark.parametrize("asset_id", ["", "a" * 26, "../records/x", "A" * 26, "a" * 25 + "/", "ä", "a\n"])
async def test_what_is_no_id_is_not_found(store, asset_id):
    for call in (store.describe(asset_id), get(store, asset_id), store.delete(asset_id)):
        with pytest.raises(NotFound):
            await call


async def test_an_expired_asset_is_gone_before_it_is_swept(folder):
    store = AssetStore(str(folder), retention_seconds=0, max_bytes=MAX_BYTES)
    asset = await put(store, b"short")
    for call in (store.describe(asset.id), get(store, asset.id)):
        with pytest.raises(NotFound, match="expired") as caught:
            await call
        assert caught.value.reason == "ASSET_EXPIRED"


async def test_content_that_is_missing_or_cut_is_not_passed_off_as_whole(store, folder):
    missing, cut = await put(store, b"x" * 100), await put(store, bytes(3_000_000))
    (folder / missing.name).unlink()
    os.truncate(folder / cut.name, 2_500_000)
    with pytest.raises(NotFound, match=missing.name):
        await get(store, missing.id)
    with pytest.raises(DataLoss, match=cut.name):
        await get(store, cut.id)


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"id": "x"}', b"\xff"])
async def test_a_damaged_record_is_data_loss_and_can_be_deleted(store, folder, record):
    asset = await put(store, b"x")
    (folder / "records" / f"{asset.id}.json").write_bytes(record)
    with pytest.raises(DataLoss):
        await store.describe(asset.id)
    await store.delete(asset.id)
    assert files(folder) == []


async def test_the_record_of_a_newer_gateway_is_read_and_its_new_fields_are_left_out(store, folder):
    asset = await put(store, b"x")
    path = folder / "records" / f"{asset.id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "blue"}))
    assert await store.describe(asset.id) == asset


async def test_twenty_at_once_keep_apart(store):
    contents = [os.urandom(200_000 + 50_000 * number) for number in range(20)]
    assets = await asyncio.gather(*(put(store, data, f"{n}.srt") for n, data in enumerate(contents)))
    assert len({asset.id for asset in assets}) == 20
    assert await asyncio.gather(*(get(store, asset.id) for asset in assets)) == contents
    assert [asset.filename for asset in assets] == [f"{n}.srt" for n in range(20)]


async def test_a_reader_that_leaves_early_leaves_no_read_behind(store, folder):
    asset = await put(store, bytes(6 * 1024 * 1024))
    os.truncate(folder / asset.name, 2 * CHUNK_BYTES)  # what is read ahead of the caller fails
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    chunks = store.read(asset.id)
    assert len(await anext(chunks)) == CHUNK_BYTES
    await asyncio.sleep(0.05)
    await chunks.aclose()
    gc.collect()
    assert complaints == []


async def test_the_record_is_the_interface_of_later_versions(store, folder):
    asset = await put(store, b"x", "ü.srt")
    written = json.loads((folder / "records" / f"{asset.id}.json").read_bytes())
    assert written == {
        "id": asset.id,
        "filename": "ü.srt",
        "content_type": "application/x-subrip",
        "size_bytes": 1,
        "sha256": hashlib.sha256(b"x").hexdigest(),
        "created_at": asset.created_at.isoformat(),
        "expires_at": asset.expires_at.isoformat(),
    }


@pytest.mark.parametrize("location", ["ftp://host/x", "https://host/bucket", "memory:///", "s3://", "/dev/null/folder"])
def test_a_location_that_cannot_be_used_stops_the_start(location):
    with pytest.raises(ConfigError, match=location):
        AssetStore(location, retention_seconds=1, max_bytes=1)


async def test_a_page_reads_so_many_records_and_the_next_one_goes_on(store):
    wanted = await put(store, b"picture", "a.png")
    for number in range(5):
        await put(store, b"film", f"{number}.mp4")
    lister, pages, place = AssetLister(store, max_read=4), [], None
    while not pages or place is not None:
        page, place = await lister.page(AssetFilter(content_type="image"), 3, place)
        pages.append([asset.id for asset in page])
    assert sorted(pages) == [[], [wanted.id]]
