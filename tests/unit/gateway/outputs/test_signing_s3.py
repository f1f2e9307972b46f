"""Signatures of S3 against AWS's own examples, and the sealing of what they are made with."""

import hashlib
from datetime import UTC, datetime

import httpx
import pytest

from gateway.outputs.destinations import Destination
from gateway.outputs.sealing import Sealer
from gateway.outputs.signing import AccessKey, signed
from servicekit.errors import FailedPrecondition

# Source: Amazon S3, "Authenticating Requests: Using the Authorization Header", examples.
KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=UTC).timestamp()
PUT_SIGNATURE = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
GET_SIGNATURE = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"


def test_the_example_of_a_put():
    bucket = Destination("default", "examplebucket", "us-east-1", "", False, KEY.id, 0.0)
    url, digest = bucket.url("test$file.text"), hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
    # The example's host has no region in it.
    url = url.copy_with(host="examplebucket.s3.amazonaws.com")
    given = {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    headers = signed("PUT", url, given, digest, KEY, "us-east-1", NOW)
    assert headers["Authorization"].endswith(
        f"SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, Signature={PUT_SIGNATURE}"
    )


def test_the_example_of_a_get():
    url = httpx.URL("https://examplebucket.s3.amazonaws.com/test.txt")
    digest = hashlib.sha256(b"").hexdigest()
    headers = signed("GET", url, {"Range": "bytes=0-9"}, digest, KEY, "us-east-1", NOW)
    assert headers["Authorization"].endswith(f"Signature={GET_SIGNATURE}")


def test_where_objects_are():
    def url(endpoint, path_style, key="a b/ü+.mp4"):
        return str(Destination("default", "media", "eu-west-1", endpoint, path_style, "A", 0.0).url(key))

    assert url("", False) == "https://media.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC%2B.mp4"
    assert url("https://minio.example:9000", True) == "https://minio.example:9000/media/a%20b/%C3%BC%2B.mp4"
    assert url("https://s3.example", False, "c") == "https://media.s3.example/c"


def test_what_is_sealed_opens_for_its_place_and_by_its_secret_alone():
    old, new = b"a" * 32, b"b" * 32
    sealed = Sealer([old]).seal(b"secret", "default/media")
    assert b"secret" not in sealed
    assert sealed != Sealer([old]).seal(b"secret", "default/media")
    assert Sealer([new, old]).unseal(sealed, "default/media") == b"secret"
    for sealer, place, data in (
        (Sealer([new]), "default/media", sealed),
        (Sealer([old]), "other/media", sealed),
        (Sealer([old]), "default/media", sealed[:-1] + bytes([sealed[-1] ^ 1])),
    ):
        with pytest.raises(FailedPrecondition):
            sealer.unseal(data, place)
