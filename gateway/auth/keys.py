"""API keys: which calls need one, and whether the one given opens the gateway."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from servicekit.errors import Unauthenticated

# Prefixes of methods that anybody may call who got through TLS.
OPEN_METHODS = (
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/apigpu.v1.SystemService/GetInfo",
    "/apigpu.v1.SystemService/GetHealth",
)


class Keys:
    """The keys of this gateway."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def check(self, method: str, given: Mapping[str, str]) -> str:
        """Name of the key in the call's metadata ("" for open methods). Raises Unauthenticated."""
        key = given_key(method, given)
        if not key:
            return ""
        digest = _digest(key)
        # Every key is compared, so that the time taken tells nothing.
        if not any([hmac.compare_digest(digest, known) for known in self._digests]):  # noqa: C419
            raise Unauthenticated("The API key is not known here.", reason="WRONG_KEY")
        return digest.hex()[:8]


def given_key(method: str, given: Mapping[str, str]) -> str:
    """The key in the call's metadata, known or not ("" for open methods). Raises Unauthenticated without one."""
    if method.startswith(OPEN_METHODS):
        return ""
    key = given.get("x-api-key") or given.get("authorization", "").removeprefix("Bearer ").strip()
    if not key:
        raise Unauthenticated("An API key is required; give it as X-API-Key.", reason="NO_KEY")
    return key


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
