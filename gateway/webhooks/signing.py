"""Signatures of calls, by Standard Webhooks: HMAC-SHA256 over id, time and body. Source: standardwebhooks.com."""

import base64
import binascii
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

PREFIX = "whsec_"
# Source: Standard Webhooks, "Signature scheme".
MIN_BYTES, MAX_BYTES = 24, 64
NEW_BYTES = 32


def check_secret(text: str) -> None:
    """Raise ValueError for what is no secret of Standard Webhooks."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(PREFIX) or not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise ValueError(
            f"give {PREFIX} and {MIN_BYTES} to {MAX_BYTES} random bytes in base64, like `openssl rand -base64 32`"
        )


def new_secret() -> bytes:
    """Return a new secret of Standard Webhooks."""
    return PREFIX.encode() + base64.b64encode(secrets.token_bytes(NEW_BYTES))


class WebhookSigner:
    """Signs with every secret, so that receivers may know the old one or the new one while it is replaced."""

    def __init__(self, signing_secrets: Sequence[str]) -> None:
        self._signers = [Webhook(secret) for secret in signing_secrets]

    def headers(self, webhook_id: str, now: float, body: bytes) -> dict[str, str]:
        """Return the headers of a call."""
        time, text = datetime.fromtimestamp(int(now), UTC), body.decode()
        return {
            "Content-Type": "application/json",
            "Webhook-Id": webhook_id,
            "Webhook-Timestamp": str(int(now)),
            "Webhook-Signature": " ".join(signer.sign(webhook_id, time, text) for signer in self._signers),
        }
