"""URLs as clients give them."""

import httpx
import pytest

from gateway.sources import urls
from servicekit.errors import InvalidArgument


@pytest.mark.parametrize(
    "text",
    [
        "http://h/",
        "https://media.example/v.mp4?a=b&c=d",
        "HTTPS://MEDIA.example:8443/v.mp4",
        "http://bücher.example/ä b.mp4",
        "http://10.0.0.1:65535/",
        "http://[2606:4700::1111]:80/x",
        " http://h/with-space-around ",
        "http://a_b.example/",
    ],
)
def test_what_can_be_fetched(text):
    assert urls.parse(text).scheme in ("http", "https")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "BAD_URL_SCHEME"),
        ("clip.mp4", "BAD_URL_SCHEME"),
        ("/etc/passwd", "BAD_URL_SCHEME"),
        ("//host/x", "BAD_URL_SCHEME"),
        ("file:///etc/passwd", "BAD_URL_SCHEME"),
        ("ftp://host/x", "BAD_URL_SCHEME"),
        ("data:video/mp4;base64,AAAA", "BAD_URL_SCHEME"),
        ("concat:http://h/a|http://h/b", "BAD_URL_SCHEME"),
        ("http://", "BAD_URL"),
        ("http:///x", "BAD_URL"),
        ("http://h\n/", "BAD_URL"),
        ("http://[::1", "BAD_URL"),
        ("http://[fe80::1%25eth0]/", "BAD_URL"),
        ("http://a b/", "BAD_URL"),
        ("http://h:99999/", "BAD_URL"),
        ("http://h:0/", "BAD_URL"),
        ("http://h:port/", "BAD_URL"),
        ("http://１２７.0.0.1/", "BAD_URL"),
        ("http://h/" + "x" * 9000, "BAD_URL"),
        ("http://user:hunter2@h/", "URL_HAS_CREDENTIALS"),
        ("https://hunter2@h/", "URL_HAS_CREDENTIALS"),
        ("http://h\\@evil.example/", "URL_HAS_CREDENTIALS"),
    ],
)
def test_what_cannot(text, reason):
    with pytest.raises(InvalidArgument) as caught:
        urls.parse(text)
    assert caught.value.reason == reason
    assert "hunter2" not in caught.value.message


def test_what_is_shown_has_no_secrets_and_an_end():
    url = httpx.URL("https://user:hunter2@media.example:8443/a%20b.mp4?signature=hunter2#hunter2")
    assert urls.redact(url) == "https://media.example:8443/a%20b.mp4"
    assert len(urls.redact(httpx.URL("http://h/" + "x" * 5000))) == urls.MAX_REDACTED_CHARACTERS + 1


@pytest.mark.parametrize(
    ("text", "name"),
    [("http://h/a/b.mp4?c=/d", "b.mp4"), ("http://h", ""), ("http://h/a%2Fb", "a/b"), ("http://h/%ff", "\ufffd")],
)
def test_the_name_in_a_url(text, name):
    assert urls.filename(httpx.URL(text)) == name
