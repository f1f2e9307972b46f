"""What an answer to a PUT says: whether the bytes are there, and whether another attempt is of use."""

import base64
import hashlib

import pytest

from gateway.assets.presigned import presigned_headers
from gateway.outputs.receipt import outcome
from gateway.sources.send import Answer

MD5 = hashlib.md5(b"result", usedforsecurity=False)
OTHER = hashlib.md5(b"other", usedforsecurity=False)
S3_URL = "https://media.s3.amazonaws.com/a?X-Amz-Signature=1"
URL = "https://example.com/a"


def judged(answer, url=S3_URL, *, is_whole=True, is_signed=False):
    return outcome(url, answer, MD5.digest(), is_whole=is_whole, is_signed=is_signed)


@pytest.mark.parametrize(
    ("url", "headers", "verified"),
    [
        (S3_URL, {"etag": f'"{MD5.hexdigest()}"'}, True),
        (URL, {"x-goog-hash": f"crc32c=AAAAAA==, md5={base64.b64encode(MD5.digest()).decode()}"}, True),
        (URL, {"content-md5": base64.b64encode(MD5.digest()).decode()}, True),
        (URL, {"etag": '"0x8D4BCC2E4835CD0"'}, False),
        # An ETag that is nobody's MD5, or that of encrypted bytes.
        (URL, {"etag": f'"{OTHER.hexdigest()}"'}, False),
        (S3_URL, {"etag": f'"{OTHER.hexdigest()}"', "x-amz-server-side-encryption-aws-kms-key-id": "k"}, False),
        (URL, {"content-md5": "no digest"}, False),
    ],
)
def test_what_was_put_is_verified_where_the_receiver_tells_its_digest(url, headers, verified):
    found = judged(Answer(200, 0.0, headers), url)
    assert (found.error, found.is_verified) == ("", verified)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        (S3_URL, {"etag": f'"{OTHER.hexdigest()}"'}),
        (URL, {"content-md5": base64.b64encode(OTHER.digest()).decode()}),
    ],
)
def test_other_bytes_are_put_again(url, headers):
    found = judged(Answer(200, 0.0, headers), url)
    assert "other bytes" in found.error
    assert not found.is_final


def test_an_answer_before_the_end_is_no_success():
    assert judged(Answer(200, 0.0), is_whole=False).error


@pytest.mark.parametrize("status", [301, 400, 403, 404, 412, 413, 501])
def test_a_refusal_is_final(status):
    assert judged(Answer(status, 0.0)).is_final


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 507])
def test_a_failure_of_the_moment_is_not(status):
    found = judged(Answer(status, 7.0))
    assert (found.is_final, found.retry_after_seconds) == (False, 7.0)


def test_codes_say_more_than_statuses():
    body = b"<?xml version='1.0'?><Error><Code>RequestTimeTooSkewed</Code><Message>no</Message></Error>"
    found = judged(Answer(403, 0.0, refusal=body))
    assert not found.is_final
    assert "RequestTimeTooSkewed" in found.error
    assert "BlobImmutable" in judged(Answer(409, 0.0, {"x-ms-error-code": "BlobImmutable"})).error


def test_headers_are_those_that_the_store_of_a_url_asks_for():
    azure = presigned_headers("https://a.blob.core.windows.net/c/b?sv=2024&sr=b&sig=x", {}, "video/mp4")
    assert azure == {"x-ms-blob-type": "BlockBlob", "Content-Type": "video/mp4"}
    given = {"X-Ms-Blob-Type": "AppendBlob", "content-type": "a/b"}
    assert presigned_headers("https://a/b?sv=1&sig=x", given, "video/mp4") == given
    second = "https://media.s3.amazonaws.com/a?AWSAccessKeyId=A&Signature=s&Expires=1"
    assert presigned_headers(second, {}, "video/mp4") == {}
    assert presigned_headers(S3_URL, {}, "video/mp4") == {"Content-Type": "video/mp4"}
