"""Signed links: whole files, ranges and conditions, against the real store."""

import asyncio
import contextlib
import socket
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.datastructures import Headers

from gateway.assets.links import LinkSigner
from gateway.assets.transfers import TransferSlots
from gateway.rest.files import disposition, is_safe_inline, media_type, requested_range
from gateway.rest.status import RangeNotSatisfiable
from tests.support.until import until_async

DATA = bytes(range(256)) * 10_000
SIZE = len(DATA)


async def stored(gateway, filename="clip é.mp4", data=DATA):
    async with gateway.assets.create(filename) as writer:
        for at in range(0, len(data), 300_000):
            await writer.write(data[at : at + 300_000])
        return await writer.commit()


@pytest.fixture
async def asset(gateway):
    return await stored(gateway)


@pytest.fixture
def link(gateway, asset):
    return gateway.links.sign_file(asset.id, asset.filename)


async def test_whole(http, link, asset):
    answer = await http.get(link)
    assert (answer.status_code, answer.content) == (200, DATA)
    headers = answer.headers
    assert headers["content-type"] == "video/mp4"
    assert headers["content-length"] == str(SIZE)
    assert headers["accept-ranges"] == "bytes"
    assert headers["etag"] == f'"{asset.sha256}"'
    assert headers["content-disposition"] == "inline; filename=\"clip _.mp4\"; filename*=UTF-8''clip%20%C3%A9.mp4"
    assert "media-src 'self'" in headers["content-security-policy"]
    assert headers["content-security-policy"].endswith("; form-action 'none'; base-uri 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"].startswith("private, no-transform, max-age=")
    assert 0 < int(headers["cache-control"].rpartition("=")[2]) <= 600


async def test_a_slash_behind_the_name_does_not_matter(http, link):
    assert (await http.get(link.replace("?", "/?", 1))).content == DATA


async def test_as_a_download(http, link):
    assert (await http.get(f"{link}&download=1")).headers["content-disposition"].startswith("attachment; ")


async def test_only_what_holds_no_script_opens_in_place(http, gateway):
    for filename, kind in (("a.txt", "inline"), ("a.png", "inline"), ("a.html", "attachment"), ("a.svg", "attachment")):
        asset = await stored(gateway, filename)
        answer = await http.head(gateway.links.sign_file(asset.id, filename))
        assert answer.headers["content-disposition"] == f'{kind}; filename="{filename}"'


async def test_a_link_takes_a_place_among_the_transfers(http, gateway, link):
    async with gateway.transfers.acquire("another"):
        answer = await http.get(link)
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (429, "BUSY")
        assert (await http.head(link)).status_code == 200
    for _ in range(2):
        assert (await http.get(link)).status_code == 200


def read_to_the_end(connection):
    count = 0
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(1 << 16):
            count += len(data)
    return count


async def test_a_link_that_is_read_too_slowly_gives_way_to_another_one(start):
    size = 32 << 20
    async with (
        start(transfers=TransferSlots(1, allowed_seconds=0.05)) as gateway,
        httpx.AsyncClient(timeout=60) as http,
    ):
        large, small = await stored(gateway, data=bytes(size)), await stored(gateway)
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", gateway.port))
            slow.sendall(f"GET {gateway.links.sign_file(large.id, 'a')} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
            assert (await asyncio.to_thread(slow.recv, 12)) == b"HTTP/1.1 200"
            url = gateway.url + gateway.links.sign_file(small.id, "b")

            async def is_served():
                answer = await http.get(url)
                return answer.status_code == 200 and answer.content == DATA

            await until_async(is_served)
            assert await asyncio.to_thread(read_to_the_end, slow) < size


async def test_head(http, link):
    answer = await http.head(link)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(SIZE)
    # Range is defined for GET alone.
    assert (await http.head(link, headers={"range": "bytes=0-1"})).status_code == 200


@pytest.mark.parametrize(
    ("given", "start", "end"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, SIZE - 1),
        ("bytes=-100", SIZE - 100, SIZE - 1),
        (f"bytes=-{SIZE * 2}", 0, SIZE - 1),
        (f"bytes=5-{SIZE * 2}", 5, SIZE - 1),
        ("Bytes=524280-524300", 524280, 524300),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
    ],
)
async def test_range(http, link, given, start, end):
    answer = await http.get(link, headers={"range": given})
    assert answer.status_code == 206
    assert answer.content == DATA[start : end + 1]
    assert answer.headers["content-range"] == f"bytes {start}-{end}/{SIZE}"
    assert answer.headers["content-length"] == str(end - start + 1)


