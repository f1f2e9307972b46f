"""Run an operation from local files to local files: uploads, the job, downloads; and cancel it on Ctrl-C."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, get_args, get_type_hints

import typer

from api_gpu.assets import Asset, check_readable, may_be_shared
from api_gpu.cli.display import Display
from api_gpu.cli.options import FAILED, Invocation
from api_gpu.cli.quotes import print_quote
from api_gpu.cli.targets import (
    STANDARD,
    check_targets,
    clip_targets,
    extra_targets,
    file_target,
    is_device,
    is_standard,
    make_folder,
)
from api_gpu.client import Client
from api_gpu.inline import inlined
from api_gpu.jobs import Job
from api_gpu.outcomes import Clip, Finished, Progress
from api_gpu.requests import local_file, stems
from apigpu.options import OPERATIONS
from servicekit.errors import UNANSWERED, FailedPrecondition, ServiceError

ENDINGS = {"jpeg": "jpg"}
IN_DOUBT = "the job may have been started all the same: `api-gpu jobs` tells"
STANDARD_INPUT = "/dev/stdin"
Sources = Mapping[str, str | list[str]]
Submit = Callable[[Client, Sources, Mapping[str, Any]], Job]


class Interrupted(Exception):
    """Ctrl-C ended the command; the text says what became of the job."""


def run_operation(
    invocation: Invocation,
    name: str,
    sources: Sources,
    options: Mapping[str, Any],
    out: Path | None,
    files: Sequence[Path],
    *,
    force: bool,
    dry_run: bool,
    submitted: Submit | None = None,
) -> None:
    """Run an operation on `sources`, write its results to `out`, or to names of their own, and print where they are.

    `files` are what else the command reads; `submitted` submits the job, where the client's method of the operation
    takes something else. Raises BadParameter for an `out` that cannot be written to, ServiceError,
    and typer.Exit when one of several results failed.
    """
    sources = with_standard_input(sources)
    inputs = source_list(sources)
    options = with_format(options, name, out)
    batch = next((key for key, each in OPERATIONS[name].inputs.items() if each.is_many), "")
    ids = stems(sources[batch]) if OPERATIONS[name].item else []
    targets = (
        clip_targets(out or Path(), ids) if ids else {name: file_target(out or named_after(inputs[0], name, options))}
    )
    check_readable(inputs)
    files = [*filter(None, map(local_file, inputs)), *files]
    replaced = check_targets(targets.values(), files, force=force or dry_run)
    if ids and not dry_run:
        make_folder(targets[ids[0]].parent)

    def submit(client: Client, uploaded: Sources) -> Job:
        if submitted is not None:
            return submitted(client, uploaded, options)
        values: dict[str, Any] = {**uploaded, **options}
        if ids:
            values[batch] = dict(zip(ids, uploaded[batch], strict=True))
        job: Job = getattr(client, name)(**values)
        return job

    with invocation.client() as client, invocation.display() as display:
        runner = JobRunner(client.quoting() if dry_run else client, display, invocation)
        job = runner.run(sources, submit).checked()
        assets = {clip.id: clip.asset for clip in job.clips if not clip.error} if ids else {name: job.asset}
        for key, asset in assets.items():
            runner.fetch(asset, targets[key], replaces=targets[key] in replaced)
        extra = {} if ids else extra_targets(job, targets[name], files, force=force)
        for asset, target in extra.items():
            runner.fetch(asset, target, replaces=force)
    if ids:
        tell_clips(invocation, job, targets)
    else:
        tell_files(invocation, job, [*targets.values(), *extra.values()])


def tell_files(invocation: Invocation, job: Job, files: Sequence[Path]) -> None:
    """Print where the results of a job are, or all of the job as JSON; nothing on the way of a result to stdout."""
    print_warnings(job.warnings)
    if not is_standard(*files):
        invocation.show(
            Written(job, tuple(files)), lambda written: print("".join(f"{file}\n" for file in written.files), end="")
        )


def _print_lines(files: Iterable[Path]) -> None:
    for file in files:
        print(file)


def tell_clips(invocation: Invocation, job: Job, targets: Mapping[str, Path]) -> None:
    """Print where the clips of a job are, or all of the job as JSON. Raises typer.Exit where one failed."""
    made = tuple(targets[clip.id] for clip in job.clips if not clip.error)
    if not is_standard(*made):
        invocation.show(Written(job, made), lambda _: print_clips(job.clips, targets))
    if len(made) < len(job.clips):
        raise typer.Exit(FAILED)


@dataclass(frozen=True)
class Written:
    """A job, and the files that its results were written to."""

    job: Job
    files: tuple[Path, ...]


class JobRunner:
    """Runs one job for one client and reports to one display."""

    def __init__(self, client: Client, display: Display, invocation: Invocation) -> None:
        self._client = client
        self._display = display
        self._invocation = invocation
        self._uploaded: list[Asset] = []

    def run(self, sources: Sources, submit: Callable[[Client, Sources], Job]) -> Job:
        """Send the local files among `sources`, submit the job with what stands for them, follow it to its end.

        Of a dry run print what the job would do, and raise typer.Exit. Return the ended job, completed or not. Uploads
        are kept as long as files are, so that the job can be tried again; those that no job came of for sure are
        deleted, but for large ones, which another run may have found. Raises ServiceError, and Interrupted on Ctrl-C,
        which cancels the job.
        """
        job: Job | None = None
        is_asked_for = False
        try:
            sent = self._sent(sources)
            is_asked_for = not self._client.is_quoting
            job = submit(self._client, sent)
            if job.quote is not None:
                self._delete_uploads()
                raise typer.Exit(print_quote(self._invocation, job.quote))
            ended = self.follow(job)
        except KeyboardInterrupt as error:
            if job is None and is_asked_for:
                raise Interrupted(f"stopped; {IN_DOUBT}") from error
            raise Interrupted(self._cancel(job)) from error
        except ServiceError as error:
            if job is not None:  # it may go on, and needs its inputs
                self._display.message(f"lost sight of job {job.id}; `api-gpu watch {job.id}` follows it again")
            elif is_asked_for and isinstance(error, UNANSWERED):
                self._display.message(IN_DOUBT)
            else:
                self._delete_uploads()
            raise
        return ended

    def follow(self, job: Job) -> Job:
        """Display a job's events until it ends, and where its film plays, once it does; return the ended job."""
        is_told = False
        for event in job.watch():
            self._display.event(job, event)
            if isinstance(event, Finished):
                job = event.job
            found = event.preview if isinstance(event, Progress) else job.preview
            if found is not None and found.seconds and not is_told:
                is_told = True
                self._display.message(f"preview: {found.url}")
        return job

    def fetch(self, asset: str, target: Path, *, replaces: bool = False) -> None:
        """Download a result. What is at its target is kept unless it `replaces` that. Raises ServiceError, and
        Interrupted on Ctrl-C."""
        try:
            if is_standard(target):
                self._copy(asset, sys.stdout.buffer)
            elif is_device(target):
                with target.open("wb") as file:
                    self._copy(asset, file)
            elif os.path.lexists(target) and not replaces:
                raise FailedPrecondition(f"{target} has come to exist meanwhile; --force replaces it")
            else:
                # A link stays, and what it leads to is replaced.
                self._client.download(asset, target.resolve(), self._display.transfer(f"download {target.name}"))
        except KeyboardInterrupt as error:
            raise Interrupted(f"stopped; {target} was not written, the result is {asset}") from error
        except (ServiceError, OSError) as error:
            raise FailedPrecondition(f"{str(error).rstrip('.')}; the result is {asset}") from error

    def _copy(self, asset: str, file: IO[bytes]) -> None:
        """Download a result, and write it once all of it is there and its digest is right."""
        with tempfile.TemporaryDirectory(prefix="api-gpu-") as folder:
            path = self._client.download(asset, Path(folder) / "result", self._display.transfer("download"))
            with path.open("rb") as made:
                shutil.copyfileobj(made, file)
            file.flush()

    def _sent(self, sources: Sources) -> Sources:
        """Return what stands for the sources at the gateway: where all local files are small they go along with the
        request, else each is uploaded once."""
        given = list(dict.fromkeys(source_list(sources)))
        # What goes along with a request is stored by the gateway, and of a dry run that is not to stay.
        sent = dict(zip(given, given if self._client.is_quoting else map(str, inlined(given)), strict=True))
        for source in given:
            if (path := local_file(sent[source])) is None:
                continue
            if (kept := self._client.kept(path)) is not None:
                self._display.message(f"{path.name} is at the gateway already: {kept.name}")
                sent[source] = kept.name
            else:
                stored = self._client.upload(path, self._display.transfer(f"upload {path.name}"))
                sent[source] = stored.name
                self._uploaded.append(stored)
        return {
            key: [sent[each] for each in value] if isinstance(value, list) else sent[value]
            for key, value in sources.items()
        }

    def _cancel(self, job: Job | None) -> str:
        try:
            if job is not None:
                job.cancel()
        except ServiceError as error:
            return f"stopped, but job {job.id if job else ''} was not cancelled: {error.message}"
        if job is not None:
            return f"job {job.id} is cancelled"
        self._delete_uploads()
        return "stopped; no job was started"

    def _delete_uploads(self) -> None:
        for asset in self._uploaded:
            if may_be_shared(asset):
                self._display.message(f"{asset.filename} stays at the gateway for the next try: {asset.name}")
                continue
            try:
                self._client.delete(asset.name)
            except ServiceError as error:
                self._display.message(f"cannot delete {asset.name}: {error.message}")


