"""What a command makes: where it is written, and how that is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api_gpu.cli.options import GatewayTarget
from api_gpu.options import Container
from api_gpu.source import stems

if TYPE_CHECKING:
    from api_gpu.client import Client
    from api_gpu.job import Clip, Job

FAILED = 1
"""The exit code of a command whose job, or a part of it, failed."""

OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="File to write.")]
ContainerOption = Annotated[
    Container | None,
    typer.Option(help="Kind of file; fragmented-mp4 leaves the encoder while it is made.", show_default="mp4"),
]
CostOption = Annotated[
    float | None, typer.Option("--max-cost-usd", help="Most that the job may cost, US dollars.", min=0)
]


def one_video(
    where: GatewayTarget, name: str, sources: list[str], out: Path | None, submit: Callable[..., Job]
) -> None:
    """Run the operation `name`, which makes one video of `sources`, and write it to `out`, or to a name of its own.

    `submit` is called with a client and what stands for each source at the gateway.
    """
    from api_gpu.cli.display import display
    from api_gpu.cli.run import JobRunner

    target = file_target(out or Path(f"{stems(sources)[0]}-{name}.mp4"))
    with where.client() as client, display() as shown:
        errand = JobRunner(client, shown)
        job = errand.run(sources, lambda given: submit(client, *given)).checked()
        errand.fetch(job.asset, target)
    tell_warnings(job.warnings)
    print(target)


def clips(where: GatewayTarget, images: list[str], out: Path, submit: Callable[[Client, dict[str, str]], Job]) -> None:
    """Run the operation that makes a clip of every image, and write those that were made to `out`. Raises typer.Exit
    when an image failed.

    `submit` is called with a client and what stands for each image at the gateway, by the names of the clips.
    """
    from api_gpu.cli.display import display
    from api_gpu.cli.run import JobRunner

    names = stems(images)
    targets = clip_targets(out, names)
    with where.client() as client, display() as shown:
        errand = JobRunner(client, shown)
        job = errand.run(images, lambda given: submit(client, dict(zip(names, given, strict=True)))).checked()
        for clip in job.clips:
            if clip.error is None:
                errand.fetch(clip.asset, targets[clip.id])
    if told_clips(job.clips, targets):
        raise typer.Exit(FAILED)


def file_target(path: Path) -> Path:
    """The path, when a file can be there. Raises BadParameter."""
    if path.is_dir() or not path.parent.is_dir():
        raise typer.BadParameter(f"{path} is a folder, or in a folder that does not exist", param_hint="--out")
    return path


def clip_targets(out: Path, names: list[str]) -> dict[str, Path]:
    """Where the clips go, by name: files in the folder `out`, or `out` itself. Raises BadParameter."""
    if out.suffix == ".mp4" and not out.is_dir():
        if len(names) > 1:
            raise typer.BadParameter(f"{len(names)} images need a folder, not a file", param_hint="--out")
        return {names[0]: file_target(out)}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be a folder: {error.strerror}", param_hint="--out") from error
    return {name: out / f"{name}.mp4" for name in names}


def told_clips(clips: tuple[Clip, ...], places: Mapping[str, Path | str]) -> int:
    """Print where the clips are, files or links by their ids, and the images that failed; how many failed."""
    failed = [clip for clip in clips if clip.error]
    for clip in clips:
        if clip.error:
            print(f"api-gpu: {clip.id}: {clip.error.message}", file=sys.stderr)
        else:
            tell_warnings(clip.warnings)
            print(places[clip.id])
    return len(failed)


def tell_warnings(warnings: tuple[str, ...]) -> None:
    """Print what about a result is not as was asked."""
    for text in warnings:
        print(f"warning: {text}", file=sys.stderr)
