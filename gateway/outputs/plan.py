"""Which results of a job are put where, and what follows from an attempt. Pure; times are Unix seconds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import httpx

from gateway.cluster.duty import DutyLimits
from gateway.jobs import names
from gateway.jobs.model import MAX_WARNINGS, Job, ResultFile, ResultWarning, with_task
from gateway.jobs.outputs import S3, ResultDelivery
from gateway.outputs.template import KeyTemplate
from gateway.sources import urls
from servicekit.backoff import Backoff
from servicekit.errors import InvalidArgument

DAY_SECONDS = 86_400.0
MAX_ERROR_CHARACTERS = 300
BACKOFF = Backoff(first_seconds=5.0, max_seconds=3600.0, jitter=0.2)
NO_URL = "No URL was given for it; give one for each result in output.urls, or a place in a bucket."
SAME_KEY = "Another result of the job has the same key; write {name} in it."
# Each holds an upload, with a few chunks in memory.
LIMITS = DutyLimits(max_open=32)


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputPolicy:
    """Pauses between attempts, how long there are any, and how often what came of them is written down."""

    backoff: Backoff = BACKOFF
    give_up_seconds: float = DAY_SECONDS
    record_seconds: float = 1.0
    limits: DutyLimits = LIMITS


class WantedResult(NamedTuple):
    """A result of a task, the `file`-th of it, and the URL that it is put to: http(s), or s3 with its key; "" for one
    that can be put nowhere, and why."""

    task: int
    file: int
    result: ResultFile
    url: str
    error: str = ""


class PutOutcome(NamedTuple):
    """What came of an attempt: why it failed ("": it did not), whether another one would be in vain, the seconds that
    the receiver asks to be left alone for, and whether it vouches for the bytes."""

    error: str = ""
    is_final: bool = False
    retry_after_seconds: float = 0.0
    is_verified: bool = False


def wanted(job: Job) -> Iterator[WantedResult]:
    """Yield the results of a job and where they go."""
    target, kept = job.output, job.kept
    if target is None:
        return
    template = KeyTemplate.parse(target.urls[0]) if target.is_bucket else None
    for place, index in enumerate(kept):
        for number, result in enumerate(names.all_results(job, index)):
            if template is not None:
                yield _in_bucket(template, job, place, WantedResult(index, number, result, ""))
            else:
                url = _url_of(target.urls, len(kept), place, number)
                yield WantedResult(index, number, result, url, "" if url else NO_URL)


def _in_bucket(template: KeyTemplate, job: Job, place: int, one: WantedResult) -> WantedResult:
    try:
        key = template.key(job, one.task, place, one.result, one.file)
    except InvalidArgument as error:  # of a name that was not known when the job was submitted
        return one._replace(error=error.message)
    return one._replace(url=f"{S3}{template.bucket}/{key}")


def _url_of(given: tuple[str, ...], kept_count: int, place: int, number: int) -> str:
    """Return the URL of a result: of several tasks each has one, for its first result; a single task's results all."""
    at = place if kept_count > 1 else number
    return given[at] if at < len(given) and (kept_count == 1 or not number) else ""


def planned(job: Job, now: float) -> tuple[ResultDelivery, ...]:
    """Return the deliveries of a job, those that there were as they are. Two of one key: the second is given up."""
    found: dict[tuple[int, int], ResultDelivery] = {one.key: one for one in _deliveries(job)}
    taken: set[str] = set()
    for one in wanted(job):
        if (one.task, one.file) not in found:
            error = one.error or (SAME_KEY if one.url in taken and one.url.startswith(S3) else "")
            place = _shown(one.url) or one.result.name
            found[one.task, one.file] = ResultDelivery(
                one.task, one.file, place, now, None if error else now, error=error[:MAX_ERROR_CHARACTERS]
            )
        taken.add(one.url)
    return tuple(found[key] for key in sorted(found))


def attempted(delivery: ResultDelivery, outcome: PutOutcome, now: float, policy: OutputPolicy) -> ResultDelivery:
    """Note an attempt that ended now: it ends the delivery, or sets the time of the next one."""
    count = delivery.attempt_count + 1
    error = outcome.error[:MAX_ERROR_CHARACTERS]
    after = replace(delivery, attempt_count=count, error=error, next_at=None)
    if not outcome.error:
        return replace(after, is_delivered=True, is_verified=outcome.is_verified)
    asked = min(outcome.retry_after_seconds, policy.backoff.max_seconds)
    at = now + max(policy.backoff.pause_seconds(count), asked)
    is_over = outcome.is_final or at >= delivery.since + policy.give_up_seconds
    return after if is_over else replace(after, next_at=at)


def noted(job: Job, deliveries: tuple[ResultDelivery, ...], now: float) -> Job:
    """So far the results have been put where they are wanted; the job ends with the last of them. A result that could
    not be put has a warning that says so."""
    if not job.is_delivering:
        return job
    output = replace(job.output, deliveries=deliveries) if job.output else None
    if output is None or any(delivery.next_at is not None for delivery in deliveries):
        return replace(job, output=output)
    for delivery in deliveries:
        if not delivery.is_delivered:
            text = f"The result was not put to {delivery.place}: {delivery.error} It is kept as an asset."
            warning = ResultWarning("NOT_DELIVERED", text, {"place": delivery.place})
            kept = job.tasks[delivery.task].warnings[: MAX_WARNINGS - 1]
            job = with_task(job, delivery.task, warnings=(warning, *kept))
    return replace(job, output=replace(output, is_settled=True), ended_at=now)


def next_at(job: Job) -> float | None:
    """Return when a result is to be tried next; None if none is left."""
    return min((one.next_at for one in _deliveries(job) if one.next_at is not None), default=None)


def _deliveries(job: Job) -> tuple[ResultDelivery, ...]:
    return job.output.deliveries if job.output else ()


def _shown(url: str) -> str:
    return url if not url or url.startswith(S3) else urls.redact(httpx.URL(url))
