"""A chain of operations as a graph of tasks: each has its own operation, whose inputs are results of others. Pure.

What a step calls "step:ID" or "step:ID[2]" is "task:N" in the operation of a task, and the name of an asset once that
task is done.
"""

import graphlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from apigpu.v1 import video_pb2
from gateway.assets.record import bare_name
from gateway.jobs import operation
from gateway.jobs.model import Job, Task
from servicekit.echo import brief
from servicekit.errors import InvalidArgument

STEP, TASK = "step:", "task:"
STEP_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
REFERENCE = re.compile(rf"{STEP}({STEP_ID.pattern})(?:\[(\d{{1,4}})\])?")


def is_graph(wanted: video_pb2.Operation) -> bool:
    """Return True for an operation that is made of others."""
    return operation.rules(operation.kind(wanted)[1]).graph


def is_reference(source: str) -> bool:
    """Return True for a source that is the result of a step."""
    return source.startswith(STEP)


def tasks_of(wanted: video_pb2.Operation, max_tasks: int) -> tuple[Task, ...]:
    """Return the tasks of an operation that was checked. Raises InvalidArgument for a chain that cannot be one."""
    if not is_graph(wanted):
        return tuple(Task(item=item, output_name=_output_name(wanted)) for item in operation.items(wanted))
    return _Chain.of(operation.kind(wanted)[1], max_tasks).tasks()


def request_of(wanted: video_pb2.Operation) -> bytes:
    """Return what the record of a job holds of its request: of a graph no more than its tasks do not have."""
    kept = video_pb2.Operation()
    kept.CopyFrom(wanted)
    if is_graph(wanted):
        operation.kind(kept)[1].ClearField("steps")
    return kept.SerializeToString()


def submitted(job: Job) -> video_pb2.Operation:
    """Return the operation that a job was made of; of a graph its steps are put together again from its tasks. It is
    none that is known where a step is of an operation that only a later version knows."""
    wanted = video_pb2.Operation.FromString(job.request)
    if operation.is_known(wanted) and is_graph(wanted):
        tasks = [task for task in job.tasks if task.planner is None]
        if not all(operation.is_known(video_pb2.Operation.FromString(task.operation)) for task in tasks):
            return video_pb2.Operation()
        _add_steps(operation.kind(wanted)[1], tasks)
    return wanted


def _add_steps(chain: Any, tasks: Sequence[Task]) -> None:
    """Add the steps of a chain: each has one task, or one for each element of its batch."""

    def reference(source: str) -> Sequence[str]:
        is_result = source.startswith(TASK)
        return (STEP + tasks[int(source.removeprefix(TASK))].item if is_result else source,)

    for task in tasks:
        name, message = operation.kind(video_pb2.Operation.FromString(task.operation))
        operation.replace_inputs(message, reference)
        step_id = task.item.partition("[")[0]
        if chain.steps and chain.steps[-1].id == step_id:
            batch, elements = operation.batch_of(message)
            getattr(getattr(chain.steps[-1], name), batch).extend(elements)
        else:
            chain.steps.add(id=step_id, **{name: message})


def task_operation(job: Job, index: int) -> video_pb2.Operation:
    """Return what a task is to do, with the assets of those that it needs, which are done; an operation that only a
    later version knows as it is."""
    own = job.tasks[index].operation
    wanted = video_pb2.Operation.FromString(own or job.request)
    if not operation.is_known(wanted):
        return wanted
    if not own:
        return operation.task_operation(wanted, index)

    def asset(source: str) -> Sequence[str]:
        is_result = source.startswith(TASK)
        return (job.tasks[job.provider(int(source.removeprefix(TASK)))].asset if is_result else source,)

    operation.replace_inputs(operation.kind(wanted)[1], asset)
    return wanted


class _Reference(NamedTuple):
    """What "step:ID" and "step:ID[2]" name: a step, and which of its results (None: all)."""

    step_id: str
    number: int | None

    @classmethod
    def read(cls, source: str) -> "_Reference | None":
        """Return the reference that a source is; None for a malformed one."""
        found = REFERENCE.fullmatch(source)
        return cls(found[1], int(found[2]) if found[2] else None) if found else None


@dataclass(frozen=True)
class _Step:
    """A step: its id, its operation, the number of its first task, and how many it has."""

    id: str
    operation: video_pb2.Operation
    first: int
    count: int

    def item(self, index: int) -> str:
        """Return the name of a result, as references to it have it."""
        return self.id if self.count == 1 else f"{self.id}[{index}]"

    def tasks(self, index: int | None) -> Sequence[int]:
        """Return the number of the task of a result, or of all."""
        return range(self.first, self.first + self.count) if index is None else [self.first + index]


