"""Signatures of requests to S3, of version 4. Source: Amazon S3, "Authenticating Requests: Authorization Header".

Our own, as obstore reads the environment, so that it would sign with the gateway's own session token, and connects by
itself, past the guard of addresses. The digest of the body is part of the signature: a receiver refuses other bytes.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import httpx

ALGORITHM = "AWS4-HMAC-SHA256"


class AccessKey(NamedTuple):
    """What requests are signed with; `session_token` of temporary credentials, else ""."""

    id: str
    secret: str
    session_token: str = ""


def signed(
    method: str, url: httpx.URL, headers: Mapping[str, str], sha256: str, key: AccessKey, region: str, now: float
) -> dict[str, str]:
    """Return the headers with those that authenticate the request. The URL has no query; `sha256` is the digest of the
    body, lower-case hexadecimal."""
    time = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    added = {"x-amz-content-sha256": sha256, "x-amz-date": time}
    if key.session_token:
        added["x-amz-security-token"] = key.session_token
    sent = {**headers, **added}
    covered = {name.lower(): " ".join(value.split()) for name, value in sent.items()}
    covered["host"] = url.netloc.decode("ascii")
    names = ";".join(sorted(covered))
    lines = "".join(f"{name}:{covered[name]}\n" for name in sorted(covered))
    request = f"{method}\n{url.raw_path.decode('ascii')}\n\n{lines}\n{names}\n{sha256}"
    scope = f"{time[:8]}/{region}/s3/aws4_request"
    text = f"{ALGORITHM}\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = _hmac(_signing_key(key.secret, scope), text).hex()
    proof = f"{ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "Authorization": proof}


def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
