"""data: URIs: their forms, and what is refused with a reason."""

import base64
import contextlib

import pytest

from gateway.sources import inline
from servicekit.errors import InvalidArgument
from tests.support.growth import assert_grows_gently

PICTURE = bytes(range(256))
TEXT = base64.b64encode(PICTURE).decode()


@pytest.mark.parametrize(
    ("text", "filename", "content_type", "data"),
    [
        (f"data:image/png;base64,{TEXT}", "input.png", "image/png", PICTURE),
        (f" DATA:IMAGE/PNG;BASE64,{TEXT}", "input.png", "image/png", PICTURE),
        (f"data:image/jpeg;base64,{TEXT.rstrip('=')}", "input.jpg", "image/jpeg", PICTURE),
        ("data:image/png;base64," + TEXT.replace("+", "-").replace("/", "_"), "input.png", "image/png", PICTURE),
        (
            "data:image/png;base64," + "\r\n".join(TEXT[n : n + 76] for n in range(0, 344, 76)),
            "input.png",
            None,
            PICTURE,
        ),
        (f"data:image/png;base64,{TEXT.replace('+', '%2B').replace('=', '%3D')}", "input.png", "image/png", PICTURE),
        ("data:,a%20b,c", "input.txt", "text/plain", b"a b,c"),
        ("data:text/vtt;charset=utf-8,WEBVTT%0A%0A", "input.vtt", "text/vtt", b"WEBVTT\n\n"),
        ("data:application/x-subrip,1\n00:00 ol\u00e1", "input.srt", None, "1\n00:00 ol\u00e1".encode()),
        ("data:text/plain;name=my%20talk.srt;base64,MQ", "my talk.srt", "text/plain", b"1"),
        ("data:text/plain;filename=..%2F..%2Fpasswd,1", "passwd", "text/plain", b"1"),
        ("data:no/such-type,1", "input", "no/such-type", b"1"),
    ],
)
def test_forms(text, filename, content_type, data):
    assert inline.is_inline(text)
    inline.check(text)
    file = inline.parse(text)
    assert (file.filename, file.data) == (filename, data)
    assert content_type in (None, file.content_type)


@pytest.mark.parametrize(
    ("head", "charset"),
    [
        ("text/plain", ""),
        ("text/plain;charset=windows-1251", "windows-1251"),
        (';CHARSET="utf-8";base64', "utf-8"),
        (";charset=<>", ""),
    ],
)
def test_the_encoding_of_a_text_is_heeded(head, charset):
    assert inline.parse(f"data:{head},MQ").charset == charset


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("data:image/png;base64", "needs a comma"),
        ("data:" + "x" * 5000 + ",1", "needs a comma"),
        ("data:image/png;base64,@@@@", "says that it is base64, and is not"),
        ("data:image/png;base64,A", "says that it is base64, and is not"),
        ("data:image/png;base64,AA=A", "says that it is base64, and is not"),
        ("data:image/png;base64,", "holds no byte"),
        ("data:,", "holds no byte"),
    ],
)
def test_refusals_say_what_to_do(text, error):
    with pytest.raises(InvalidArgument, match=error) as refused:
        inline.parse(text)
    assert refused.value.reason == "BAD_URL"
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("text", ["https://a/data:,x", "assets/a", "", "data", "datum:,x"])
def test_other_sources_are_none(text):
    assert not inline.is_inline(text)


@pytest.mark.parametrize("unit", ["A", "%41", "%", "=", ";", ",", " ", ";base64", "\u00e9"], ids=repr)
@pytest.mark.parametrize("head", ["data:,", "data:;base64,", "data:"])
def test_they_grow_gently(head, unit):
    def parse(text):
        with contextlib.suppress(InvalidArgument):
            inline.parse(text)

    assert_grows_gently(lambda size: head + unit * (size // len(unit)), parse, 20_000)
