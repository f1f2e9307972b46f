"""Further tasks: what a task answers that its job is to go on with. An encoder plans, the gateway carries out. Pure.

The answer is kept, compressed, with the task that gave it: 500 tasks are much alike. Of what each is to do nothing is
read here but its inputs.
"""

import functools
import graphlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import story_pb2, video_pb2
from gateway.fleet.speeds import WorkItem
from gateway.jobs import graph, model, operation
from gateway.jobs.model import MAX_WARNINGS, Job, Result, ResultWarning, Task
from gateway.sources.outline import ByteRanges
from servicekit.echo import brief
from servicekit.errors import Internal

# Of a job, those that its request made included.
MAX_TASKS = 2000
MAX_NAME_CHARACTERS = 64
# Of one input.
MAX_RANGES = 256
MAX_PLAN_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a job goes on with: tasks, whose `needs` count from the first of them; the one whose result takes the place
    of the planning task's; the answer as it is stored; and the versions of the sources, by their texts, that it names
    ranges of."""

    tasks: tuple[Task, ...]
    answer: int
    plan: bytes
    versions: tuple[tuple[str, str], ...] = ()


class PartInput(NamedTuple):
    """An input of a further task: its source, the names that the task has for it, and the ranges that it is, None for
    the whole; also those that are enough for an encoder that knows tasks with an index of their own, None where they
    are the same."""

    source: str
    fields: tuple[str, ...]
    ranges: ByteRanges | None = None
    bare: ByteRanges | None = None


class PlayedTask(NamedTuple):
    """A further task whose result plays: its number, what it is of the film, and the most seconds of a segment."""

    number: int
    plays: int
    target_seconds: int


def expansion(
    job: Job, index: int, summary: encoder_pb2.Summary, versions: Mapping[str, str] = MappingProxyType({})
) -> Expansion | None:
    """Return what the job is to go on with after a task that saw these versions of its sources; None where that
    answered with a result alone. Raises Internal for what can be no plan."""
    if not summary.further:
        return None
    _check(job, index, summary)
    (answer,) = (number for number, found in enumerate(summary.further) if found.is_result)
    plan = encoder_pb2.Summary(further=summary.further, scenes=summary.scenes).SerializeToString()
    if len(plan) > MAX_PLAN_BYTES:
        raise _refused(f"it has {len(plan)} bytes, and {MAX_PLAN_BYTES} are the most")
    tasks = tuple(_task(job, index, found) for found in summary.further)
    known = _request_sources(job, index)
    ranged = {known[entry.request_field] for found in summary.further for entry in found.inputs if entry.ranges}
    seen = tuple((source, versions[source]) for source in sorted(ranged) if versions.get(source))
    return Expansion(tasks, answer, zlib.compress(plan), seen)


def _check(job: Job, index: int, summary: encoder_pb2.Summary) -> None:
    further = summary.further
    if len(job.tasks) + len(further) > MAX_TASKS:
        raise _refused(f"the job would have {len(job.tasks) + len(further)} tasks, and {MAX_TASKS} are the most")
    if sum(found.is_result for found in further) != 1:
        raise _refused("one of its tasks must have the result")
    known = _request_sources(job, index)
    for found in further:
        if max(len(found.item), len(found.kind), len(found.codec)) > MAX_NAME_CHARACTERS:
            raise _refused(f"a name in {brief(found.item)} is too long")
        for entry in found.inputs:
            _check_source(entry, known, summary)
    try:
        graphlib.TopologicalSorter({number: _needs(found) for number, found in enumerate(further)}).prepare()
    except graphlib.CycleError as error:
        raise _refused("some of its tasks need each other") from error


def _check_source(entry: encoder_pb2.FurtherInput, known: Mapping[str, str], summary: encoder_pb2.Summary) -> None:
    is_there = {
        "request_field": entry.request_field in known,
        "task": entry.task < len(summary.further),
        "planned": summary.size_bytes > 0,
        None: False,
    }
    if not is_there[entry.WhichOneof("source")]:
        raise _refused(f"there is nothing that its input {brief(entry.field)} could be")
    if not _has_good_ranges(entry, summary):
        raise _refused(f"its input {brief(entry.field)} has ranges that cannot be")


def _has_good_ranges(entry: encoder_pb2.FurtherInput, summary: encoder_pb2.Summary) -> bool:
    if max(map(len, (entry.ranges, entry.index_ranges, entry.planned_ranges))) > MAX_RANGES:
        return False
    if entry.planned_ranges and not (entry.planned and entry.source_bytes == summary.size_bytes):
        return False
    if (entry.ranges or entry.index_ranges) and not (entry.ranges and entry.request_field):
        return False
    return all(ranges is None or ranges.are_valid for ranges in (_ranges(entry), _bare_ranges(entry)))


def _refused(text: str) -> Internal:
    return Internal(f"The encoder planned what cannot be carried out: {text}.", reason="BAD_PLAN")


def _needs(found: encoder_pb2.FurtherTask) -> list[int]:
    return [entry.task for entry in found.inputs if entry.WhichOneof("source") == "task"]


def _task(job: Job, index: int, found: encoder_pb2.FurtherTask) -> Task:
    """Return a further task. In a chain it carries the name of its step, and its result is that of the step."""
    planner = job.tasks[index]
    item = f"{planner.item}: {found.item}" if job.graph else found.item
    name = planner.output_name or ("" if job.graph else job.operation)
    return Task(
        item=planner.item if job.graph and found.is_result else item,
        kind=found.kind,
        needs=tuple(dict.fromkeys(_needs(found))),
        output_name=name if found.is_result else "",
        stem=planner.stem if found.is_result else "",
        needs_codec=found.codec,
        frames_planned=max(0, found.frames),
        is_kept=False,
    )


def piece(job: Job, index: int) -> WorkItem | None:
    """Return what a task makes where that is a part of a film; None for any other."""
    task = job.tasks[index]
    if task.planner is None or not task.frames_planned:
        return None
    return WorkItem(job.kind(index), task.frames_planned, f"{job.id}.{task.planner}")


def complete_task(job: Job, index: int, result: Result, now: float, found: Expansion | None = None) -> Job:
    """The task's result is stored; with an expansion the job goes on with its tasks, and is a graph from now on.

    Of all tasks that make one result, MAX_WARNINGS warnings are kept, each once.
    """
    if job.tasks[index].status.is_terminal:
        return job
    if job.tasks[index].planner is not None and result.warnings:
        known = result_warnings(job, index)
        new = tuple(warning for warning in result.warnings if warning not in known)
        result = replace(result, warnings=new[: max(0, MAX_WARNINGS - len(known))])
    if found is not None:
        job = _expanded(job, index, found)
    return model.complete_task(job, index, result, now)


def _expanded(job: Job, index: int, found: Expansion) -> Job:
    first = len(job.tasks)
    planned = model.with_task(
        job, index, plan=found.plan, first_further=first, answer=first + found.answer, versions=found.versions
    )
    further = tuple(
        replace(task, needs=tuple(first + needed for needed in task.needs), planner=index) for task in found.tasks
    )
    return replace(planned, graph=True, tasks=(*planned.tasks, *further))


# Each task of a job asks for its plan and its request, which stay as they are.
RECENT_JOBS = 8


def _plan(task: Task) -> encoder_pb2.Summary:
    """Return what a task answered; nobody may change it."""
    return _parsed_plan(task.plan)


@functools.lru_cache(RECENT_JOBS)
def _parsed_plan(plan: bytes) -> encoder_pb2.Summary:
    return encoder_pb2.Summary.FromString(zlib.decompress(plan) if plan else b"")


def _request_sources(job: Job, index: int) -> Mapping[str, str]:
    """Return the sources of the request that a task is of, by their paths."""
    return _sources_in(graph.task_operation(job, _root(job, index)).SerializeToString(deterministic=True))


@functools.lru_cache(RECENT_JOBS)
def _sources_in(wanted: bytes) -> Mapping[str, str]:
    parsed = video_pb2.Operation.FromString(wanted)
    return dict(operation.inputs(operation.kind(parsed)[1])) if operation.is_known(parsed) else {}


def part(job: Job, index: int) -> tuple[bytes, list[PartInput]]:
    """Return what a further task is, and its inputs: each source once."""
    planner = _planner(job, index)
    planning = job.tasks[planner]
    found = _plan(planning).further[index - planning.first_further]
    known, versions = _request_sources(job, index), dict(planning.versions)
    fields: dict[tuple[str, ByteRanges | None, ByteRanges | None], list[str]] = {}
    for entry in found.inputs:
        source = _source(job, planner, entry, known)
        version = versions.get(source, "")
        fields.setdefault((source, _ranges(entry, version), _bare_ranges(entry, version)), []).append(entry.field)
    return found.part, [PartInput(source, tuple(names), *ranges) for (source, *ranges), names in fields.items()]


def composes(job: Job, index: int) -> bool:
    """Return True for a further task whose result may be composed of ranges of its inputs."""
    planning = job.tasks[_planner(job, index)]
    return _plan(planning).further[index - planning.first_further].composes


def _ranges(entry: encoder_pb2.FurtherInput, version: str = "") -> ByteRanges | None:
    ranges = entry.ranges or entry.planned_ranges
    return ByteRanges(entry.source_bytes, _pairs(ranges), version) if ranges else None


def _bare_ranges(entry: encoder_pb2.FurtherInput, version: str = "") -> ByteRanges | None:
    ranges = _ranges(entry, version)
    return ranges.without(_pairs(entry.index_ranges)) if ranges is not None and entry.index_ranges else None


def _pairs(ranges: Iterable[encoder_pb2.ByteRange]) -> tuple[tuple[int, int], ...]:
    return tuple((found.start, found.end) for found in ranges)


def _source(job: Job, planner: int, entry: encoder_pb2.FurtherInput, known: Mapping[str, str]) -> str:
    match entry.WhichOneof("source"):
        case "request_field":
            return known[entry.request_field]
        case "task":
            return job.tasks[job.provider(job.tasks[planner].first_further + entry.task)].asset
        case _:
            return job.tasks[planner].asset


def scenes(job: Job, index: int) -> Sequence[story_pb2.SceneSpan]:
    """Return when each scene of a result is shown; none where it has no scenes."""
    planner = job.tasks[index].planner
    return () if planner is None else tuple(_plan(job.tasks[planner]).scenes)


def encoded_task(job: Job, index: int) -> Task:
    """Return the task that tells what made the video of a result: one of its parts, where it is joined of them, with
    the frames that all of them copied, or why none was."""
    own = job.tasks[index]
    if own.planner is None:
        return own
    others = [job.tasks[other] for other in _family(job, index) if job.tasks[other].needs_codec]
    copied = sum(task.frames_copied for task in others)
    reasons = (task.whole_reason for task in (own, *others) if task.whole_reason and not copied)
    made = next((task for task in others if task.codec), own)
    return replace(made, frames_copied=copied, whole_reason=next(reasons, ""))


def result_warnings(job: Job, index: int) -> list[ResultWarning]:
    """Return the warnings of a result: those of all tasks that it is of, each once."""
    own = job.tasks[index]
    if own.planner is None and own.answer is None:
        return list(own.warnings)
    found: list[ResultWarning] = []
    for other in _family(job, index):
        found += [warning for warning in job.tasks[other].warnings if warning not in found]
    return found


def queued_after(job: Job, index: int) -> Iterator[int]:
    """Yield the tasks that the end of a task may have made ready: those that it answered with, and those that need its
    result."""
    for other, task in enumerate(job.tasks):
        if task.planner == index or any(job.provider(needed) == index for needed in task.needs):
            yield other


def _family(job: Job, index: int) -> Iterable[int]:
    """Return the tasks that a result is of: that which planned it first of all, and all that this led to."""
    root = _root(job, index)
    return (other for other in range(len(job.tasks)) if _root(job, other) == root)


def _root(job: Job, index: int) -> int:
    while (planner := job.tasks[index].planner) is not None:
        index = planner
    return index


def playing(job: Job, index: int) -> Iterator[PlayedTask]:
    """Yield the further tasks whose results play while the result of a task is made, in their order."""
    planner = job.tasks[index].planner
    if planner is not None:
        first = job.tasks[planner].first_further
        for number, found in enumerate(_plan(job.tasks[planner]).further, first):
            if found.plays:
                yield PlayedTask(number, found.plays, found.target_seconds)


def play_order(job: Job, index: int) -> encoder_pb2.PlayOrder | None:
    """Return when the result of a further task plays: a piece of the picture, or the sound; None of any other."""
    planner, pieces_before = _planner(job, index), 0
    for number, found in enumerate(_plan(job.tasks[planner]).further, job.tasks[planner].first_further):
        is_sound = found.plays == encoder_pb2.PLAYS_SOUND
        # That it is made of frames is said of pieces, too, that no browser plays.
        is_piece = found.plays == encoder_pb2.PLAYS_PICTURE or found.frames > 0
        if number == index:
            order = encoder_pb2.PlayOrder(
                film=f"{job.id}.{planner}", pieces_before=pieces_before, is_sound=is_sound, is_watched=job.preview
            )
            return order if is_sound or is_piece else None
        pieces_before += is_piece
    return None


def _planner(job: Job, index: int) -> int:
    planner = job.tasks[index].planner
    if planner is None:
        raise Internal("A task of the request itself is no further task.")
    return planner
