"""What the inputs and results of a job are, as its tasks noted it: length, size of the picture, codec, bytes. Pure."""

from collections.abc import Iterator

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import probe_pb2, video_pb2
from gateway.jobs import further, graph, operation
from gateway.jobs.drafts import RequestPlace
from gateway.jobs.model import Job, Status, Task

MAX_INPUTS, MAX_NAME_CHARACTERS = 24, 200
MAX_RESULTS = 50


def stored(summary: encoder_pb2.Summary) -> bytes:
    """Return what a record keeps of a task for this; nothing where nothing is told."""
    inputs = [fact for fact in summary.inputs if max(len(fact.field), len(fact.codec)) <= MAX_NAME_CHARACTERS]
    kept = encoder_pb2.Summary(width=summary.width, height=summary.height, inputs=inputs[:MAX_INPUTS])
    return kept.SerializeToString()


def input_facts(job: Job) -> list[probe_pb2.MediaFacts]:
    """Return what the inputs of a job are, by their fields in its request; results of its own steps are none."""
    wanted = graph.submitted(job)
    if not operation.is_known(wanted):
        return []
    is_chain = graph.is_graph(wanted)
    found: dict[str, probe_pb2.MediaFacts] = {}
    for index, task in enumerate(job.tasks):
        if not task.facts or task.planner is not None:
            continue
        place = RequestPlace.of(wanted, job, index)
        results = set(_results_of_steps(task)) if is_chain else set()
        for fact in _kept(task).inputs:
            if fact.field not in results:
                fact.field = place.name(fact.field)
                found.setdefault(fact.field, fact)
    return list(found.values())


def _results_of_steps(task: Task) -> Iterator[str]:
    """Yield the fields of a step that the result of another one is given to."""
    message = operation.kind(video_pb2.Operation.FromString(task.operation))[1]
    return (path for path, source in operation.inputs(message) if source.startswith(graph.TASK))


def result_facts(job: Job) -> list[probe_pb2.MediaFacts]:
    """Return what the results of a job are, as far as they are there."""
    done = [index for index in job.kept if job.tasks[index].status is Status.COMPLETED and job.tasks[index].asset]
    is_one = len(job.kept) == 1 and not job.batch
    return [_result(job, index, "" if is_one else job.tasks[index].item) for index in done[:MAX_RESULTS]]


def _result(job: Job, index: int, item: str) -> probe_pb2.MediaFacts:
    task, kept = job.tasks[index], _kept(job.tasks[index])
    return probe_pb2.MediaFacts(
        item=item,
        duration=round(task.duration_seconds, 3),
        width=kept.width,
        height=kept.height,
        codec=further.encoded_task(job, index).codec,
        size_bytes=task.size_bytes,
    )


def _kept(task: Task) -> encoder_pb2.Summary:
    return encoder_pb2.Summary.FromString(task.facts)
