"""Uploads by tus 1.0 against a gateway as it is wired: every header and status that the protocol names."""

import base64
import hashlib
import os
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.support.whole_gateway import opened

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture
async def gateway(tmp_path):
    async with opened(tmp_path, encoders=()) as served:
        yield served


@pytest.fixture
async def http(gateway):
    headers = {"X-API-Key": "key", **TUS}
    async with httpx.AsyncClient(base_url=gateway.http_url, headers=headers, timeout=30) as client:
        yield client


def said(**values):
    return ",".join(f"{key} {base64.b64encode(str(value).encode()).decode()}" for key, value in values.items())


async def begin(http, size, **headers):
    answer = await http.post("/uploads", headers={"Upload-Length": str(size), **headers})
    assert answer.status_code == 201, answer.text
    return answer


async def patch(http, path, offset, data, **headers):
    given = {**OCTETS, "Upload-Offset": str(offset), **headers}
    return await http.patch(path, headers=given, content=data)


async def test_an_upload_in_pieces_is_an_ordinary_asset(http):
    data = os.urandom(300_000)
    metadata = said(filename="Täst.mp4", filetype="video/mp4") + ",is_confidential"
    created = await begin(http, len(data), **{"Upload-Metadata": metadata})
    path = created.headers["location"]
    assert path.startswith("/uploads/")
    assert parsedate_to_datetime(created.headers["upload-expires"])
    first = await patch(http, path, 0, data[:100_001])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "100001")
    assert "upload-asset" not in first.headers
    head = await http.head(path)
    assert head.status_code == 200
    assert head.headers["upload-offset"] == "100001"
    assert head.headers["upload-length"] == str(len(data))
    assert head.headers["upload-metadata"] == metadata
    assert head.headers["cache-control"] == "no-store"
    last = await patch(http, path, 100_001, data[100_001:])
    assert last.headers["upload-offset"] == str(len(data))
    name = last.headers["upload-asset"]
    assert (await http.head(path)).headers["upload-asset"] == name
    asset = (await http.get(f"/{name}")).json()
    assert (asset["filename"], asset["contentType"], asset["sizeBytes"]) == ("Täst.mp4", "video/mp4", len(data))
    assert asset["sha256"] == hashlib.sha256(data).hexdigest()
    assert (await http.get(f"/{name}/content")).content == data
    part = await http.get(f"/{name}/content", headers={"Range": "bytes=100000-100003"})
    assert part.content == data[100_000:100_004]
    for answer in (created, first, head, last):
        assert answer.headers["tus-resumable"] == "1.0.0"
