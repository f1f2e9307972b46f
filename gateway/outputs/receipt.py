"""What the answer of a receiver says of a result that was put to it. Pure."""

import base64
import binascii
import re
from urllib.parse import urlsplit

from gateway.outputs.plan import PutOutcome
from gateway.sources.send import Answer

# Refusals that another attempt may get around; other statuses of 4xx are the receiver's last word.
RETRIED = {408, 409, 423, 425, 429}
# Codes of S3 for what went wrong on the way, or with clocks, whatever the status.
RETRIED_CODES = {
    "BadDigest",
    "IncompleteBody",
    "OperationAborted",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "XAmzContentSHA256Mismatch",
}
HINTS = {
    301: "it is in another region, or at another URL; redirects are not followed",
    307: "it is in another region, or at another URL; redirects are not followed",
    403: "the URL has expired, or was signed for something else, or the credentials may not write there",
    404: "there is no such bucket or place",
    412: "there is something already, maybe from an attempt whose answer was lost",
    413: "the result is larger than the receiver takes",
}
# Encrypted by keys of the customer or of KMS, an ETag is no MD5. Source: Amazon S3, "Object" (API reference), ETag.
ENCRYPTED = ("x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-customer-algorithm")
# In queries of presigned URLs of S3, of both versions.
SIGNED_FOR_S3 = ("X-Amz-Signature=", "AWSAccessKeyId=")
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,60})</Code>")


def outcome(url: str, answer: Answer, md5: bytes, *, is_whole: bool, is_signed: bool) -> PutOutcome:
    """Judge an answer: `md5` is of the bytes that were sent, `is_whole` if these were all. `is_signed` if the digest of
    the bytes was part of a signature that the receiver checks."""
    if 200 <= answer.status < 300:
        if not is_whole:
            return PutOutcome("Its receiver answered before the result was sent whole.")
        told = _told_md5(url, answer, is_signed=is_signed)
        if told not in (None, md5):
            return PutOutcome("Its receiver has other bytes than were sent: the MD5 that it tells is not theirs.")
        return PutOutcome(is_verified=is_signed or told is not None)
    code = _code(answer)
    is_final = answer.status < 500 and answer.status not in RETRIED and code not in RETRIED_CODES
    hint = f": {HINTS[answer.status]}" if answer.status in HINTS else ""
    text = f"Its receiver answered with the HTTP status {answer.status}{f' ({code})' if code else ''}{hint}."
    return PutOutcome(text, is_final or answer.status == 501, answer.retry_after_seconds)


def _code(answer: Answer) -> str:
    if code := re.fullmatch(r"[A-Za-z0-9]{1,60}", answer.headers.get("x-ms-error-code", "")):
        return code[0]
    found = _CODE.search(answer.refusal)
    return found[1].decode() if found else ""


def _told_md5(url: str, answer: Answer, *, is_signed: bool) -> bytes | None:
    """Return the MD5 that an answer tells; None where it tells none that is certain to be one."""
    headers = answer.headers
    hashes = dict(part.strip().partition("=")[::2] for part in headers.get("x-goog-hash", "").split(","))
    for text in (hashes.get("md5", ""), headers.get("content-md5", "")):
        try:
            if len(digest := base64.b64decode(text, validate=True)) == 16:
                return digest
        except (binascii.Error, ValueError):
            continue
    etag = _MD5.fullmatch(headers.get("etag", ""))
    is_of_s3 = is_signed or any(name in urlsplit(url).query for name in SIGNED_FOR_S3)
    is_encrypted = any(name in headers for name in ENCRYPTED)
    return bytes.fromhex(etag[1]) if etag and is_of_s3 and not is_encrypted else None
