"""kill -9 of a gateway in the midst of an upload: another one on the same store goes on, and so does the next one."""

import hashlib
import os
import signal
import socket

import pytest

from tests.support.lone_gateway import KEY, LoneGateway
from tests.support.nats_server import serving
from tests.support.until import until_sync

MIB = 1024 * 1024
HEADERS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def gateways(tmp_path):
    """Two gateways on one nats-server and one folder."""
    with serving(tmp_path / "nats") as url:
        shared = {"NATS_URL": url, "ASSETS_URL": str(tmp_path / "assets")}
        folders = [tmp_path / name for name in ("a", "b")]
        for folder in folders:
            folder.mkdir()
        first, second = (LoneGateway(folder, **shared) for folder in folders)
        with first, second:
            yield first, second


def stalled(gateway, path, offset, data, size):
    """A PATCH that has sent some of its bytes, and no more."""
    lines = [f"PATCH {path} HTTP/1.1", "Host: a", f"X-API-Key: {KEY}", f"Content-Length: {size}"]
    lines += [f"Upload-Offset: {offset}", *(f"{name}: {value}" for name, value in HEADERS.items())]
    host, port = gateway.url.removeprefix("http://").split(":")
    line = socket.create_connection((host, int(port)))
    line.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    return line


def offset_at(gateway, path):
    return int(gateway.http.head(path).headers["upload-offset"])


def test_an_upload_goes_on_at_another_gateway_and_after_a_restart(gateways):
    first, second = gateways
    data = os.urandom(36 * MIB)
    created = first.http.post("/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data))})
    path = created.headers["location"]
    with stalled(first, path, 0, data[: 17 * MIB], len(data)):
        until_sync(lambda: offset_at(second, path) >= 16 * MIB)
        first.end(signal.SIGKILL)
    offset = offset_at(second, path)
    with stalled(second, path, offset, data[offset : 34 * MIB], len(data) - offset):
        until_sync(lambda: offset_at(second, path) >= offset + 16 * MIB)
        second.end(signal.SIGKILL)
    second.start()
    offset = offset_at(second, path)
    answer = second.http.patch(path, headers={**HEADERS, "Upload-Offset": str(offset)}, content=data[offset:])
    name = answer.headers["upload-asset"]
    first.start()
    assert first.http.get(f"/{name}").json()["sha256"] == hashlib.sha256(data).hexdigest()
    assert first.http.get(f"/{name}/content").content == data
    assert first.http.delete(f"/{name}").status_code == 200
    assert not [found for found in first.folder.parent.joinpath("assets").rglob("*-*") if "#" not in found.name]