@pytest.mark.parametrize("given", ["bytes=0-1,5-6", "bytes=9-5", "bytes=-", "lines=1-2", "bytes=x-y", "bytes"])
async def test_ranges_that_are_ignored(http, link, given):
    answer = await http.get(link, headers={"range": given})
    assert (answer.status_code, len(answer.content)) == (200, SIZE)


@pytest.mark.parametrize("given", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
async def test_ranges_outside_the_file(http, link, given):
    answer = await http.get(link, headers={"range": given})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert answer.json()["status"] == "OUT_OF_RANGE"


async def test_conditions(http, link, asset):
    first = await http.head(link)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    for headers in (
        {"if-none-match": etag},
        {"if-none-match": f'"x", W/{etag}'},
        {"if-none-match": "*"},
        {"if-modified-since": modified},
    ):
        answer = await http.get(link, headers=headers)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    for headers in (
        {"if-none-match": '"x"'},
        {"if-none-match": '"x"', "if-modified-since": modified},
        {"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"if-modified-since": "yesterday"},
    ):
        assert (await http.get(link, headers=headers)).status_code == 200


async def test_if_range(http, link, asset):
    first = await http.head(link)
    for same in (first.headers["etag"], first.headers["last-modified"]):
        assert (await http.get(link, headers={"range": "bytes=0-9", "if-range": same})).status_code == 206
    for other in ('"x"', f"W/{first.headers['etag']}", "Thu, 01 Jan 1970 00:00:00 GMT"):
        assert (await http.get(link, headers={"range": "bytes=0-9", "if-range": other})).status_code == 200


async def test_links_that_open_nothing(http, gateway, link, asset):
    path = urlsplit(link).path
    expired = LinkSigner(b"s" * 32, ttl_seconds=-5).sign_file(asset.id, "a.mp4")
    other = await stored(gateway, "other.mp4")
    for url in (path, f"{link}0", f"{path}?expires=1&signature=x", expired, link.replace(asset.id, other.id)):
        answer = await http.get(url)
        assert (answer.status_code, answer.json()["error"]) == (403, "Forbidden"), url
    assert "expired" in (await http.get(expired)).json()["message"]


async def test_a_file_that_was_deleted(http, gateway, link, asset):
    await gateway.assets.delete(asset.id)
    answer = await http.get(link)
    assert (answer.status_code, answer.json()["error"]) == (404, "Not Found")


async def test_an_empty_file(http, gateway):
    asset = await stored(gateway, "", b"")
    answer = await http.get(gateway.links.sign_file(asset.id, ""))
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert asset.id in answer.headers["content-disposition"]


async def test_a_name_with_anything_in_it(http, gateway):
    asset = await stored(gateway, 'a"b\\c%;é.srt')
    answer = await http.get(gateway.links.sign_file(asset.id, asset.filename))
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].isascii()


async def test_a_content_that_vanishes_in_mid_file_does_not_look_whole(http, gateway, link, asset, tmp_path):
    [content] = [path for path in (tmp_path / "assets").rglob(asset.id) if path.is_file()]
    content.write_bytes(DATA[: SIZE // 2])
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get(link)


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.mp4", 'inline; filename="a.mp4"'),
        ("", "inline"),
        ('x"y.mp4', "inline; filename=\"x_y.mp4\"; filename*=UTF-8''x%22y.mp4"),
        ("a\r\nb", "inline; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
    ],
)
def test_disposition(filename, expected):
    assert disposition("inline", filename) == expected


@pytest.mark.parametrize(
    ("content_type", "harmless"),
    [
        ("video/mp4", True),
        ("audio/wav", True),
        ("image/webp", True),
        ("text/plain", True),
        ("image/svg+xml", False),
        ("text/html", False),
        ("text/xml", False),
        ("application/pdf", False),
        ("", False),
    ],
)
def test_what_a_browser_may_open_in_place(content_type, harmless):
    assert is_safe_inline(content_type) is harmless


def test_media_type():
    assert media_type("text/plain") == "text/plain; charset=utf-8"
    assert media_type("video/mp4") == "video/mp4"
    assert media_type("") == "application/octet-stream"


def test_a_range_of_an_empty_file():
    known = ('"x"', "Thu, 02 Oct 2025 00:00:00 GMT")
    with pytest.raises(RangeNotSatisfiable):
        requested_range(Headers({"range": "bytes=0-"}), 0, known)
    assert requested_range(Headers({"range": "bytes=1-2"}), 3, known) == range(1, 3)
