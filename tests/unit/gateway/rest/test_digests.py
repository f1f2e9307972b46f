"""Digest headers: what is read, what is refused, and that nothing is passed over."""

import base64
import hashlib

import pytest
from starlette.datastructures import Headers

from gateway.rest.digests import announced_sha256, verify
from servicekit.errors import InvalidArgument

SHA256 = hashlib.sha256(b"body")
DIGEST = base64.b64encode(SHA256.digest()).decode()
OTHER = base64.b64encode(bytes(32)).decode()


def headers(*pairs):
    return Headers(raw=[(name.encode(), value.encode()) for name, value in pairs])


@pytest.mark.parametrize(
    "pairs",
    [
        [("content-digest", f"sha-256=:{DIGEST}:")],
        [("content-digest", f" sha-512=:AAAA: ,\tSHA-256=:{DIGEST}: ")],
        [("content-digest", "sha-512=:AAAA:"), ("content-digest", f"sha-256=:{DIGEST}:")],
        [("repr-digest", f"sha-256=:{DIGEST}:"), ("content-digest", f"sha-256=:{DIGEST}:")],
        [("digest", f"unixsum=30637,SHA-256={DIGEST}")],
    ],
)
def test_what_is_read(pairs):
    assert announced_sha256(headers(*pairs)) == SHA256.hexdigest()


def test_no_header_announces_nothing():
    assert announced_sha256(headers(("content-type", "a/b"))) == ""


@pytest.mark.parametrize(
    "pairs",
    [
        [("content-digest", "")],
        [("content-digest", f"sha-256={DIGEST}")],
        [("content-digest", f"sha-256=:{DIGEST}")],
        [("content-digest", f"sha-256=:{DIGEST}:;")],
        [("content-digest", f"sha-256=:{DIGEST}:, ")],
        [("content-digest", f"sha-256=:{DIGEST[:-4]}:")],
        [("content-digest", f"md5=:{DIGEST}:")],
        [("content-digest", f"sha-256=:{DIGEST}:, sha-256=:{OTHER}:")],
        [("content-digest", f"sha-256=:{DIGEST}:"), ("content-digest", f"sha-256=:{OTHER}:")],
        [("content-digest", f"sha-256=:{DIGEST}:"), ("digest", f"sha-256={OTHER}")],
        [("content-digest", f"sha-256=:{DIGEST}:"), ("repr-digest", "nonsense")],
        [("content-digest", f"sha-256=:{DIGEST}:" + ",a=:AAAA:" * 1000)],
        [("digest", f"sha-256=:{DIGEST}:")],
    ],
)
def test_what_is_refused(pairs):
    with pytest.raises(InvalidArgument, match="sha-256") as caught:
        announced_sha256(headers(*pairs))
    assert caught.value.reason == "BAD_DIGEST"


def test_a_body_is_compared():
    pairs = headers(("content-digest", f"sha-256=:{DIGEST}:"))
    verify(pairs, b"body")
    verify(headers(), b"anything")
    with pytest.raises(InvalidArgument) as caught:
        verify(pairs, b"another body")
    assert caught.value.reason == "DIGEST_MISMATCH"
