"""Checks where a caller wants the results of a job, when it is submitted."""

import re
from collections.abc import Mapping
from dataclasses import replace

from apigpu.v1 import jobs_pb2, options_pb2, video_pb2
from gateway.jobs import operation, options
from gateway.jobs.model import Job
from gateway.jobs.outputs import S3, OutputTarget
from gateway.outputs.destinations import Destinations
from gateway.outputs.template import KeyTemplate
from gateway.sources.guard import AddressGuard
from servicekit.echo import brief
from servicekit.errors import InvalidArgument, NotFound

URL, URLS, HEADERS = "output.url", "output.urls", "output.headers"
MAX_HEADERS = 20
MAX_HEADER_BYTES = 4 * 1024
# What says how the body is sent, and is ours to say.
OURS = {
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-amz-content-sha256",
    "x-amz-date",
}
# What signs a request to a bucket.
SIGNING = {"authorization", "x-amz-security-token"}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


async def placed(job: Job, said: jobs_pb2.JobOutput, guard: AddressGuard, destinations: Destinations) -> Job:
    """Return the job with where its results go. Raises InvalidArgument, which names the field."""
    given = [text.strip() for text in said.urls]
    if said.url and given:
        raise InvalidArgument.field(URL, f"is given together with {URLS}; give one of them.")
    targets = tuple([said.url.strip()] if said.url.strip() else given)
    headers = _headers(dict(said.headers))
    if not targets:
        if headers:
            raise InvalidArgument.field(URL, f"is missing; give it with {HEADERS}, or leave both out.")
        return job
    if _rules(job).report:
        raise InvalidArgument.field(
            URL if said.url else URLS, "is given for an operation that makes no file; leave it out."
        )
    job = replace(job, output=OutputTarget(targets, headers))
    if said.url.strip().startswith(S3):
        await _check_bucket(job, KeyTemplate.parse(targets[0]), headers, guard, destinations)
        return job
    _check_count(job, URL if said.url else URLS, len(targets))
    for number, text in enumerate(targets):
        await options.check_url(URL if said.url else f"{URLS}[{number}]", text, guard)
    return job


async def _check_bucket(
    job: Job,
    template: KeyTemplate,
    headers: tuple[tuple[str, str], ...],
    guard: AddressGuard,
    destinations: Destinations,
) -> None:
    template.check(job)
    if any(name.lower() in SIGNING for name, _ in headers):
        text = f"has one of {', '.join(sorted(SIGNING))}, which the gateway sets itself for a bucket; leave it out."
        raise InvalidArgument.field(HEADERS, text)
    try:
        destination = await destinations.get(job.tenant, template.bucket)
    except NotFound as error:
        raise InvalidArgument.field(URL, error.message, reason=error.reason) from error
    await options.check_url(URL, str(destination.url("")), guard)


def _check_count(job: Job, field: str, count: int) -> None:
    results = len(job.kept)
    if results > 1 and count != results:
        text = f"has {count} and the job has {results} results; give {URLS} with as many, or s3://BUCKET/{{item}}.mp4."
        raise InvalidArgument.field(field, text)
    most = 1 + _rules(job).files
    if results == 1 and not job.graph and count > most:
        raise InvalidArgument.field(field, f"has {count} and the job has {most} results at most.")


def _rules(job: Job) -> options_pb2.MessageRules:
    """Return the options of the message of a job's operation."""
    _, message = operation.kind(video_pb2.Operation.FromString(job.request))
    return operation.rules(message)


def _headers(given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if len(given) > MAX_HEADERS:
        raise InvalidArgument.field(HEADERS, f"has {len(given)} entries and {MAX_HEADERS} are the most.")
    if sum(len(text) for entry in given.items() for text in entry) > MAX_HEADER_BYTES:
        raise InvalidArgument.field(HEADERS, f"has more than {MAX_HEADER_BYTES} bytes in all.")
    for name, value in given.items():
        place = f"{HEADERS}.{brief(name)}"
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise InvalidArgument.field(place, "is no header: give a name of letters and a value of printable ASCII.")
        if name.lower() in OURS or name.lower().startswith("proxy-"):
            raise InvalidArgument.field(place, "is a header that the gateway sets itself; leave it out.")
    if len({name.lower() for name in given}) < len(given):
        raise InvalidArgument.field(HEADERS, "has one header twice, in letters of another case.")
    return tuple(sorted(given.items()))
