"""Signed links: forged, expired, or for another file, they open nothing."""

import time
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gateway.assets.links import LinkSigner
from gateway.assets.record import new_id
from servicekit.config import ConfigError
from servicekit.errors import PermissionDenied

SECRET = b"s" * 32


def parts(path):
    split = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(split.query, strict_parsing=True).items()}
    _, files, asset_id, filename = split.path.split("/")
    assert files == "files"
    return asset_id, unquote(filename), query["expires"], query["signature"]


def test_a_link_opens_its_file():
    links, stored = LinkSigner(SECRET, 60), new_id()
    before = time.time()
    asset_id, filename, expires, signature = parts(links.sign_file(stored, "clip.mp4"))
    assert (asset_id, filename) == (stored, "clip.mp4")
    assert before + 59 <= int(expires) <= time.time() + 61
    links.verify(asset_id, expires, signature)
    LinkSigner(SECRET, 1).verify(asset_id, expires, signature)


@pytest.mark.parametrize("filename", ['a b?c#d%/"&=.mp4', "日本語.srt", "+.mp4", "..mp4"])
def test_odd_names_survive_the_way_through_a_url(filename):
    assert parts(LinkSigner(SECRET, 60).sign_file(new_id(), filename))[1] == filename.rpartition("/")[2]


def test_a_file_without_a_name_goes_by_its_id():
    stored = new_id()
    assert parts(LinkSigner(SECRET, 60).sign_file(stored, ""))[1] == stored


def test_a_changed_link_is_refused():
    links = LinkSigner(SECRET, 60)
    asset_id, _, expires, signature = parts(links.sign_file(new_id(), "clip.mp4"))
    other = "0" if signature[0] != "0" else "1"
    forged = [
        (new_id(), expires, signature),
        (asset_id, str(int(expires) + 1), signature),
        (asset_id, f"0{expires}", signature),
        (asset_id, f" {expires}", signature),
        (asset_id, expires, other + signature[1:]),
        (asset_id, expires, signature[:-1]),
        (asset_id, expires, signature.upper()),
        (asset_id, expires, ""),
        (asset_id, "", signature),
        (asset_id, "never", "ünïcode"),
        (asset_id, "\ud800", "\ud800"),
    ]
    for attempt in forged:
        with pytest.raises(PermissionDenied) as caught:
            links.verify(*attempt)
        assert caught.value.reason == "LINK_FORGED"


def test_a_link_of_another_secret_is_refused():
    asset_id, _, expires, signature = parts(LinkSigner(b"t" * 32, 60).sign_file(new_id(), "clip.mp4"))
    with pytest.raises(PermissionDenied, match="not one that the gateway made"):
        LinkSigner(SECRET, 60).verify(asset_id, expires, signature)


def test_an_expired_link_says_so_and_what_to_do():
    links = LinkSigner(SECRET, 0)
    asset_id, _, expires, signature = parts(links.sign_file(new_id(), "clip.mp4"))
    with pytest.raises(PermissionDenied, match="expired; ask for the job or the asset again") as caught:
        links.verify(asset_id, expires, signature)
    assert caught.value.reason == "LINK_EXPIRED"


def test_a_secret_that_can_be_guessed_is_refused():
    with pytest.raises(ConfigError):
        LinkSigner(b"short", 60)
