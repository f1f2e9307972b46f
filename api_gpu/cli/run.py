"""One command's way from local files to local files: uploads, the job, downloads; and back again on Ctrl-C."""

from collections.abc import Callable
from pathlib import Path

from api_gpu.assets import check_readable
from api_gpu.cli.display import Display
from api_gpu.client import Client
from api_gpu.job import Finished, Job
from api_gpu.source import local_file
from servicekit.errors import ServiceError


class Interrupted(Exception):
    """Ctrl-C ended the errand; the text says what became of the job."""


class JobRunner:
    """Runs on one client and tells one display."""

    def __init__(self, client: Client, display: Display) -> None:
        self._client = client
        self._display = display
        self._uploaded: list[str] = []

    def run(self, sources: list[str], submit: Callable[[list[str]], Job]) -> Job:
        """Upload the local files among `sources`, submit the job with what then stands for them, follow it to its end.

        Nothing is uploaded when one of them cannot be read. The ended job, completed or not; the uploads are deleted
        again, unless the job may still need them. Raises ServiceError, and Interrupted on Ctrl-C, which cancels the
        job.
        """
        check_readable(sources)
        job: Job | None = None
        try:
            job = submit([self._uploaded_source(source) for source in sources])
            ended = self.follow(job)
        except KeyboardInterrupt as error:
            raise Interrupted(self._cancelled(job)) from error
        except ServiceError:
            self._left(job)
            raise
        self._tidy()
        return ended

    def follow(self, job: Job) -> Job:
        """Tell a job's events until it ends; the ended job."""
        for event in job.watch():
            self._display.event(job, event)
            if isinstance(event, Finished):
                job = event.job
        return job

    def fetch(self, asset: str, target: Path) -> None:
        """Download a result. Raises ServiceError, and Interrupted on Ctrl-C."""
        try:
            self._client.download(asset, target, self._display.transfer(f"download {target.name}"))
        except KeyboardInterrupt as error:
            raise Interrupted(f"stopped; {target} was not written, the result is {asset}") from error

    def _uploaded_source(self, source: str) -> str:
        path = local_file(source)
        if path is None:
            return source
        asset = self._client.upload(path, self._display.transfer(f"upload {path.name}"))
        self._uploaded.append(asset.name)
        return asset.name

    def _cancelled(self, job: Job | None) -> str:
        try:
            if job is not None:
                job.cancel()
        except ServiceError as error:
            return f"stopped, but job {job.id if job else ''} was not cancelled: {error.message}"
        self._tidy()
        return f"job {job.id} is cancelled" if job else "stopped; no job was started"

    def _left(self, job: Job | None) -> None:
        if job is None:
            self._tidy()
        else:  # it may go on, and needs its inputs
            self._display.say(f"lost sight of job {job.id}; `api-gpu watch {job.id}` follows it again")

    def _tidy(self) -> None:
        for name in self._uploaded:
            try:
                self._client.delete(name)
            except ServiceError as error:
                self._display.say(f"cannot delete {name}: {error.message}")
