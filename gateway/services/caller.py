"""What a call's metadata says of its caller."""

from dataclasses import dataclass

from servicekit.interceptors import Context, metadata

BASE_URL = "x-apigpu-base-url"
KEEP_JOB = "x-apigpu-keep-job"


@dataclass(frozen=True)
class Caller:
    """`base_url`: where links must point for this caller; `keep_job`: its going away leaves the job alone."""

    base_url: str
    keep_job: bool


def caller(context: Context, public_url: str) -> Caller:
    """Who calls. Only the JSON proxy, on the private socket, is believed what it says of its client."""
    given = metadata(context) if context.peer().startswith("unix:") else {}
    return Caller(base_url=given.get(BASE_URL, public_url).rstrip("/"), keep_job=given.get(KEEP_JOB) == "1")
