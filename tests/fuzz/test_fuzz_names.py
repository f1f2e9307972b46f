"""Names of files, URLs and headers of the web: cleaned or refused, in bounded time."""

import contextlib

from hypothesis import strategies as st

from gateway.assets.record import MAX_NAME_BYTES, clean_filename, content_type
from gateway.rest.files import disposition, media_type
from gateway.sources import urls
from servicekit.errors import ServiceError
from tests.support.fuzz import bounded, fuzz, joined

PARTS = st.sampled_from(
    [
        *("a", ".mp4", ".", "..", "/", "\\", " ", "\t", "\r\n", "\0", '"', "'", ";", "=", "%", "%00", "%2f", "%ff"),
        *("é", "e\u0301", "\u0301", "\u0323\u0301", "\u202e", "漢", "😀", "\ufeff", "\u200d", "ﬀ", "ǰ"),
        *(
            "http://",
            "https://",
            "file:",
            "//",
            "@",
            ":",
            "?",
            "#",
            "[::1]",
            "127.0.0.1",
            "localhost",
            "xn--",
            "example.com",
        ),
    ]
)
TEXTS = joined(PARTS | st.characters())


@fuzz(examples=40, name=TEXTS)
def test_file_names(name):
    with bounded(len(name)):
        cleaned = clean_filename(name)
        shown = disposition("attachment", cleaned)
        media_type(content_type(cleaned, name))
    assert len(cleaned.encode()) <= MAX_NAME_BYTES
    assert not set(cleaned) & set("/\\\r\n\0")
    assert not set(shown.encode("latin-1")) & set(b"\r\n\0")


@fuzz(examples=40, text=TEXTS)
def test_urls(text):
    with bounded(len(text)), contextlib.suppress(ServiceError):
        url = urls.parse(text)
        assert url.scheme in urls.SCHEMES
        assert url.host
        clean_filename(urls.filename(url))
        assert len(urls.redact(url)) < 1000


@fuzz(examples=40, location=TEXTS)
def test_redirects(location):
    with bounded(len(location)), contextlib.suppress(ServiceError):
        assert urls.resolve_redirect(urls.parse("https://example.com/a"), location).scheme == "https"
