"""Uploads by tus 1.0 against a gateway: every header and status that the protocol names."""

import base64
import hashlib
import os
import socket
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.support.lone_gateway import KEY, LoneGateway
from tests.support.until import until_sync

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = {"Content-Type": "application/offset+octet-stream"}
MAX_BYTES = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tus")
    with LoneGateway(folder, MAX_ASSET_BYTES=str(MAX_BYTES), UPLOAD_EXPIRE_SECONDS="600") as gateway:
        yield gateway


@pytest.fixture
def http(gateway):
    with httpx.Client(base_url=gateway.url, headers={"X-API-Key": KEY, **TUS}, timeout=60) as client:
        yield client


def said(**values):
    return ",".join(f"{key} {base64.b64encode(str(value).encode()).decode()}" for key, value in values.items())


def begin(http, size, **headers):
    answer = http.post("/uploads", headers={"Upload-Length": str(size), **headers})
    assert answer.status_code == 201, answer.text
    return answer


def patch(http, path, offset, data, **headers):
    given = {**OCTETS, "Upload-Offset": str(offset), **headers}
    return http.patch(path, headers=given, content=data)


def test_an_upload_in_pieces_is_an_ordinary_asset(http):
    data = os.urandom(300_000)
    metadata = said(filename="Täst.mp4", filetype="video/mp4") + ",is_confidential"
    created = begin(http, len(data), **{"Upload-Metadata": metadata})
    path = created.headers["location"]
    assert path.startswith("/uploads/")
    assert parsedate_to_datetime(created.headers["upload-expires"])
    first = patch(http, path, 0, data[:100_001])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "100001")
    assert "upload-asset" not in first.headers
    head = http.head(path)
    assert head.status_code == 200
    assert head.headers["upload-offset"] == "100001"
    assert head.headers["upload-length"] == str(len(data))
    assert head.headers["upload-metadata"] == metadata
    assert head.headers["cache-control"] == "no-store"
    last = patch(http, path, 100_001, data[100_001:])
    assert last.headers["upload-offset"] == str(len(data))
    name = last.headers["upload-asset"]
    assert (http.head(path)).headers["upload-asset"] == name
    asset = (http.get(f"/{name}")).json()
    assert (asset["filename"], asset["contentType"], asset["sizeBytes"]) == ("Täst.mp4", "video/mp4", len(data))
    assert asset["sha256"] == hashlib.sha256(data).hexdigest()
    assert (http.get(f"/{name}/content")).content == data
    part = http.get(f"/{name}/content", headers={"Range": "bytes=100000-100003"})
    assert part.content == data[100_000:100_004]
    for answer in (created, first, head, last):
        assert answer.headers["tus-resumable"] == "1.0.0"


def reason(answer):
    return next(part["reason"] for part in answer.json()["details"] if "reason" in part)


def digest(algorithm, data):
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


@pytest.mark.parametrize("path", ["/uploads", "/uploads/", "/uploads/abcdefgh"])
def test_what_the_server_can_do_is_told_without_a_key(gateway, path):
    answer = httpx.options(gateway.url + path)
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert {"creation", "termination", "checksum", "expiration"} <= set(answer.headers["tus-extension"].split(","))
    assert answer.headers["tus-max-size"] == str(MAX_BYTES)
    assert answer.headers["tus-checksum-algorithm"] == "md5,sha1,sha256"


def test_a_page_of_another_origin_may_read_the_headers(gateway):
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "PATCH"}
    asked["Access-Control-Request-Headers"] = "tus-resumable,upload-offset,content-type,x-api-key"
    assert httpx.options(gateway.url + "/uploads/abcdefgh", headers=asked).status_code == 200
    answer = httpx.options(gateway.url + "/uploads", headers={"Origin": "https://a.example"})
    shown = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"Location", "Upload-Offset", "Upload-Length", "Upload-Expires", "Upload-Asset", "Tus-Resumable"} <= shown


def test_an_upload_of_no_bytes_is_whole_at_once(http):
    created = begin(http, 0)
    name = created.headers["upload-asset"]
    assert http.get(f"/{name}").json()["sizeBytes"] == 0
    assert http.head(created.headers["location"]).headers["upload-offset"] == "0"


def test_the_first_bytes_may_come_with_the_creation(http):
    answer = http.post("/uploads/", headers={"Upload-Length": "5", **OCTETS}, content=b"abc")
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "3")
    answer = patch(http, answer.headers["location"], 3, b"de")
    assert http.get(f"/{answer.headers['upload-asset']}/content").content == b"abcde"
    whole = http.post("/uploads", headers={"Upload-Length": "3", **OCTETS}, content=b"xyz")
    assert (whole.status_code, whole.headers["upload-offset"]) == (201, "3")
    assert http.get(f"/{whole.headers['upload-asset']}/content").content == b"xyz"


