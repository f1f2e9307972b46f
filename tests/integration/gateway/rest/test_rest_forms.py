"""Uploads by form: streamed, with one file, bounded."""

import hashlib

import httpx
import psutil
import pytest

from gateway.rest.forms import MAX_BYTES_BEFORE_FILE, MAX_FIELD_BYTES, MAX_PARTS

DATA = bytes(range(256)) * 8000
SHA256 = hashlib.sha256(DATA).hexdigest()


def form(*parts, end="--b--\r\n"):
    """A form of parts, each the head and the data."""
    return b"".join(b"--b\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts) + end.encode()


def file(name="a.mp4", data=DATA):
    return f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: video/mp4', data


def text(name, data):
    return f'Content-Disposition: form-data; name="{name}"', data


async def send(http, body, path="/assets", content_type="multipart/form-data; boundary=b"):
    return await http.post(path, content=body, headers={"content-type": content_type})


@pytest.mark.parametrize(
    ("parts", "path", "filename"),
    [
        ([file()], "/assets", "a.mp4"),
        ([file("é %22x%22.mp4")], "/assets/", 'é "x".mp4'),
        ([file("")], "/assets", ""),
        ([text("filename", b"b.mp4"), file()], "/assets", "b.mp4"),
        ([text("sha256", SHA256.encode()), file()], "/assets?filename=c.mp4", "c.mp4"),
        ([file(), text("sha256", SHA256.encode())], "/assets", "a.mp4"),
    ],
)
async def test_a_file_in_a_form(gateway, http, parts, path, filename):
    answer = await send(http, form(*parts), path)
    assert (answer.status_code, answer.json().get("filename")) == (200, filename)
    assert gateway.uploads == ["header", *["chunk"] * 4, "finish"]
    assert gateway.uploaded.sha256 == SHA256


async def test_an_empty_file(gateway, http):
    assert (await send(http, form(file(data=b"")))).json()["sizeBytes"] == 0


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
async def test_however_it_is_cut_into_pieces(gateway, http, size):
    data = (b"\r\n--b" + b"\r\n-" + bytes(40)) * 20 + b"\r\n--"
    body = form(text("filename", b"n.mp4"), file(data=data.replace(b"\r\n--b", b"\r\n--c")))

    async def pieces():
        for start in range(0, len(body), size):
            yield body[start : start + size]

    assert (await send(http, pieces())).status_code == 200
    assert gateway.uploaded.sha256 == hashlib.sha256(data.replace(b"\r\n--b", b"\r\n--c")).hexdigest()


WRONG = {
    "no file": form(text("filename", b"a.mp4")),
    "two files": form(file(), file()),
    "no end": form(file(), end=""),
    "nothing": b"",
    "no form": b"hello " * 100,
    "much before the file": b"\r\n" + b"x" * 4 * MAX_BYTES_BEFORE_FILE,
    "a long field": form(text("filename", b"a" * (MAX_FIELD_BYTES + 1)), file()),
    "a long head": form(text("a" * 10_000, b""), file()),
    "many heads": form(("X-A: b\r\n" * 100 + "X: y", b""), file()),
    "many parts": form(*[text("filename", b"a")] * (MAX_PARTS + 1), file()),
    "a name behind the file": form(file(), text("filename", b"a.mp4")),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_no_form_with_one_file(gateway, http, what):
    answer = await send(http, WRONG[what])
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (400, "BAD_FORM")
    assert "finish" not in gateway.uploads


@pytest.mark.parametrize("name", ["nothing", "", "a.b"])
async def test_a_field_that_an_upload_does_not_have(gateway, http, name):
    answer = await send(http, form(text(name, b"x"), file()))
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (400, "UNKNOWN_FIELD")


@pytest.mark.parametrize("content_type", ["multipart/form-data", f"multipart/form-data; boundary={'b' * 71}"])
async def test_a_form_without_a_boundary(gateway, http, content_type):
    answer = await send(http, form(file()), content_type=content_type)
    assert answer.json()["details"][0]["reason"] == "BAD_FORM"


async def test_other_bodies_of_several_parts(gateway, http):
    answer = await send(http, form(file()), content_type="multipart/mixed; boundary=b")
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (415, "UNSUPPORTED_MEDIA")


async def test_json_takes_no_form(gateway, http):
    answer = await send(http, form(file()), "/video/caption")
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (415, "UNSUPPORTED_MEDIA")


async def test_a_large_file_is_not_held_in_memory(gateway):
    async def pieces():
        yield form(file(data=b""), end="")[:-2]
        for _ in range(300):
            yield bytes(1 << 20)
        yield b"\r\n--b--\r\n"

    before = psutil.Process().memory_info().rss
    async with httpx.AsyncClient(base_url=gateway.url, headers={"x-api-key": "k"}, timeout=120) as http:
        assert (await send(http, pieces())).status_code == 200
    assert gateway.uploaded.size_bytes == 300 << 20
    assert psutil.Process().memory_info().rss - before < 150 << 20


async def test_the_encoding_of_a_text_is_that_of_its_part_or_of_its_body(gateway, http):
    part = 'Content-Disposition: form-data; name="file"; filename="a.srt"\r\nContent-Type: text/plain; charset=koi8-r'
    assert (await send(http, form((part, b"x")))).status_code == 200
    assert gateway.request.charset == "koi8-r"
    assert (await send(http, form(text("charset", b"big5"), (part, b"x")))).status_code == 200
    assert gateway.request.charset == "big5"
    assert (
        await http.put("/assets/a.srt", content=b"x", headers={"content-type": "a/b; charset=gbk"})
    ).status_code == 200
    assert gateway.request.charset == "gbk"
    assert (await http.put("/assets/a.srt?charset=euc-kr", content=b"x")).status_code == 200
    assert gateway.request.charset == "euc-kr"
