"""The command that makes a film of scenes: stills and videos on the command line, or a plan in a file."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api_gpu.cli.operations import (
    ANY,
    COLORS,
    SOURCES,
    DryRunOption,
    ForceOption,
    flag_parameters,
    flags_of,
    options_from,
)
from api_gpu.cli.plans import beside, check_inputs, read_plan
from apigpu.options import OPERATIONS, Scene, Source

if TYPE_CHECKING:
    from api_gpu.cli.options import Invocation
    from api_gpu.cli.run import Sources
    from api_gpu.client import Client
    from api_gpu.jobs import Job

NAME = "story"
PLAN_SUFFIX = ".json"
SCENES_HELP = "Stills and videos, in their order; or a plan: what POST /video/story takes, in a JSON file."
ScenesArgument = Annotated[list[str], typer.Argument(metavar="SCENES", help=SCENES_HELP)]
OUT_HELP = "File to write; - is standard output. When not given it is named after the plan, or the first scene."
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help=OUT_HELP)]
PREVIEW_HELP = "Print a link by which the film plays while it is made, and after, once it can begin (HLS)."
PreviewOption = Annotated[bool, typer.Option("--preview", help=PREVIEW_HELP)]
PLANS = "A plan may name local files, by their places in its folder; options of the command go before its own."
SHARES = "Stills have even shares of the narration, unless --seconds is given; one of the two is needed."
NO_LENGTH = "nothing says how long the stills are to be seen; give --seconds, or a --narration"


def command() -> Callable[..., None]:
    """Return the command, with a flag for each option of a story, and one for the length of all stills."""
    operation = OPERATIONS[NAME]
    (seconds,) = (flag for flag in flags_of(Scene) if flag.path == ("seconds",))
    flags = list(flags_of(operation.options))

    def run(
        context: typer.Context,
        scenes: list[str],
        out: Path | None = None,
        force: bool = False,
        dry_run: bool = False,
        preview: bool = False,
        seconds: float | None = None,
        **values: Any,
    ) -> None:
        options = options_from(flags, values)
        options |= {flag.path[-1]: values[flag.key] for flag in flags if flag.kind == Source and values[flag.key]}
        make_film(context.obj, scenes, seconds, options, out, force=force, dry_run=dry_run, preview=preview)

    parameters = [
        inspect.Parameter("context", ANY, annotation=typer.Context),
        inspect.Parameter("scenes", ANY, annotation=ScenesArgument),
        inspect.Parameter("out", ANY, default=None, annotation=OutOption),
        inspect.Parameter("force", ANY, default=False, annotation=ForceOption),
        inspect.Parameter("dry_run", ANY, default=False, annotation=DryRunOption),
        inspect.Parameter("preview", ANY, default=False, annotation=PreviewOption),
        *flag_parameters([seconds, *flags]),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {}
    run.__name__ = NAME
    run.__doc__ = "\n\n".join([operation.help, "\n".join([SOURCES, PLANS, SHARES, COLORS])])
    return run


def make_film(
    invocation: Invocation,
    scenes: list[str],
    seconds: float | None,
    options: Mapping[str, Any],
    out: Path | None,
    *,
    force: bool,
    dry_run: bool,
    preview: bool,
) -> None:
    """Make a film of `scenes`, or of the plan that is the only one of them, and print where it is.

    `options` go before those of the plan. Raises BadParameter for a plan, or an `out`, that cannot be; ServiceError.
    """
    from api_gpu.cli.run import JobRunner, tell_files
    from api_gpu.cli.targets import check_targets, file_target
    from api_gpu.requests import fill, local_file, stems
    from api_gpu.scenes import scenes_of
    from apigpu.v1 import video_pb2

    plan = Path(scenes[0]) if len(scenes) == 1 and scenes[0].endswith(PLAN_SUFFIX) else None
    stem = plan.stem if plan else f"{stems(scenes[:1])[0]}-{NAME}"
    target = file_target(out / f"{stem}.mp4" if out and out.is_dir() else out or Path(f"{stem}.mp4"))
    operation = video_pb2.Operation()
    values: dict[str, Any] = read_plan(plan, operation.story.DESCRIPTOR, NAME) if plan else {"scenes": scenes}
    # Of groups of options, like the style, both have their say: the command's are filled in later.
    values = {name: value for name, value in values.items() if isinstance(options.get(name, {}), dict)}
    with contextlib.ExitStack() as stack:
        # Only asked for the types of assets before all else is checked.
        connected = functools.cache(lambda: stack.enter_context(invocation.client()))
        values["scenes"] = [
            replace(each, seconds=seconds) if isinstance(each, Scene) and each.image else each
            for each in scenes_of(values["scenes"], lambda name: connected().asset_type(name))
        ]
        if plan is None and not (seconds or options.get("narration")) and any(each.image for each in values["scenes"]):
            raise typer.BadParameter(NO_LENGTH, param_hint="--seconds")
        planned = fill(operation.story, **values)
        inputs = (beside(plan, planned) if plan else planned) + fill(operation.story, **options)
        check_inputs(inputs)
        sources = {str(each.source): str(each.source) for each in inputs}
        files = [file for source in sources if (file := local_file(source))]
        replaced = check_targets([target], [*files, plan] if plan else files, force=force or dry_run)

        def submit(client: Client, uploaded: Sources) -> Job:
            for each in inputs:
                each.set(str(uploaded[str(each.source)]))
            return client.submit(operation)

        client, display = connected(), stack.enter_context(invocation.display())
        submitting = client.previewing() if preview else client
        runner = JobRunner(submitting.quoting() if dry_run else submitting, display, invocation)
        job = runner.run(sources, submit).checked()
        runner.fetch(job.asset, target, replaces=target in replaced)
    tell_files(invocation, job, [target])