def test_bytes_at_another_offset_are_refused(http):
    path = begin(http, 10).headers["location"]
    patch(http, path, 0, b"abcde")
    for offset in (0, 4, 6, 10):
        answer = patch(http, path, offset, b"xxxxx")
        assert (answer.status_code, reason(answer), answer.headers["tus-resumable"]) == (409, "WRONG_OFFSET", "1.0.0")
    assert http.head(path).headers["upload-offset"] == "5"


def test_more_bytes_than_announced_are_refused(http):
    path = begin(http, 4).headers["location"]
    answer = patch(http, path, 0, b"abcde")
    assert (answer.status_code, reason(answer)) == (400, "UPLOAD_TOO_LONG")
    assert http.head(path).headers["upload-offset"] == "0"


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_bytes_with_another_checksum_are_not_kept(http, algorithm):
    path = begin(http, 6).headers["location"]
    assert patch(http, path, 0, b"abc", **{"Upload-Checksum": digest(algorithm, b"abc")}).status_code == 204
    answer = patch(http, path, 3, b"xyz", **{"Upload-Checksum": digest(algorithm, b"def")})
    assert (answer.status_code, answer.reason_phrase, reason(answer)) == (460, "", "CHECKSUM_MISMATCH")
    assert http.head(path).headers["upload-offset"] == "3"
    answer = patch(http, path, 3, b"def", **{"Upload-Checksum": digest(algorithm, b"def")})
    assert http.get(f"/{answer.headers['upload-asset']}/content").content == b"abcdef"


@pytest.mark.parametrize("given", ["crc32 AAAA", "sha1 !!", "sha1 AAAA", "sha1"])
def test_a_checksum_that_is_none_is_refused(http, given):
    path = begin(http, 6).headers["location"]
    answer = patch(http, path, 0, b"abc", **{"Upload-Checksum": given})
    assert (answer.status_code, reason(answer)) == (400, "BAD_DIGEST")


def test_a_file_that_is_not_the_one_announced_is_not_kept(http):
    good = hashlib.sha256(b"abcdef").hexdigest()
    for data, status in ((b"abcdef", 204), (b"abcdeg", 400)):
        path = begin(http, 6, **{"Upload-Metadata": said(sha256=good)}).headers["location"]
        patch(http, path, 0, data[:2])
        answer = patch(http, path, 2, data[2:])
        assert answer.status_code == status
        assert http.head(path).status_code == (200 if status == 204 else 404)
    assert reason(answer) == "DIGEST_MISMATCH"


def test_a_method_may_stand_in_a_header(http):
    path = begin(http, 3).headers["location"]
    given = {**OCTETS, "Upload-Offset": "0"}
    override = "X-HTTP-Method-Override"
    assert http.post(path, headers={**given, override: "PATCH"}, content=b"ab").headers["upload-offset"] == "2"
    assert http.post(path, headers={override: "HEAD"}).headers["upload-offset"] == "2"
    assert http.post(path, headers={override: "DELETE"}).status_code == 204
    assert http.head(path).status_code == 404


def test_an_upload_can_be_ended(http):
    path = begin(http, 3).headers["location"]
    patch(http, path, 0, b"ab")
    assert http.delete(path).status_code == 204
    for answer in (http.head(path), http.delete(path), patch(http, path, 2, b"c")):
        assert answer.status_code == 404
    finished = patch(http, begin(http, 1).headers["location"], 0, b"a")
    path, name = finished.request.url.path, finished.headers["upload-asset"]
    assert http.delete(path).status_code == 204
    assert http.get(f"/{name}/content").content == b"a"


@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        ({"Tus-Resumable": "0.2.2", "Upload-Length": "1"}, 412, "TUS_VERSION"),
        ({}, 400, "BAD_HEADER"),
        ({"Upload-Length": "-1"}, 400, "BAD_HEADER"),
        ({"Upload-Length": "1e3"}, 400, "BAD_HEADER"),
        ({"Upload-Defer-Length": "1"}, 400, "BAD_HEADER"),
        ({"Upload-Length": str(MAX_BYTES + 1)}, 413, "ASSET_TOO_LARGE"),
        ({"Upload-Length": "1", "Upload-Metadata": "filename ???"}, 400, "BAD_HEADER"),
        ({"Upload-Length": "1", "Upload-Metadata": said(sha256="abc")}, 400, "BAD_FIELD"),
        ({"Upload-Length": "1", "Upload-Metadata": said(filename="a" * 5000)}, 400, "BAD_FIELD"),
        ({"Upload-Length": "1", "X-API-Key": "wrong"}, 401, "WRONG_KEY"),
    ],
)
def test_a_creation_that_cannot_be(http, headers, status, why):
    answer = http.post("/uploads", headers=headers)
    assert (answer.status_code, reason(answer), answer.headers["tus-resumable"]) == (status, why, "1.0.0")