@dataclass(frozen=True)
class _Chain:
    """The steps of a chain by id, and the ids of those whose results are kept."""

    steps: dict[str, _Step]
    keep: frozenset[str]

    @classmethod
    def of(cls, chain: Any, max_tasks: int) -> "_Chain":
        """Check a chain. Raises InvalidArgument."""
        steps: dict[str, _Step] = {}
        count = 0
        for place, step in enumerate(chain.steps):
            wanted = _operation_of(step, f"steps[{place}]")
            found = _Step(step.id, wanted, count, len(operation.items(wanted)))
            steps[step.id], count = found, count + found.count
        if count > max_tasks:
            text = f"The steps have {count} results in all and {max_tasks} are allowed; send several requests."
            raise InvalidArgument(text, reason="TOO_MANY_ITEMS", fields={"steps": f"at most {max_tasks} results"})
        needs = {step.id: _needs(step, steps, f"steps[{place}]") for place, step in enumerate(chain.steps)}
        _check_order(needs)
        needed = frozenset(one for found in needs.values() for one in found)
        return cls(steps, _kept(chain, steps) or frozenset(steps) - needed)

    def tasks(self) -> tuple[Task, ...]:
        """Return the tasks of all steps, in the order of the steps."""
        return tuple(self._task(step, index) for step in self.steps.values() for index in range(step.count))

    def _task(self, step: _Step, index: int) -> Task:
        wanted = video_pb2.Operation()
        wanted.CopyFrom(operation.task_operation(step.operation, index))
        name, message = operation.kind(wanted)
        needs: list[int] = []

        def task(source: str) -> Sequence[str]:
            reference = _Reference.read(source)
            if reference is None:
                return (source,)
            found = self.steps[reference.step_id].tasks(reference.number)
            needs.extend(found)
            return [f"{TASK}{number}" for number in found]

        operation.replace_inputs(message, task)
        return Task(
            item=step.item(index),
            kind=name,
            operation=wanted.SerializeToString(),
            needs=tuple(dict.fromkeys(needs)),
            is_kept=step.id in self.keep,
            output_name=_output_name(wanted),
        )


def _output_name(wanted: video_pb2.Operation) -> str:
    return bare_name(operation.output_filename(wanted))


def _operation_of(step: Any, place: str) -> video_pb2.Operation:
    name = step.WhichOneof("kind")
    if name is None:
        known = ", ".join(field.name for field in step.DESCRIPTOR.oneofs_by_name["kind"].fields)
        text = f"{place} has no operation; give one of: {known}."
        raise InvalidArgument(text, reason="MISSING_FIELD", fields={place: "has no operation"})
    if not STEP_ID.fullmatch(step.id):
        text = f"is {brief(step.id)!r}; give up to 64 letters, digits, points, hyphens and underscores."
        raise InvalidArgument.field(f"{place}.id", text)
    wanted = video_pb2.Operation(**{name: getattr(step, name)})
    if operation.budget(wanted) is not None:
        raise InvalidArgument.field(f"{place}.{name}.max_cost_usd", "give it for the chain as a whole.")
    return wanted


def _needs(step: Any, steps: dict[str, _Step], place: str) -> set[str]:
    """Return the steps that a step needs. Raises InvalidArgument for a reference that leads nowhere, or to too much."""
    name = step.WhichOneof("kind")
    message, needs = getattr(step, name), set()
    most, counts = operation.most_items(message), Counter[str]()
    for path, source in operation.inputs(message):
        field, where, count = path.partition("[")[0], f"{place}.{name}.{path}", 1
        if is_reference(source):
            found, index = _checked(steps, source, where)
            needs.add(found.id)
            count = len(found.tasks(index))
        if count > 1 and field not in most:
            text = f"{brief(source)} has {count} results; say which: {source}[0] is the first."
            raise InvalidArgument.field(where, text)
        counts[field] += count
        if 0 < most.get(field, 0) < counts[field]:
            text = f"has over {most[field]} sources with all results of steps in it; that many are the most."
            raise InvalidArgument.field(f"{place}.{name}.{field}", text, reason="TOO_MANY_ITEMS")
    return needs


def _checked(steps: dict[str, _Step], source: str, where: str) -> tuple[_Step, int | None]:
    """Return the step that a reference names, and which of its results."""
    reference = _Reference.read(source)
    if reference is None:
        text = f"is {brief(source)!r}; give {STEP}ID, or {STEP}ID[0] for the first of several results."
        raise InvalidArgument.field(where, text)
    step = steps.get(reference.step_id)
    if step is None:
        text = f"there is no step {brief(reference.step_id)!r}; the steps are {brief(', '.join(steps))}."
        raise InvalidArgument.field(where, text)
    if operation.rules(operation.kind(step.operation)[1]).report:
        text = f"step {step.id!r} makes no file, but tells something; name another step."
        raise InvalidArgument.field(where, text)
    if reference.number is not None and reference.number >= step.count:
        text = f"step {step.id!r} has {step.count} results, the last one {STEP}{step.id}[{step.count - 1}]."
        raise InvalidArgument.field(where, text)
    return step, reference.number


def _check_order(needs: dict[str, set[str]]) -> None:
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        circle = " needs ".join(reversed(error.args[1]))
        text = f"No step can be the first one: {brief(circle)}."
        raise InvalidArgument(text, reason="BAD_FIELD", fields={"steps": "need each other"}) from error


def _kept(chain: Any, steps: dict[str, _Step]) -> frozenset[str]:
    for place, name in enumerate(chain.keep):
        if name not in steps:
            raise InvalidArgument.field(f"keep[{place}]", f"there is no step {brief(name)!r}.")
    return frozenset(chain.keep)