def with_standard_input(sources: Sources) -> Sources:
    """Return the sources with the path of standard input in place of "-". Raises BadParameter for more than one, and
    where a person would have to type it."""
    count = source_list(sources).count(STANDARD)
    if count > 1:
        raise typer.BadParameter("- is standard input, and can be one input alone")
    if count and sys.stdin.isatty():
        raise typer.BadParameter("- is standard input, which is the terminal; redirect a file or a program into it")
    named = {STANDARD: STANDARD_INPUT}
    return {
        key: [named.get(each, each) for each in value] if isinstance(value, list) else named.get(value, value)
        for key, value in sources.items()
    }


def source_list(sources: Sources) -> list[str]:
    """Return all sources in one list."""
    return [each for value in sources.values() for each in ([value] if isinstance(value, str) else value)]


def format_option(operation: str) -> tuple[Sequence[str], str] | None:
    """Return the choices and the default of an operation's option `format`; None where it has no such option."""
    hint = get_type_hints(OPERATIONS[operation].options, include_extras=True).get("format")
    if hint is None:
        return None
    union, option = get_args(hint)
    return get_args(get_args(union)[0]), option.default


def with_format(options: Mapping[str, Any], operation: str, out: Path | None) -> Mapping[str, Any]:
    """Return the options with the format that the ending of `out` asks for. Raises BadParameter if the two differ."""
    known = format_option(operation)
    ending = out.suffix.lower().lstrip(".") if out else ""
    asked = next((form for form in known[0] if ending in (form, ENDINGS.get(form))), None) if known else None
    if asked is None:
        return options
    if options.get("format", asked) != asked:
        raise typer.BadParameter(f"--format {options['format']} does not go with the ending of {out}")
    return {**options, "format": asked}


def named_after(source: str, operation: str, options: Mapping[str, Any]) -> Path:
    """Return the name of a result in the current folder: that of a source, and the operation.

    It is an MP4, or what the option `format` of the operation says.
    """
    known = format_option(operation)
    form = options.get("format") or (known[1] if known else "mp4")
    return Path(f"{stems([source])[0]}-{operation}.{ENDINGS.get(form, form)}")


def print_clips(clips: Iterable[Clip], places: Mapping[str, Path | str]) -> bool:
    """Print where the clips are, files or links by their ids, and the errors of others; return True if there are."""
    failed = False
    for clip in clips:
        if clip.error:
            failed = True
            print(f"api-gpu: {clip.id}: {clip.error.message}", file=sys.stderr)
        else:
            print_warnings(clip.warnings)
            print(places[clip.id])
    return failed


def print_warnings(warnings: Iterable[str]) -> None:
    """Print what about a result is not as was asked."""
    for text in warnings:
        print(f"warning: {text}", file=sys.stderr)
