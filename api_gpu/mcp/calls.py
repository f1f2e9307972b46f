"""Calls of tools: local files are uploaded, the job is followed, results come to a folder or are told by their links.

All of it blocks; the server runs it in threads.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from api_gpu import Asset, Client, Clip, Event, Finished, Job, Progress, Queued
from api_gpu.assets import may_be_shared
from api_gpu.cli.as_json import plain
from api_gpu.inline import inlined
from api_gpu.mcp.schemas import FETCH, OPERATIONS, WAIT
from api_gpu.requests import RequestInput, fill, local_file
from api_gpu.uploads import local_errors
from apigpu.options import Status
from apigpu.v1 import assets_pb2, jobs_pb2, video_pb2
from servicekit.echo import brief
from servicekit.errors import UNANSWERED, Cancelled, InvalidArgument, NotFound, PermissionDenied, ServiceError

# What has happened, of what in all (None: not known), in words.
Report = Callable[[float, float | None, str], None]
M = TypeVar("M", bound=Message)
PAGE_ENTRIES = 50
POLL_SECONDS = 1.0
_OPTIONS = {name for known in jobs_pb2.JobOptions.DESCRIPTOR.fields for name in (known.name, known.json_name)}


@dataclass(frozen=True)
class Files:
    """The folder that local files are read from, and that results are written to; nothing outside it is touched."""

    folder: Path
    is_fetching: bool

    def readable(self, source: str, path: str) -> Path | None:
        """Return the local file that a source names; None for any other. Raises ServiceError, which names `path`."""
        file = local_file(source, self.folder)
        if file is None:
            return None
        try:
            found = (self.folder / file).resolve()
            is_there = found.is_file()
        except (OSError, RuntimeError, ValueError):  # links that lead in a circle, and names that no file can have
            found, is_there = self.folder, False
        folder = self.folder.resolve()
        if not found.is_relative_to(folder):
            text = f"{path}: {brief(source)} is not in {self.folder}; only files in the folder of this server are "
            raise PermissionDenied(f"{text}uploaded.", reason="OUTSIDE_FOLDER", fields={path: "is outside the folder"})
        # Keys of services, this one's among them, lie in such folders, and no films.
        if any(part.startswith(".") for part in found.relative_to(folder).parts):
            text = f"{path}: {brief(source)} is hidden; what begins with a dot is not uploaded."
            raise PermissionDenied(text, reason="OUTSIDE_FOLDER", fields={path: "is hidden"})
        if not is_there:
            text = f"{path}: there is no file {brief(source)} in {self.folder}; give a file there, a URL or an asset."
            raise NotFound(text, reason="LOCAL_FILE", fields={path: "does not exist"})
        return found

    def new(self, name: str) -> Path:
        """Make an empty file, which a result is to replace, under a name that no file has yet, also while other calls
        look for theirs; return its path. Raises FailedPrecondition."""
        wanted = self.folder / (Path(name).name or "result")
        numbered = (wanted.with_stem(f"{wanted.stem}-{number}") for number in itertools.count(2))
        with local_errors(wanted, "write"):
            return next(path for path in itertools.chain([wanted], numbered) if _is_made(path))


def _is_made(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


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
                seconds = _seconds(arguments.get(WAIT, 0))
                return _told(self._awaited(self.client.get(_id(arguments)), seconds))
            case "cancel_job":
                self.client.cancel(_id(arguments))
                return _told(self.client.get(_id(arguments)))
            case "retry_job":
                seconds = _seconds(arguments.get(WAIT))
                return self._ended(self._begun(partial(self.client.retry, _id(arguments))), seconds)
            case "list_jobs":
                return {"jobs": [_plain_job(job) for job in self._listed_jobs(arguments)]}
            case "list_assets":
                return {"assets": [plain(asset) for asset in self._listed_assets(arguments)]}
            case _ if name == FETCH and self.files.is_fetching:
                return self._fetched(self.client.get(_id(arguments)).checked())
            case _ if name in OPERATIONS:
                return self._operation(name, dict(arguments))
        raise NotFound(f"There is no tool {name}.", reason="NO_SUCH_METHOD")

    def cancel(self) -> None:
        """Cancel the job of the call, now or as soon as there is one; delete what was uploaded where there is none."""
        with self._lock:
            self._is_cancelled = True
            job_id = self._job_id
        if job_id:
            with suppress(ServiceError):  # it has ended
                self.client.cancel(job_id)
        else:
            self._delete_uploads()

    def _listed_jobs(self, arguments: Mapping[str, Any]) -> Iterable[Job]:
        wanted = _parsed(arguments, jobs_pb2.ListJobsRequest())
        jobs = self.client.jobs(
            Status(jobs_pb2.Job.Status.Name(wanted.status)) if wanted.status else None,
            operation=wanted.operation,
            metadata=dict(pair.partition("=")[::2] for pair in wanted.metadata),
        )
        return itertools.islice(jobs, _count(wanted.page_size))

    def _listed_assets(self, arguments: Mapping[str, Any]) -> Iterable[Asset]:
        wanted = _parsed(arguments, assets_pb2.ListAssetsRequest())
        return itertools.islice(self.client.assets(wanted.content_type), _count(wanted.page_size))

    def _operation(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        wait_seconds = _seconds(arguments.pop(WAIT, None))
        given = {key: arguments.pop(key) for key in [*arguments] if key in _OPTIONS}
        options = _parsed(given, jobs_pb2.JobOptions())
        operation = video_pb2.Operation()
        message = getattr(operation, name)
        message.SetInParent()
        inputs = fill(message, **arguments)
        files = [self.files.readable(str(each.source), each.path) for each in inputs]
        is_asked_for = False
        try:
            self._send(inputs, files, is_quoting=options.dry_run)
            is_asked_for = not options.dry_run
            job = self._begun(partial(self.client.submit, operation, options=options))
            return self._ended(job, wait_seconds)
        except ServiceError as error:
            if not self._job_id and not (is_asked_for and isinstance(error, UNANSWERED)):
                self._delete_uploads()
            raise

    def _ended(self, job: Job, wait_seconds: float | None) -> dict[str, Any]:
        """Return what is told of a job that was waited for so long, with its results. Raises what it failed with."""
        ended = self._awaited(job, wait_seconds)
        if not ended.ended and ended.quote is None:
            return _told(ended)
        if ended.quote is not None:
            self._delete_uploads()
        is_fetched = self.files.is_fetching and ended.quote is None
        return self._fetched(ended.checked()) if is_fetched else _told(ended.checked())

    def _send(self, inputs: list[RequestInput], files: list[Path | None], *, is_quoting: bool) -> None:
        """Put what stands for the sources at the gateway into the request: where all files are small they go along with
        it, else each is uploaded once."""
        given = list(dict.fromkeys(file for file in files if file is not None))
        sent = dict(zip(given, given if is_quoting else inlined(given), strict=True))
        for file in given:
            if isinstance(sent[file], Path):
                sent[file] = self._stored(file)
                self._go_on()
        for each, path in zip(inputs, files, strict=True):
            each.set(str(each.source if path is None else sent[path]))

    def _stored(self, file: Path) -> str:
        """Return the name of a file at the gateway, uploaded where it is not there. A large one may be found by another
        call at once: it is not deleted by this one."""
        if (kept := self.client.kept(file)) is not None:
            return kept.name
        self.report(0, None, f"uploading {file.name}")
        stored = self.client.upload(file, self._go_on)
        if not may_be_shared(stored):
            self._uploaded.append(stored.name)
        return stored.name

    def _go_on(self, *_: int | None) -> None:
        """Raise Cancelled where the call was given up."""
        if self._is_cancelled:
            raise Cancelled("the call was given up")

    def _begun(self, begin: Callable[[], Job]) -> Job:
        """Return the job that is begun, which is cancelled where the call was given up meanwhile."""
        self._go_on()
        job = begin()
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
            try:
                self.report(1, 1, f"downloading {target.name}")
                self.client.download(asset, target)
            except BaseException:
                target.unlink(missing_ok=True)
                raise
            written.append(str(target))
        return {**_told(job), "files_written": written} if written else _told(job)

    def _delete_uploads(self) -> None:
        while self._uploaded:
            with suppress(ServiceError, IndexError):  # it is gone, or another thread deletes them too
                self.client.delete(self._uploaded.pop())


def _id(arguments: Mapping[str, Any]) -> str:
    if not isinstance(arguments.get("id"), str):
        raise InvalidArgument("id is required: that of a job.", reason="MISSING_FIELD", fields={"id": "required"})
    return str(arguments["id"])


def _count(page_size: int) -> int:
    if page_size < 0:
        raise InvalidArgument.field("page_size", "must be 0 or more.")
    return page_size or PAGE_ENTRIES


def _seconds(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and value >= 0):
        return value
    raise InvalidArgument.field(WAIT, "must be a number, 0 or more.")


def _parsed(given: Mapping[str, Any], message: M) -> M:
    """Return a message of the API with values of JSON. Raises InvalidArgument."""
    try:
        return json_format.ParseDict(dict(given), message)
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
