"""The caller of a gRPC call, by the call's metadata."""

from dataclasses import dataclass

from servicekit.interceptors import Context, metadata

BASE_URL = "x-apigpu-base-url"
KEEP_JOB = "x-apigpu-keep-job"


@dataclass(frozen=True)
class Caller:
    """The caller: `base_url` for links in responses, and whether it is the JSON proxy."""

    base_url: str
    is_proxy: bool


def caller(context: Context, public_url: str) -> Caller:
    """Return the caller. The metadata is trusted from the JSON proxy alone, which calls on the private socket."""
    trusted = metadata(context) if context.peer().startswith("unix:") else {}
    return Caller(base_url=trusted.get(BASE_URL, public_url).rstrip("/"), is_proxy=trusted.get(KEEP_JOB) == "1")
