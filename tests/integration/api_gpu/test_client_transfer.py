"""Uploads and downloads against the real gateway, over good and bad lines."""

import contextlib
import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_gpu import Client
from api_gpu.local.data_dir import DataDir
from servicekit.errors import DataLoss, FailedPrecondition, NotFound, ServiceError, Unavailable
from tests.support.command_line import stored
from tests.support.relay import Relay
from tests.support.until import until_sync
from tools.pair import Pair

MEBIBYTE = 1024 * 1024


@pytest.fixture
def relay(pair: Pair) -> Iterator[Relay]:
    with Relay(pair.target) as between:
        yield between


def behind(relay: Relay, pair: Pair, reconnect_seconds: float) -> Client:
    folder = DataDir(pair.data_dir).certificates
    files = (folder / "ca.crt", folder / "client.crt", folder / "client.key")
    return Client.connect(relay.address, pair.key, *files, reconnect_seconds=reconnect_seconds)


@pytest.fixture
def remote(pair: Pair, relay: Relay) -> Iterator[Client]:
    """A client behind the relay."""
    with behind(relay, pair, 60.0) as connected:
        yield connected


@pytest.fixture
def impatient(pair: Pair, relay: Relay) -> Iterator[Client]:
    """A client behind the relay that gives up soon."""
    with behind(relay, pair, 1.0) as connected:
        yield connected


def file_of(path: Path, size_bytes: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.urandom(size_bytes))
    return path


def test_a_large_file_that_is_there_is_not_sent_again_for_a_job(client: Client, pair: Pair, tmp_path: Path) -> None:
    film, small = file_of(tmp_path / "film.mp4", 9 * MEBIBYTE), file_of(tmp_path / "small.mp4", MEBIBYTE)
    assert client.kept(film) is None
    (first,) = client.resolve_sources([film])
    before = stored(pair)
    assert client.resolve_sources([film, film, first]) == [first] * 3
    assert stored(pair) == before
    with contextlib.suppress(ServiceError):
        client.quoting().probe(film)
    assert stored(pair) == before  # neither sent nor deleted for a dry run
    assert client.upload(film).name != first  # who uploads has a file of their own, to delete as well
    client.upload(small)
    same_size = file_of(tmp_path / "other" / "film.mp4", 9 * MEBIBYTE)
    other_name = tmp_path / "talk.mp4"
    other_name.write_bytes(film.read_bytes())
    assert [client.kept(path) for path in (small, same_size, other_name)] == [None] * 3
    for asset in [asset for asset in client.assets() if asset.filename == film.name]:
        client.delete(asset.name)
    assert client.kept(film) is None


@pytest.mark.parametrize("size_bytes", [0, 1, MEBIBYTE, 3 * MEBIBYTE + 7])
def test_a_file_comes_back_as_it_went(client: Client, tmp_path: Path, size_bytes: int) -> None:
    source = file_of(tmp_path / "a.bin", size_bytes)
    asset = client.upload(source)
    assert (asset.filename, asset.size_bytes) == ("a.bin", size_bytes)
    assert asset.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert client.download(asset, tmp_path / "b.bin").read_bytes() == source.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "b.bin"]


def test_bytes_are_told_as_they_pass(client: Client, tmp_path: Path) -> None:
    size_bytes = 3 * MEBIBYTE + 7
    up: list[tuple[int, int | None]] = []
    down: list[tuple[int, int | None]] = []
    asset = client.upload(file_of(tmp_path / "a.bin", size_bytes), lambda *told: up.append(told))
    client.download(asset, tmp_path / "b.bin", lambda *told: down.append(told))
    for told in (up, down):
        assert told == sorted(told)
        assert len(told) > 1
        assert told[-1] == (size_bytes, size_bytes)


