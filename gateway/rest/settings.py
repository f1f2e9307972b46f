"""What the HTTP side must be told."""

from collections.abc import Sequence
from dataclasses import dataclass

from servicekit.chunks import MAX_MESSAGE_BYTES


@dataclass(frozen=True)
class RestSettings:
    """`public_url` is scheme and host as clients know them, for links; without it they come from each request.
    `max_body_bytes` is the limit of JSON bodies, the one that messages of gRPC have; files have none here. A body that
    stalls for `body_idle_seconds` ends its request. Who takes nothing of a file for `stall_seconds` gives its place
    among the transfers up."""

    cors_allow_origins: Sequence[str] = ("*",)
    max_body_bytes: int = MAX_MESSAGE_BYTES
    public_url: str | None = None
    body_idle_seconds: float = 60.0
    stall_seconds: float = 120.0
    sse_ping_seconds: float = 15.0


@dataclass(frozen=True)
class HttpLimits:
    """What a connection may do beside sending a body: the head of a request, its size and the seconds it may take; what
    comes of a body after the answer, which is read and dropped for so long; and idling between requests."""

    head_bytes: int = 64 * 1024
    head_seconds: float = 30.0
    leftover_seconds: float = 30.0
    keep_alive_seconds: float = 65.0
