"""The inputs of a task, as encoders are to have them: whole, as outlines, as ranges, or as what they ask for."""

import functools
from collections.abc import Sequence
from dataclasses import replace

from google.protobuf.message import Message

from gateway.assets.record import PREFIX
from gateway.jobs import further, model, operation
from gateway.jobs.model import Job
from gateway.sources import Sources
from gateway.sources.outline import MIN_BYTES, MIN_DIVISIBLE_BYTES
from gateway.workers.base import Input, More


def of_operation(sources: Sources, job: Job, task: model.Task, message: Message, workers: int) -> list[Input]:
    """Return the inputs of a task that has an operation, each source once; `workers` could work side by side."""
    asked = () if task.whole_inputs else tuple(operation.partial_inputs(message))
    is_divided = not task.whole_inputs and (job.preview or workers > 1)
    divisible = tuple(operation.divisible_inputs(message)) if is_divided else ()
    outlines = {} if task.whole_inputs else _outlines(message, divisible)
    return [
        _asked(sources, job, source, fields)
        if any(field in asked for field in fields)
        else _whole(sources, job, source, fields, min(outlines.get(field, 0) for field in fields), divisible)
        for source, fields in operation.distinct_inputs(message)
    ]


def of_part(sources: Sources, job: Job, found: further.PartInput, *, composes: bool) -> Input:
    """Return an input of a further task."""
    name, *also = found.fields
    if found.ranges is None:
        whole = _whole(sources, job, found.source, found.fields, 0)
        index = functools.partial(sources.open_index, found.source, job.tenant)
        return replace(whole, open_index=index) if composes and found.source.startswith(PREFIX) else whole
    opens = functools.partial(sources.open_ranges, found.source, job.tenant, job_id=job.id)
    indexed = functools.partial(opens, found.ranges)
    bare = functools.partial(opens, found.bare) if found.bare else indexed
    return Input(name, found.source, bare, tuple(also), ranges=found.ranges, open_indexed=indexed)


def _outlines(message: Message, divisible: Sequence[str]) -> dict[str, int]:
    """Return the fields of which an outline is to come, with the size of file from which on it is worth it."""
    return {
        **dict.fromkeys(operation.outlines(message), MIN_BYTES),
        **dict.fromkeys(divisible, MIN_DIVISIBLE_BYTES),
    }


def _whole(
    sources: Sources,
    job: Job,
    source: str,
    fields: Sequence[str],
    min_outline_bytes: int,
    divisible: Sequence[str] = (),
) -> Input:
    """Return an input that comes whole, or from a size on as an outline, unless that is 0. One that may be divided is
    kept for the tasks that get parts of it."""
    name, *also = fields
    size_bytes, whole = sources.known_bytes(source), functools.partial(sources.open, source, job.tenant, job.id)
    if not min_outline_bytes or (size_bytes is not None and size_bytes < min_outline_bytes):
        return Input(name, source, whole, tuple(also), size_bytes=size_bytes)
    job_id = job.id if any(field in divisible for field in fields) else ""
    opened = functools.partial(sources.open_outline, source, job.tenant, min_outline_bytes, job_id)
    return Input(name, source, opened, tuple(also), is_outline=True, min_outline_bytes=min_outline_bytes)


def _asked(sources: Sources, job: Job, source: str, fields: Sequence[str]) -> Input:
    """Return an input of which, where it is large, the beginning comes, and what encoders ask for."""
    whole = _whole(sources, job, source, fields, 0)
    if whole.size_bytes is not None and whole.size_bytes < MIN_BYTES:
        return whole
    opens = functools.partial(sources.open_head, source, job.tenant)
    ranges = functools.partial(sources.open_ranges, source, job.tenant)
    return replace(whole, open=opens, more=More(ranges, whole.open))
