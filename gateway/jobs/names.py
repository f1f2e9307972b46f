"""Names of the inputs of jobs, and of their results, as files. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from apigpu.v1 import video_pb2
from gateway.assets.record import PREFIX, clean_filename, name_for_type
from gateway.jobs import graph, model, operation
from gateway.jobs.model import Job, ResultFile, Task
from servicekit.url_secrets import FILE_NAME, is_token

MAX_STEM_BYTES = 120
# What some system takes in no name of a file.
_UNSAFE = re.compile(r'[<>:"/\\|?*]')


def input_name(source: str, filenames: Mapping[str, str]) -> str:
    """Return the name of the file that a source is, `filenames` having those of assets; "" where it has none."""
    if source.startswith(PREFIX):
        return filenames.get(source, "")
    try:
        path = urlsplit(source).path
    except ValueError:
        return ""
    last = path.rpartition("/")[2]
    # A link that opens something to whoever has it may end so; results are named after their inputs.
    return clean_filename(unquote(last)) if FILE_NAME.fullmatch(last) or not is_token(last) else ""


def file_stem(filename: str) -> str:
    """Return a name of a file without its suffix, safe on any system: with no mark that one refuses, and none in front
    that hides a file or makes an option of it."""
    safe = _UNSAFE.sub("_", PurePosixPath(clean_filename(filename)).stem).strip(" .").lstrip("-~. ")
    return safe.encode()[:MAX_STEM_BYTES].decode(errors="ignore").rstrip(" .")


def with_stems(wanted: video_pb2.Operation, tasks: tuple[Task, ...], filenames: Mapping[str, str]) -> tuple[Task, ...]:
    """Return the tasks of an operation with the names of their results, which follow from those of their inputs:
    "talk-caption", of a chain "talk-STEP". Where several would be one, they have their numbers behind."""
    stems = [file_stem(input_name(source, filenames)) for source in _first_sources(wanted, tasks)]
    kind = operation.kind(wanted)[0]
    named = [
        f"{stem}-{file_stem(f'{task.item}.mp4') if task.kind else kind}" if stem and not task.output_name else ""
        for stem, task in zip(stems, tasks, strict=True)
    ]
    counts = Counter(name.casefold() for name in named)
    return tuple(
        replace(task, stem=f"{name}-{number}" if name and counts[name.casefold()] > 1 else name)
        for number, (name, task) in enumerate(zip(named, tasks, strict=True), start=1)
    )


def _first_sources(wanted: video_pb2.Operation, tasks: Sequence[Task]) -> Iterator[str]:
    """Yield the first source of each task, "" where there is none; of a step that takes results of others, theirs."""
    message = operation.kind(wanted)[1]
    if not graph.is_graph(wanted):
        yield from map(_first_source, operation.batch_of(message)[1] or [message])
        return
    known = [_first_source(operation.kind(video_pb2.Operation.FromString(task.operation))[1]) for task in tasks]
    for index in range(len(known)):
        passed = [index]
        while known[passed[-1]].startswith(graph.TASK):
            passed.append(int(known[passed[-1]].removeprefix(graph.TASK)))
        for number in passed:
            known[number] = known[passed[-1]]
        yield known[index]


def _first_source(message: Any) -> str:
    return next((source for _, source in operation.inputs(message)), "")


def result_stem(job: Job, index: int) -> str:
    """Return what the caller calls a task's result: by the name that was given for it, its image or step, else the
    operation."""
    task = job.tasks[index]
    item = task.item if job.batch or job.graph else ""
    return task.output_name or item or job.operation


def result_name(job: Job, index: int) -> str:
    """Return the file name of a task's result; as that of an MP4 while its type is not known."""
    task = job.tasks[index]
    return name_for_type(f"{task.stem or result_stem(job, index)}.mp4", task.content_type)


def result_files(job: Job, index: int) -> tuple[ResultFile, ...]:
    """Return all results of a task, the first one first; none where an MP4 is all, or there is no result."""
    task = job.tasks[index]
    if not task.asset or (task.content_type in ("", model.MP4) and not task.files):
        return ()
    return (ResultFile(result_name(job, index), task.asset, task.content_type or model.MP4), *task.files)


def all_results(job: Job, index: int) -> tuple[ResultFile, ...]:
    """Return all results of a task, the first one first, an MP4 too; none where there is no result."""
    task = job.tasks[index]
    if not task.asset:
        return ()
    return result_files(job, index) or (ResultFile(result_name(job, index), task.asset, model.MP4),)
