"""Secrets that are set, or else made once and kept in DATA_DIR."""

import secrets
from collections.abc import Callable
from pathlib import Path

from gateway.config import GatewaySettings, split_secrets
from gateway.webhooks.signing import new_secret


def link_secret(settings: GatewaySettings) -> bytes:
    """Return the secret that signs links: LINK_SECRET, or one kept in DATA_DIR, so that links survive restarts."""
    given = settings.link_secret.get_secret_value().encode()
    return given or kept_secret(settings.data_dir / "link.key", lambda: secrets.token_bytes(32))


def key_pepper(settings: GatewaySettings) -> bytes:
    """Return the secret without which nobody can tell a key by what is stored of it: KEY_PEPPER, or one kept in
    DATA_DIR."""
    given = settings.key_pepper.get_secret_value().encode()
    return given or kept_secret(settings.data_dir / "keys.pepper", lambda: secrets.token_bytes(32))


def webhook_secrets(settings: GatewaySettings) -> tuple[str, ...]:
    """Return the secrets that sign calls of webhooks: WEBHOOK_SECRET, or one kept in DATA_DIR."""
    return settings.webhook_secrets or (kept_secret(settings.data_dir / "webhook.key", new_secret).decode(),)


def credentials_secrets(settings: GatewaySettings) -> tuple[bytes, ...]:
    """Return the secrets that seal credentials of callers: CREDENTIALS_SECRET, or one kept in DATA_DIR."""
    given = tuple(secret.encode() for secret in split_secrets(settings.credentials_secret))
    return given or (kept_secret(settings.data_dir / "credentials.key", lambda: secrets.token_bytes(32)),)


def kept_secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the secret that a file holds, which is made if it is missing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed, so that a crash leaves no partial secret.
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(make())
        fresh.replace(path)
        return path.read_bytes()