def test_a_write_that_cannot_be(http):
    path = begin(http, 3).headers["location"]
    cases = [
        ({**OCTETS}, 400),
        ({"Upload-Offset": "0", "Content-Type": "text/plain"}, 415),
        ({**OCTETS, "Upload-Offset": "0", "Tus-Resumable": "2.0.0"}, 412),
        ({**OCTETS, "Upload-Offset": "0", "X-API-Key": "wrong"}, 401),
    ]
    for headers, status in cases:
        assert http.patch(path, headers=headers, content=b"abc").status_code == status
    assert http.patch("/uploads/nosuchupload", headers={**OCTETS, "Upload-Offset": "0"}, content=b"").status_code == 404
    assert http.patch("/uploads/a:b", headers={**OCTETS, "Upload-Offset": "0"}, content=b"").status_code == 400
    assert http.patch("/uploads", headers=OCTETS).status_code == 405
    assert http.put(path, content=b"").status_code == 405
    bare = httpx.patch(
        str(http.base_url) + path, headers={"X-API-Key": KEY, **OCTETS, "Upload-Offset": "0"}, content=b""
    )
    assert (bare.status_code, bare.headers["tus-version"]) == (412, "1.0.0")


def test_json_is_for_who_has_no_client_of_tus(gateway):
    upload = gateway.http.post("/uploads", json={"sizeBytes": 4, "filename": "a.srt"}).json()
    assert (upload["committedSize"], upload["contentType"]) == (0, "application/x-subrip")
    headers = {**TUS, **OCTETS, "Upload-Offset": "0"}
    assert gateway.http.patch(f"/{upload['name']}", headers=headers, content=b"1234").status_code == 204
    upload = gateway.http.get(f"/{upload['name']}").json()
    assert (upload["committedSize"], upload["asset"]["sizeBytes"]) == (4, 4)
    assert gateway.http.delete(f"/{upload['name']}").json() == {}
    assert gateway.http.get(f"/{upload['name']}").status_code == 404
    assert gateway.http.post("/uploads", json={"filename": "a.srt"}).status_code == 400


def test_what_came_before_a_cut_is_kept(gateway, http):
    data = os.urandom(700_000)
    path = begin(http, len(data)).headers["location"]
    head = f"PATCH {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nTus-Resumable: 1.0.0\r\n"
    head += f"Content-Type: {OCTETS['Content-Type']}\r\nUpload-Offset: 0\r\nContent-Length: {len(data)}\r\n\r\n"
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(head.encode() + data[:600_000])
    until_sync(lambda: http.head(path).headers["upload-offset"] == "600000")
    answer = patch(http, path, 600_000, data[600_000:])
    assert http.get(f"/{answer.headers['upload-asset']}/content").content == data
    assert http.get(f"/{answer.headers['upload-asset']}").json()["sha256"] == hashlib.sha256(data).hexdigest()


def test_a_second_writer_takes_over_from_one_that_stalls(gateway, http):
    data = os.urandom(100_000)
    path = begin(http, len(data)).headers["location"]
    head = f"PATCH {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nTus-Resumable: 1.0.0\r\n"
    head += f"Content-Type: {OCTETS['Content-Type']}\r\nUpload-Offset: 0\r\nContent-Length: {len(data)}\r\n\r\n"
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(head.encode() + b"x" * 50_000)
        # Its bytes may be kept by then, or not; none of them may come later.
        while True:
            offset = int(http.head(path).headers["upload-offset"])
            answer = patch(http, path, offset, data[offset:])
            if answer.status_code == 204:
                break
            assert answer.status_code == 409
        line.settimeout(60)
        assert b" 409 " in line.recv(4096).split(b"\r\n")[0]
    content = http.get(f"/{answer.headers['upload-asset']}/content").content
    assert content == b"x" * offset + data[offset:]


def test_many_small_pieces_become_few(gateway, http):
    data = os.urandom(50)
    path = begin(http, len(data)).headers["location"]
    for offset in range(len(data)):
        answer = patch(http, path, offset, data[offset : offset + 1])
    asset_id = answer.headers["upload-asset"].removeprefix("assets/")
    assert http.get(f"/assets/{asset_id}/content").content == data
    assert http.get(f"/assets/{asset_id}/content", headers={"Range": "bytes=14-17"}).content == data[14:18]
    folder = gateway.folder / "data" / "assets" / "assets"
    assert len(list(folder.glob(f"{asset_id}.*"))) < 25
    assert http.delete(f"/assets/{asset_id}").status_code == 200
    assert not list(folder.glob(f"{asset_id}*"))


@pytest.mark.parametrize("metadata", ["a\r\nset-cookie: b", "filename \u2603"])
def test_metadata_that_no_header_can_have_is_refused(gateway, metadata):
    body = {"sizeBytes": 1, "tusMetadata": metadata}
    answer = httpx.post(f"{gateway.url}/uploads", headers={"X-API-Key": KEY}, json=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("tus_metadata: ")