def test_a_pipe_can_be_uploaded(client: Client, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.bin"
    os.mkfifo(pipe)
    data = os.urandom(2 * MEBIBYTE + 5)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    asset = client.upload(pipe)
    writer.join()
    assert asset.sha256 == hashlib.sha256(data).hexdigest()


def test_what_is_no_readable_file_is_told_plainly(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.mp4: no such file"):
        client.upload(tmp_path / "absent.mp4")
    with pytest.raises(FailedPrecondition, match="Is a directory"):
        client.upload(tmp_path)


def test_nothing_is_sent_when_one_of_the_files_is_missing(pair: Pair, client: Client, tmp_path: Path) -> None:
    before = stored(pair)
    with pytest.raises(NotFound, match=r"absent\.srt"):
        client.caption(file_of(tmp_path / "a.mp4", 1), tmp_path / "absent.srt")
    assert stored(pair) == before


@pytest.mark.parametrize(("size_bytes", "is_left"), [(MEBIBYTE, False), (9 * MEBIBYTE, True)])
def test_ctrl_c_ends_uploads_and_leaves_only_what_another_run_may_have_found(
    pair: Pair, client: Client, tmp_path: Path, size_bytes: int, is_left: bool
) -> None:
    before, film = stored(pair), file_of(tmp_path / "a.mp4", size_bytes)
    pipe = tmp_path / "silent.srt"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt() -> None:
        while stored(pair) == before:
            time.sleep(0.02)
        time.sleep(2)  # the client has heard of it by then
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            client.caption(film, pipe)
    finally:
        signal.signal(signal.SIGINT, handler)
        os.close(writer)
        interrupting.join()
    left = client.kept(film)
    assert (left is not None) == is_left
    if left is not None:
        client.delete(left.name)
    until_sync(lambda: stored(pair) == before)


def test_more_files_than_go_at_once_come_in_their_order(client: Client, tmp_path: Path) -> None:
    paths = [file_of(tmp_path / f"{number}.png", 10 + number) for number in range(6)]
    names = client.resolve_sources(["assets/x", *paths])
    assert names[0] == "assets/x"
    assert [client.asset(name).filename for name in names[1:]] == [path.name for path in paths]


def test_a_download_into_no_folder_is_told_plainly(client: Client, tmp_path: Path) -> None:
    asset = client.upload(file_of(tmp_path / "a.bin", 1))
    with pytest.raises(NotFound, match="cannot write"):
        client.download(asset, tmp_path / "absent" / "b.bin")


def test_an_asset_that_is_not_there(client: Client, tmp_path: Path) -> None:
    asset = client.upload(file_of(tmp_path / "a.bin", 1))
    client.delete(asset.name)
    with pytest.raises(NotFound):
        client.download(asset, tmp_path / "b.bin")
    assert not (tmp_path / "b.bin").exists()


def test_a_broken_download_goes_on_where_it_broke(client: Client, remote: Client, relay: Relay, tmp_path: Path) -> None:
    source = file_of(tmp_path / "a.bin", 24 * MEBIBYTE)
    asset = client.upload(source)
    relay.cut_after_bytes = 9 * MEBIBYTE
    assert remote.download(asset, tmp_path / "b.bin").read_bytes() == source.read_bytes()
    assert relay.connections >= 3
    # Started afresh, no connection would ever have carried it whole.
    assert relay.received_bytes < 40 * MEBIBYTE


def test_a_later_download_takes_up_what_an_earlier_one_left(
    client: Client, impatient: Client, relay: Relay, tmp_path: Path
) -> None:
    source = file_of(tmp_path / "a.bin", 24 * MEBIBYTE)
    asset = client.upload(source)
    relay.cut_after_bytes = 9 * MEBIBYTE

    def refuse(done: int, total: int | None) -> None:
        relay.refuses = True

    with pytest.raises(Unavailable):
        impatient.download(asset, tmp_path / "b.bin", refuse)
    (part,) = tmp_path.glob(".b.bin.*.part")
    left_bytes = part.stat().st_size
    assert 0 < left_bytes < 24 * MEBIBYTE

    first: list[int] = []
    client.download(asset, tmp_path / "b.bin", lambda done, total: first.append(done))
    assert first[0] > left_bytes
    assert (tmp_path / "b.bin").read_bytes() == source.read_bytes()
    assert not part.exists()


def test_what_was_left_and_is_not_the_beginning_is_thrown_away(client: Client, tmp_path: Path) -> None:
    source = file_of(tmp_path / "a.bin", 2 * MEBIBYTE)
    asset = client.upload(source)
    part = tmp_path / f".b.bin.{asset.name.removeprefix('assets/')}.part"
    part.write_bytes(b"x" * MEBIBYTE)
    with pytest.raises(DataLoss, match="SHA-256"):
        client.download(asset, tmp_path / "b.bin")
    assert not part.exists()
    assert not (tmp_path / "b.bin").exists()
    assert client.download(asset, tmp_path / "b.bin").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("size_bytes", [3 * MEBIBYTE, 8 * MEBIBYTE])
def test_an_upload_that_loses_its_line_for_good_is_an_error(
    impatient: Client, relay: Relay, tmp_path: Path, size_bytes: int
) -> None:
    source = file_of(tmp_path / "a.bin", size_bytes)

    def cut(done: int, total: int | None) -> None:
        relay.refuses = True
        relay.cut()

    with pytest.raises(Unavailable, match="does not answer"):
        impatient.upload(source, cut)


@pytest.mark.parametrize("is_up", [True, False])
def test_what_went_well_for_longer_than_it_is_tried_again_goes_on_too(
    client: Client, impatient: Client, relay: Relay, tmp_path: Path, is_up: bool
) -> None:
    source = file_of(tmp_path / "a.bin", 24 * MEBIBYTE)
    cuts: list[int] = []

    def cut(done: int, total: int | None) -> None:
        if not cuts:
            cuts.append(done)
            time.sleep(1.5)
            relay.cut()

    if is_up:
        asset = impatient.upload(source, cut)
    else:
        asset = client.upload(source)
        impatient.download(asset, tmp_path / "b.bin", cut)
    assert cuts[0] < asset.size_bytes == 24 * MEBIBYTE
