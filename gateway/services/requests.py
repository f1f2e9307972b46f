"""What a job was asked for, as callers are told it: without what opens something to whoever reads it."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from apigpu.v1 import jobs_pb2, video_pb2
from gateway.jobs import drafts, graph, names, operation
from gateway.jobs.fairness import NORMAL
from gateway.jobs.model import Job
from servicekit.url_secrets import MASK, masked_url

# Jobs are asked for again and again while they run.
RECENT_JOBS = 64


class Extent(NamedTuple):
    """How much is told of a job: inputs, bytes of the operation, attempts, and whether what its files are."""

    inputs: int
    operation_bytes: int
    attempts: int
    tells_facts: bool = False


# How many times as long as what is told a request may be before its URLs are masked, which shortens it.
LONGEST = 4
WHOLE = Extent(1000, 256 * 1024, 200, tells_facts=True)
# Where many jobs are told of at once, or to others.
BRIEF = Extent(10, 4 * 1024, 0)


@dataclass(frozen=True)
class AskedOperation:
    """The operation of a job, which stays as it is while the job changes."""

    job_id: str
    request: bytes
    extent: Extent
    job: Job = field(compare=False)


def told_request(job: Job, extent: Extent = WHOLE) -> tuple[jobs_pb2.JobRequest, Sequence[jobs_pb2.JobInput]]:
    """Return what a job was asked for, and its inputs, as far as that is told."""
    wanted, inputs, count = _told(AskedOperation(job.id, job.request, extent, job))
    request = jobs_pb2.JobRequest(operation=wanted, options=_options(job), input_count=count, retry_of=job.retry_of)
    return request, inputs


@functools.lru_cache(RECENT_JOBS)
def _told(asked: AskedOperation) -> tuple[video_pb2.Operation | None, Sequence[jobs_pb2.JobInput], int]:
    """Return the operation where it is told, the inputs that are, and the number of all; nobody may change them."""
    wanted = graph.submitted(asked.job)
    if not operation.is_known(wanted):
        return None, (), 0
    message = operation.kind(wanted)[1]
    operation.name_text_files(message)
    found, filenames = list(drafts.files(wanted)), dict(asked.job.filenames)
    inputs = tuple(
        jobs_pb2.JobInput(field=path, name=names.input_name(source, filenames))
        for path, source in found[: asked.extent.inputs]
    )
    if wanted.ByteSize() > LONGEST * asked.extent.operation_bytes:
        return None, inputs, len(found)  # URLs are many in one so long, and masks take time
    operation.replace_inputs(message, lambda source: (masked_url(source),))
    return wanted if wanted.ByteSize() <= asked.extent.operation_bytes else None, inputs, len(found)


def _options(job: Job) -> jobs_pb2.JobOptions | None:
    """Return what was said of a job beside its operation; None where that is nothing."""
    said: dict[str, Any] = {
        "priority": "" if job.priority == NORMAL else job.priority,
        "deadline_seconds": round(job.deadline - job.created_at, 3) if job.deadline else 0.0,
        "preview": job.preview,
    }
    if job.webhook is not None:
        said |= {"webhook_url": masked_url(job.webhook.url), "webhook_events": job.webhook.events}
    if job.output is not None:
        places = [masked_url(url) for url in job.output.urls]
        one, several = (places[0], []) if len(places) == 1 else ("", places)
        headers = dict.fromkeys((name for name, _ in job.output.headers), MASK)
        said["output"] = jobs_pb2.JobOutput(url=one, urls=several, headers=headers)
    given = {name: value for name, value in said.items() if value}
    return jobs_pb2.JobOptions(**given) if given else None
