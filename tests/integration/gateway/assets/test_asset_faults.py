"""Nothing that obstore or the disk raises leaves the store as it is."""

import inspect
import shutil
import subprocess
import sys

import pytest
from obstore import exceptions

from gateway.assets.bucket import object_store_errors
from gateway.assets.store import AssetStore
from servicekit.errors import NotFound, ResourceExhausted, ServiceError, Unavailable
from tests.support.missing import need, without

VENDOR = [cls for _, cls in inspect.getmembers(exceptions, inspect.isclass) if issubclass(cls, Exception)]
FULL_DISK = """
import asyncio, sys
from gateway.assets.store import AssetStore
from servicekit.errors import ResourceExhausted

async def fill():
    store = AssetStore(sys.argv[1], retention_seconds=3600, max_bytes=1 << 40)
    async with store.create("a.mp4") as writer:
        for _ in range(64):
            await writer.write(bytes(1 << 20))
        await writer.commit()

try:
    asyncio.run(fill())
except ResourceExhausted as error:
    print(error.reason, error.message)
"""
IN_SMALL_DISK = 'mount -t tmpfs -o size=8m none "$1" && exec "$2" -c "$3" "$1"'
IN_READ_ONLY_DISK = 'mount -t tmpfs -o ro none "$1" && exec "$2" -c "$3" "$1"'


async def put(store, data=b"data"):
    async with store.create("a.srt") as writer:
        await writer.write(data)
        return await writer.commit()


def test_the_list_of_vendor_errors_is_not_empty():
    assert exceptions.BaseError in VENDOR
    assert len(VENDOR) > 8


@pytest.mark.parametrize("cls", [*VENDOR, OSError, FileNotFoundError, TimeoutError, ValueError, PermissionError])
@pytest.mark.parametrize("may_be_missing", [True, False])
def test_every_vendor_error_is_translated_and_its_text_stays_inside(cls, may_be_missing):
    with pytest.raises(ServiceError) as caught, object_store_errors("assets/x", may_be_missing=may_be_missing):
        raise cls("secret /srv/path")
    assert "secret" not in caught.value.message
    assert isinstance(caught.value.__cause__, cls)
    missing = cls is FileNotFoundError and may_be_missing
    assert isinstance(caught.value, NotFound if missing else Unavailable)


async def test_a_folder_that_went_away_is_a_fault_of_the_service(store, folder):
    asset = await put(store)
    shutil.rmtree(folder)
    folder.write_text("a file where the folder was")
    for call in (put(store), put(store, bytes(5_000_000)), store.sweep(), store.describe(asset.id)):
        with pytest.raises(Unavailable) as caught:
            await call
        assert str(folder) not in caught.value.message
        assert caught.value.reason == "STORAGE_UNAVAILABLE"


async def test_a_file_whose_record_cannot_be_written_leaves_nothing_behind(store, folder):
    (folder / "records").write_text("a file where the folder was")
    for data in (b"data", bytes(5_000_000)):
        with pytest.raises(Unavailable):
            await put(store, data)
        assert list((folder / "assets").iterdir()) == []


async def test_an_object_that_cannot_be_deleted_does_not_stop_the_sweep(folder):
    short = AssetStore(str(folder), retention_seconds=0, max_bytes=1000)
    assets = [await put(short) for _ in range(3)]
    stuck = folder / assets[1].name
    stuck.unlink()
    (stuck / "not empty").mkdir(parents=True)
    assert await short.sweep() == 2


def in_disk(script, tmp_path):
    """Run FULL_DISK with a file system of its own on `tmp_path`; skips by name where that is not allowed."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    need("unshare")
    if subprocess.run([*command, 'mount -t tmpfs none "$1"', "sh", tmp_path]).returncode:
        without("mounting in a user namespace is not allowed here")
    return subprocess.run(
        [*command, script, "sh", tmp_path, sys.executable, FULL_DISK], capture_output=True, text=True, check=False
    )


def test_a_full_disk_says_so(tmp_path):
    ended = in_disk(IN_SMALL_DISK, tmp_path)
    assert ended.stdout.splitlines()[-1].startswith("STORAGE_FULL The store for files is full"), ended.stderr


def test_a_read_only_disk_is_unavailable(tmp_path):
    ended = in_disk(IN_READ_ONLY_DISK, tmp_path)
    assert ended.stderr.splitlines()[-1].startswith("servicekit.errors.Unavailable: The store for files cannot"), (
        ended.stderr
    )


def test_the_full_disk_error_is_the_callers_to_see():
    with pytest.raises(ResourceExhausted), object_store_errors("assets/x", may_be_missing=False):
        raise OSError(28, "No space left on device")
