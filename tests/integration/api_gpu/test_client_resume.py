"""Uploads of the client over lines that are cut and gateways that are killed: they go on, and tell of it once."""

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api_gpu import Client
from servicekit.errors import FailedPrecondition, ServiceError
from tests.support.lone_gateway import KEY, LoneGateway
from tests.support.relay import Relay
from tests.support.until import until_sync

ADMIN_KEY = "key-of-who-runs-the-gateway"
MIB = 1024 * 1024
LARGE_BYTES = 24 * MIB + 7


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneGateway]:
    with LoneGateway(tmp_path_factory.mktemp("gateway"), ADMIN_API_KEY=ADMIN_KEY) as served:
        yield served


@pytest.fixture
def gateway(shared_gateway: LoneGateway) -> LoneGateway:
    if shared_gateway.process.poll() is not None:  # a test that killed it has failed: that is no fault of the next
        shared_gateway.start()
    return shared_gateway


@pytest.fixture
def relay(gateway: LoneGateway) -> Iterator[Relay]:
    with Relay(gateway.target) as between:
        yield between


@pytest.fixture
def client(gateway: LoneGateway, relay: Relay) -> Iterator[Client]:
    files = [gateway.certificates / name for name in ("ca.crt", "client.crt", "client.key")]
    with Client.connect(relay.address, KEY, *files) as connected:
        yield connected


def file_of(folder: Path, size_bytes: int) -> Path:
    path = folder / "film.bin"
    path.write_bytes(os.urandom(size_bytes))
    return path


class Told:
    """Notes what is told of an upload, and does something once, after so many bytes."""

    def __init__(self, *interruptions):
        self.calls = []
        self._left = list(interruptions)

    def __call__(self, passed, size):
        self.calls.append((passed, size))
        if self._left and passed >= self._left[0][0]:
            self._left.pop(0)[1]()

    def is_right(self, size):
        passed = [count for count, _ in self.calls]
        return passed == sorted(set(passed)) and self.calls[-1] == (size, size) and not self._left


def check(client: Client, asset, source: Path, target: Path) -> None:
    assert asset.filename == "film.bin"
    assert asset.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert client.download(asset, target).read_bytes() == source.read_bytes()


def parts(gateway: LoneGateway) -> list[str]:
    return [path.name for path in (gateway.folder / "data" / "assets" / "assets").glob("*")]


def whole_parts(gateway: LoneGateway) -> set[str]:
    return {name for name in parts(gateway) if "#" not in name}


def test_a_large_upload_goes_on_where_it_was_cut(client: Client, relay: Relay, tmp_path: Path) -> None:
    source = file_of(tmp_path, LARGE_BYTES)
    told = Told((19 * MIB, relay.cut), (22 * MIB, relay.cut))
    asset = client.upload(source, told)
    assert told.is_right(LARGE_BYTES)
    assert relay.connections >= 3
    assert relay.sent_bytes < LARGE_BYTES + 12 * MIB  # of three beginnings it would be twice that
    check(client, asset, source, tmp_path / "b.bin")
    client.delete(asset.name)


@pytest.mark.parametrize("size_bytes", [3 * MIB, LARGE_BYTES])
def test_an_upload_outlives_its_gateway(client: Client, gateway: LoneGateway, tmp_path: Path, size_bytes: int) -> None:
    source = file_of(tmp_path, size_bytes)
    told = Told((size_bytes * 3 // 4, lambda: gateway.end(signal.SIGKILL)))
    with ThreadPoolExecutor() as pool:
        uploading = pool.submit(client.upload, source, told)
        until_sync(lambda: gateway.process.poll() is not None)
        gateway.start()  # by this thread: a child ends with the one that started it
        asset = uploading.result()
    assert told.is_right(size_bytes)
    check(client, asset, source, tmp_path / "b.bin")


def test_an_upload_that_fails_leaves_nothing(client: Client, gateway: LoneGateway, tmp_path: Path) -> None:
    source = file_of(tmp_path, LARGE_BYTES)
    before = parts(gateway)

    def shorten() -> None:
        os.truncate(source, 20 * MIB)

    with pytest.raises(ServiceError, match="became shorter"):
        client.upload(source, Told((2 * MIB, shorten)))
    until_sync(lambda: parts(gateway) == before)


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_file_that_changes_while_it_is_sent_is_refused(
    client: Client, gateway: LoneGateway, relay: Relay, tmp_path: Path, is_cut: bool
) -> None:
    source = file_of(tmp_path, LARGE_BYTES)
    before = parts(gateway)

    def change() -> None:
        with source.open("r+b") as file:
            file.write(os.urandom(LARGE_BYTES))
        if is_cut:
            relay.cut()

    with pytest.raises(FailedPrecondition, match="was changed while it was sent"):
        client.upload(source, Told((18 * MIB, change)))
    until_sync(lambda: parts(gateway) == before)


def begun(gateway: LoneGateway) -> int:
    """How many uploads have been begun with success."""
    return sum("UploadService/CreateUpload" in line and '"OK"' in line for line in gateway.log_lines())


def open_uploads(gateway: LoneGateway) -> int:
    as_admin, limit = {"X-API-Key": ADMIN_KEY}, {"max_open_uploads": 1000}
    gateway.http.patch("/tenants/default", json=limit, headers=as_admin).raise_for_status()  # else it is not told
    (quota,) = gateway.http.get("/usage?tenant=default").json()["quotas"]
    return quota["used"]


def test_an_upload_whose_beginning_is_asked_for_twice_begins_once(
    client: Client, gateway: LoneGateway, relay: Relay, tmp_path: Path
) -> None:
    client.delete(client.upload(file_of(tmp_path, 1)).name)  # the line is there
    begun_before, open_before = begun(gateway), open_uploads(gateway)
    relay.loses_answers = True
    with ThreadPoolExecutor() as pool:
        uploading = pool.submit(client.upload, file_of(tmp_path, 9 * MIB))
        until_sync(lambda: begun(gateway) == begun_before + 1)
        relay.loses_answers = False
        relay.cut()
        asset = uploading.result()
    assert begun(gateway) == begun_before + 2
    until_sync(lambda: open_uploads(gateway) == open_before)
    client.delete(asset.name)


def test_what_the_gateway_has_is_held_against_what_was_sent(
    client: Client, gateway: LoneGateway, tmp_path: Path
) -> None:
    source = file_of(tmp_path, LARGE_BYTES)
    others, before, damaged = set(parts(gateway)), whole_parts(gateway), threading.Event()

    def wait() -> None:
        until_sync(lambda: whole_parts(gateway) - before)

    def damage() -> None:
        # The part before it is on record then; uploads of other tests that were killed may have left such a file.
        until_sync(lambda: any("-2#" in name for name in set(parts(gateway)) - others))
        gateway.end(signal.SIGKILL)
        (kept,) = whole_parts(gateway) - before
        path = gateway.folder / "data" / "assets" / "assets" / kept
        path.write_bytes(bytes(path.stat().st_size))
        damaged.set()

    with ThreadPoolExecutor() as pool:
        uploading = pool.submit(client.upload, source, Told((20 * MIB, wait), (22 * MIB, damage)))
        until_sync(damaged.is_set)
        gateway.start()
        with pytest.raises(ServiceError, match="SHA-256"):
            uploading.result()
    until_sync(lambda: whole_parts(gateway) == before)
