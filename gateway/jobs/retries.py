"""Retries: a job that has ended is queued anew, as another one, with what it was asked for."""

import asyncio
import time
from dataclasses import replace

from apigpu.v1 import jobs_pb2, video_pb2
from gateway.assets.record import PREFIX
from gateway.callers import caller
from gateway.jobs import drafts, graph, model, names, operation
from gateway.jobs.claims import IdempotencyKey
from gateway.jobs.filenames import READS_AT_ONCE
from gateway.jobs.manager import JobManager
from gateway.jobs.model import Job
from gateway.jobs.outputs import OutputTarget
from gateway.sources import Sources
from servicekit.echo import brief
from servicekit.errors import FailedPrecondition, NotFound, PermissionDenied

# Inputs that are gone and told one by one.
MAX_TOLD = 20


async def retry(jobs: JobManager, job_id: str, idempotency_key: str = "") -> Job:
    """Queue the request of a job that has ended anew; return the new job, or that which an earlier request with the
    key made. Raises NotFound, FailedPrecondition (it has not ended, or an input is gone), and what
    JobManager.submit raises."""
    key = IdempotencyKey.of(idempotency_key, f"retry {job_id}".encode(), caller.get().tenant)
    ended = await jobs.store.visible(job_id)
    if (made := await jobs.made_before(key)) is not None:
        return made
    if not ended.status.is_terminal:
        text = f"Job {job_id} is {ended.status}; wait for its end, or cancel it, before it is tried again."
        raise FailedPrecondition(text, reason="RETRY_REFUSED")
    wanted = graph.submitted(ended)
    if not operation.is_known(wanted):
        text = f"Job {job_id} is of an operation that this gateway does not know; submit it to one that does."
        raise FailedPrecondition(text, reason="RETRY_REFUSED")
    await _check_inputs(jobs.sources, ended, wanted)
    job = anew(ended, wanted, jobs.policy.max_items, time.time(), _key_of(ended))
    if jobs.place_output is not None:
        job = await jobs.place_output(job, _wanted_output(ended))
    return await jobs.enter(job, key)


def _key_of(ended: Job) -> str:
    """Return the key whose limits a new try is held to: that of the caller. Who tries again what is another tenant's
    leaves it with the key that it came with."""
    called = caller.get()
    return called.limited_key if called.tenant == ended.tenant else ended.key


def anew(ended: Job, wanted: video_pb2.Operation, max_items: int, now: float, key: str) -> Job:
    """Return a new job with the request of one that has ended, and the limits of a key ("": none); it has as long as
    that one had."""
    tasks = names.with_stems(wanted, graph.tasks_of(wanted, max_items), dict(ended.filenames))
    return replace(
        ended,
        id=model.new_id(now),
        tasks=tasks,
        created_at=now,
        started_at=None,
        ended_at=None,
        cancelled=False,
        graph=graph.is_graph(wanted),
        claim="",
        webhook=replace(ended.webhook, is_settled=False, round=0) if ended.webhook else None,
        output=OutputTarget(ended.output.urls, ended.output.headers) if ended.output else None,
        deadline=now + ended.deadline - ended.created_at if ended.deadline else 0.0,
        counted=None,
        retry_of=ended.id,
        key=key,
    )


def _wanted_output(ended: Job) -> jobs_pb2.JobOutput:
    """Return where the results are to go, as it was asked for."""
    if ended.output is None:
        return jobs_pb2.JobOutput()
    one, several = (ended.output.urls[0], ()) if len(ended.output.urls) == 1 else ("", ended.output.urls)
    return jobs_pb2.JobOutput(url=one, urls=several, headers=dict(ended.output.headers))


async def _check_inputs(sources: Sources, ended: Job, wanted: video_pb2.Operation) -> None:
    """Raise FailedPrecondition, which names the fields, for inputs that are assets and gone."""
    turns = asyncio.Semaphore(READS_AT_ONCE)

    async def why(source: str) -> str:
        try:
            asset_id = sources.asset_id(source)
            if asset_id is not None:
                async with turns:
                    await sources.assets.describe(asset_id, ended.tenant if source.startswith(PREFIX) else None)
        except (NotFound, PermissionDenied) as error:  # it is not there, or the link to it has expired
            return error.message
        return ""

    places = list(drafts.files(wanted))
    found = await asyncio.gather(*(why(source) for _, source in places))
    filenames = dict(ended.filenames)
    gone = [(path, source, text) for (path, source), text in zip(places, found, strict=True) if text]
    if gone:
        path, source, text = gone[0]
        name = names.input_name(source, filenames) if caller.get().may_read else ""
        about = f"{path} ({brief(name)})" if name else path
        more = f" {len(gone)} of its inputs are gone." if len(gone) > 1 else ""
        raise FailedPrecondition(
            f"The input {about} of job {ended.id} is gone: {text.rstrip('.')}.{more} Upload it again, and submit a new "
            "job with it.",
            reason="INPUT_GONE",
            fields={path: text for path, _, text in gone[:MAX_TOLD]},
        )
