"""Files that results are written to: where they may be, and that no file of the user's is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import typer

from api_gpu.jobs import Job

# As an input standard input, as a target standard output.
STANDARD = "-"
CLIP_SUFFIX = ".mp4"


def is_standard(*targets: Path) -> bool:
    """Return True when one of the targets is standard output."""
    return Path(STANDARD) in targets


def file_target(path: Path) -> Path:
    """Return the path when a file can be there; "-" where a file or a program takes stdout. Raises BadParameter."""
    if is_standard(path):
        if sys.stdout.isatty():
            raise typer.BadParameter("- is standard output, which is the terminal; redirect it", param_hint="--out")
        return path
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:  # a name that no file can have
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}", param_hint="--out") from error
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder; name a file in it", param_hint="--out")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}; make it first", param_hint="--out")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise typer.BadParameter(f"nothing can be written to the folder {path.parent}", param_hint="--out")
    return path


def clip_targets(out: Path, ids: list[str]) -> dict[str, Path]:
    """Return the paths of clips by their ids: files in the folder `out`, or `out` itself. Raises BadParameter."""
    if is_standard(out) or (out.suffix == CLIP_SUFFIX and not out.is_dir()):
        if len(ids) > 1:
            raise typer.BadParameter(f"{len(ids)} images need a folder, not a file", param_hint="--out")
        return {ids[0]: file_target(out)}
    if os.path.lexists(out) and not out.is_dir():
        raise typer.BadParameter(f"{out} cannot be a folder: it is a file", param_hint="--out")
    return {each: out / f"{each}{CLIP_SUFFIX}" for each in ids}


def make_folder(folder: Path) -> None:
    """Make the folder of results, with those above it. Raises BadParameter."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be a folder: {error.strerror}", param_hint="--out") from error


def check_targets(targets: Iterable[Path], inputs: Sequence[Path], *, force: bool) -> Collection[Path]:
    """Raise BadParameter for a target that is an input, and for one that exists, unless a person or `force` allows it;
    return those that may be replaced.

    A person is asked only on a terminal. Raises typer.Abort when the answer is no.
    """
    replaced: set[Path] = set()
    for target in targets:
        if is_input(target, inputs):
            raise typer.BadParameter(f"{target} is an input, and would be lost; name another file", param_hint="--out")
        if is_standard(target) or is_device(target) or not os.path.lexists(target):
            continue
        if not force:
            if not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise typer.BadParameter(f"{target} exists; --force replaces it", param_hint="--out")
            typer.confirm(f"{target} exists. Replace it?", abort=True, err=True)
        replaced.add(target)
    return replaced


def is_device(target: Path) -> bool:
    """Return True for what is written into and never replaced: a device, a pipe, a socket."""
    return os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target)


def is_input(target: Path, inputs: Iterable[Path]) -> bool:
    """Return True when the target leads to one of the inputs."""
    return any(_is_same_file(target, path) for path in inputs)


def _is_same_file(path: Path, other: Path) -> bool:
    """Return True when two paths lead to one file, by any spelling or link."""
    try:
        return path.samefile(other)
    except OSError:
        return path.resolve() == other.resolve()


def extra_targets(job: Job, target: Path, inputs: Sequence[Path], *, force: bool) -> dict[str, Path]:
    """Return the paths of further results by their assets: in a folder called like the first one, as they name each
    other. One that exists is told of, and left out unless `force` is given; one that is an input always."""
    if is_standard(target):
        for file in job.files[1:]:
            _tell(f"{file.name} is not written, as the result goes to stdout; it is {file.asset}")
        return {}
    folder = target.with_suffix("")
    if os.path.lexists(folder) and not folder.is_dir():
        folder = target.with_name(f"{target.name}.files")
    targets = {file.asset: folder / file.name for file in job.files[1:]}
    kept = {asset: path for asset, path in targets.items() if may_write(asset, path, inputs, force=force)}
    if kept:
        make_folder(folder)
    return kept


def may_write(asset: str, path: Path, inputs: Iterable[Path], *, force: bool) -> bool:
    """Return True for a path that a result may be written to; tell of one that it may not, as something is there."""
    if is_input(path, inputs):
        _tell(f"{path} is an input, and is kept; the result is {asset}")
        return False
    if os.path.lexists(path) and not force:
        _tell(f"{path} exists; --force replaces it, the result is {asset}")
        return False
    return True


def _tell(text: str) -> None:
    print(f"api-gpu: {text}", file=sys.stderr)
