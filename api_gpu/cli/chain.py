"""The command that does several operations as one job, by a plan in a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api_gpu.cli.operations import DryRunOption, ForceOption
from api_gpu.cli.options import FAILED
from api_gpu.cli.plans import beside, check_inputs, read_plan

if TYPE_CHECKING:
    from api_gpu.cli.run import Sources
    from api_gpu.client import Client
    from api_gpu.jobs import Job

PlanArgument = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help='JSON: {"steps": [{"id": "a", "caption": {…}}, …]}.')
]
OUT_HELP = (
    "File to write; where there are several results, a folder; - is standard output. When not given they are named "
    "after the plan."
)
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help=OUT_HELP)]


def chain(
    context: typer.Context,
    plan: PlanArgument,
    out: OutOption = None,
    force: ForceOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Do several operations as one job: what one makes is what another takes.

    The plan is that of `POST /jobs {"chain": …}`, and may name local files by their places in
    its folder, which are uploaded.
    """
    from api_gpu.cli.run import JobRunner, print_warnings, tell_files
    from api_gpu.cli.targets import check_targets, file_target, is_standard, may_write
    from api_gpu.requests import fill, local_file
    from apigpu.v1 import video_pb2

    operation = video_pb2.Operation()
    inputs = beside(plan, fill(operation.chain, **read_plan(plan, operation.chain.DESCRIPTOR, "chain")))
    check_inputs(inputs)
    sources = {str(each.source): str(each.source) for each in inputs}
    files = [plan, *(file for source in sources if (file := local_file(source)))]
    is_file = out is not None and not out.is_dir() and bool(out.suffix or is_standard(out) or os.path.lexists(out))
    replaced = check_targets([file_target(out)], files, force=force or dry_run) if out and is_file else ()

    def submit(client: Client, uploaded: Sources) -> Job:
        for each in inputs:
            each.set(str(uploaded[str(each.source)]))
        return client.submit(operation)

    with context.obj.client() as client, context.obj.display() as display:
        runner = JobRunner(client.quoting() if dry_run else client, display, context.obj)
        job = runner.run(sources, submit).checked()
        written, is_whole = [], True
        for target, asset in targets_of(client, job, out, plan.stem).items():
            if target in replaced or is_standard(target) or may_write(asset, target, files, force=force):
                runner.fetch(asset, target, replaces=force or target in replaced)
                written.append(target)
            else:
                is_whole = False
    print_warnings(text for clip in job.clips for text in clip.warnings)
    tell_files(context.obj, job, written)
    if not is_whole:
        raise typer.Exit(FAILED)


def targets_of(client: Client, job: Job, out: Path | None, stem: str) -> dict[Path, str]:
    """Return the results by the files that they go to. Raises BadParameter, ServiceError."""
    results = {clip.id: clip.asset for clip in job.clips} or {stem: job.asset}
    if out is not None and len(results) == 1 and not out.is_dir():
        return {out: next(iter(results.values()))}
    folder = out or Path()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be a folder: {error.strerror}", param_hint="--out") from error
    suffixes = {name: Path(client.asset(asset).filename).suffix for name, asset in results.items()}
    return {folder / f"{name}{suffixes[name]}": asset for name, asset in results.items()}
