"""What the command of any operation takes beside the operation: priority, deadline, webhook, metadata."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any

import typer

ANY = inspect.Parameter.POSITIONAL_OR_KEYWORD
PANEL = "Job"
HELP = {
    "priority": "interactive, normal (the default) or batch: which of your jobs go first.",
    "deadline": "Seconds in which the job is to be done: as many encoders are rented as that takes.",
    "webhook_url": "URL that is called when the job ends.",
    "webhook_event": "What it is called for instead: job.queued, job.started, job.item, job.progress, job.ended.",
    "metadata": "Note on the job, as NAME=VALUE; lists and webhooks have it.",
}
LISTS = ("webhook_event", "metadata")


def taking_job_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with flags for what holds for the job that it makes."""
    own = inspect.signature(command, eval_str=True)

    def run(context: typer.Context, **values: Any) -> None:
        said = {name: values.pop(name) for name in HELP}
        context.obj = replace(context.obj, said=_said(**said))
        command(context=context, **values)

    added = [
        inspect.Parameter(name, ANY, default=None, annotation=Annotated[_kind(name), _flag(name)]) for name in HELP
    ]
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), *added])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _kind(name: str) -> Any:
    return list[str] | None if name in LISTS else float | None if name == "deadline" else str | None


def _flag(name: str) -> Any:
    metavar = "NAME=VALUE" if name == "metadata" else None
    return typer.Option(f"--{name.replace('_', '-')}", help=HELP[name], metavar=metavar, rich_help_panel=PANEL)


def _said(
    priority: str | None,
    deadline: float | None,
    webhook_url: str | None,
    webhook_event: Iterable[str] | None,
    metadata: Iterable[str] | None,
) -> dict[str, Any]:
    """Return what is given, as `Client.telling` takes it. Raises BadParameter."""
    given = {
        "priority": priority,
        "deadline_seconds": deadline,
        "webhook_url": webhook_url,
        "webhook_events": list(webhook_event or ()),
        "metadata": dict(metadata_entry(text) for text in metadata or ()),
    }
    return {name: value for name, value in given.items() if value}


def metadata_entry(text: str) -> tuple[str, str]:
    """Return name and value of a note. Raises BadParameter."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise typer.BadParameter(f"{text!r} is no NAME=VALUE", param_hint="--metadata")
    return name, value
