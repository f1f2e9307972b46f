"""Calls of tools: local files are uploaded, the job is followed, results come to a folder or are told by their links.

All of it blocks; the server runs it in threads.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from api_gpu import Client, Clip, Event, Finished, Job, Progress, Queued
from api_gpu.cli.as_json import plain
from api_gpu.mcp.schemas import FETCH, OPERATIONS, WAIT
from api_gpu.requests import RequestInput, fill, local_file
from apigpu.options import Status
from apigpu.v1 import jobs_pb2, video_pb2
from servicekit.errors import InvalidArgument, NotFound, PermissionDenied, ServiceError

# What has happened, of what in all (None: not known), in words.
Report = Callable[[float, float | None, str], None]
PAGE_JOBS = 50
POLL_SECONDS = 1.0
_OPTIONS = {name for known in jobs_pb2.JobOptions.DESCRIPTOR.fields for name in (known.name, known.json_name)}


@dataclass(frozen=True)
class Files:
    """The folder that local files are read from, and that results are written to; nothing outside it is touched."""

    folder: Path
    is_fetching: bool

    def readable(self, source: str, path: str) -> Path | None:
        """Return the local file that a source names; None for any other. Raises ServiceError, which names `path`."""
        file = local_file(source)
        if file is None:
            return None
        found = (self.folder / file).resolve()
        if not found.is_relative_to(self.folder.resolve()):
            text = f"{path}: {source} is not in {self.folder}; only files in the folder of this server are uploaded."
            raise PermissionDenied(text, reason="OUTSIDE_FOLDER", fields={path: "is outside the folder"})
        if not found.is_file():
            text = f"{path}: there is no file {source} in {self.folder}; give a file there, a URL or an asset."
            raise NotFound(text, reason="LOCAL_FILE", fields={path: "does not exist"})
        return found

    def new(self, name: str) -> Path:
        """Return a path for a result that no file has yet."""
        wanted = self.folder / Path(name).name
        numbered = (wanted.with_stem(f"{wanted.stem}-{number}") for number in itertools.count(2))
        return next(path for path in itertools.chain([wanted], numbered) if not path.exists())


@dataclass
class ToolCall:
    """One call of a tool, which can be cancelled from another thread; then its job is cancelled too."""

    client: Client
    files: Files
    report: Report
    _job_id: str = ""
    _is_cancelled: bool = False
    _uploaded: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the tool answers, for JSON. Raises ServiceError."""
        match name:
            case "get_job":
                return _told(self._awaited(self.client.get(_id(arguments)), arguments.get(WAIT, 0)))
            case "cancel_job":
                self.client.cancel(_id(arguments))
                return _told(self.client.get(_id(arguments)))
            case "list_jobs":
                return {"jobs": [_plain_job(job) for job in self._listed(arguments)]}
            case _ if name == FETCH and self.files.is_fetching:
                return self._fetched(self.client.get(_id(arguments)).checked())
            case _ if name in OPERATIONS:
                return self._operation(name, dict(arguments))
        raise NotFound(f"There is no tool {name}.", reason="NO_SUCH_METHOD")

    def cancel(self) -> None:
        """Cancel the job of the call, now or as soon as there is one."""
        with self._lock:
            self._is_cancelled = True
            job_id = self._job_id
        if job_id:
            with suppress(ServiceError):  # it has ended
                self.client.cancel(job_id)

    def _listed(self, arguments: Mapping[str, Any]) -> Iterable[Job]:
        status, pairs = arguments.get("status"), arguments.get("metadata", [])
        jobs = self.client.jobs(
            Status(status) if status else None,
            operation=arguments.get("operation", ""),
            metadata=dict(pair.partition("=")[::2] for pair in pairs),
        )
        return itertools.islice(jobs, arguments.get("page_size") or PAGE_JOBS)

    def _operation(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        wait_seconds = arguments.pop(WAIT, None)
        options = _options({key: arguments.pop(key) for key in [*arguments] if key in _OPTIONS})
        operation = video_pb2.Operation()
        message = getattr(operation, name)
        message.SetInParent()
        inputs = fill(message, **arguments)
        files = [self.files.readable(str(each.source), each.path) for each in inputs]
        try:
            self._upload(inputs, files)
            job = self._submitted(operation, options)
            ended = self._awaited(job, wait_seconds)
        except ServiceError:
            if not self._job_id:
                self._delete_uploads()
            raise
        if ended.quote is not None:
            self._delete_uploads()
            return _told(ended)
        if not ended.ended:
            return _told(ended)
        self._delete_uploads()
        return self._fetched(ended.checked()) if self.files.is_fetching else _told(ended.checked())

    def _upload(self, inputs: list[RequestInput], files: list[Path | None]) -> None:
        names: dict[Path, str] = {}
        for each, file in zip(inputs, files, strict=True):
            if file is not None and file not in names:
                self.report(0, None, f"uploading {file.name}")
                names[file] = self.client.upload(file).name
                self._uploaded.append(names[file])
            each.set(names[file] if file is not None else str(each.source))

    def _submitted(self, operation: video_pb2.Operation, options: jobs_pb2.JobOptions) -> Job:
        job = self.client.submit(operation, options=options)
        with self._lock:
            self._job_id = job.id
        if self._is_cancelled:
            self.cancel()
        return job

    def _awaited(self, job: Job, wait_seconds: float | None) -> Job:
        """Return the job once it has ended, or after so many seconds as it is then; None: however long it takes."""
        if job.ended or job.quote is not None:
            return job
        if wait_seconds is not None:
            return self._polled(job, time.monotonic() + wait_seconds)
        for event in job.watch():
            if isinstance(event, Finished):
                return event.job
            self.report(*_progress(event))
        return job.refresh()

    def _polled(self, job: Job, until: float) -> Job:
        while not job.ended and (left_seconds := until - time.monotonic()) > 0:
            self.report(job.processed, job.total, f"{job.status}, {job.processed} of {job.total} tasks are done")
            time.sleep(min(POLL_SECONDS, left_seconds))
            job = job.refresh()
        return job

    def _fetched(self, job: Job) -> dict[str, Any]:
        """Return what is told of a job, with the paths of its results, which were downloaded."""
        written = []
        for asset in _assets(job):
            target = self.files.new(self.client.asset(asset).filename)
            self.report(1, 1, f"downloading {target.name}")
            self.client.download(asset, target)
            written.append(str(target))
        return {**_told(job), "files_written": written} if written else _told(job)

    def _delete_uploads(self) -> None:
        for name in self._uploaded:
            with suppress(ServiceError):
                self.client.delete(name)


def _id(arguments: Mapping[str, Any]) -> str:
    if not isinstance(arguments.get("id"), str):
        raise InvalidArgument("id is required: that of a job.", reason="MISSING_FIELD", fields={"id": "required"})
    return str(arguments["id"])


def _options(given: dict[str, Any]) -> jobs_pb2.JobOptions:
    try:
        return json_format.ParseDict(given, jobs_pb2.JobOptions())
    except json_format.ParseError as error:
        raise InvalidArgument(str(error), reason="BAD_FIELD") from error


def _progress(event: Event) -> tuple[float, float | None, str]:
    """Return an event as progress: how far, of how much, and in words."""
    match event:
        case Queued():
            return 0, None, f"number {event.place} in the queue" + (f": {event.reason}" if event.reason else "")
        case Progress():
            left = f", {event.seconds_left:.0f} s left" if event.seconds_left else ""
            return event.frames_done, event.frames_total or None, f"{event.fps:.0f} frames a second{left}"
        case Clip():
            return 0, None, f"{event.id} is done" if not event.error else f"{event.id}: {event.error.message}"
    return 0, None, "it has ended"


def _assets(job: Job) -> list[str]:
    clips = [clip.asset for clip in job.clips if clip.asset]
    return clips or [file.asset for file in job.files] or ([job.asset] if job.asset else [])


def _told(job: Job) -> dict[str, Any]:
    return {"job": _plain_job(job)}


def _plain_job(job: Job) -> dict[str, Any]:
    """Return a job for JSON, without what it does not have."""
    return {name: value for name, value in plain(job).items() if value not in (None, "", [], {})}
