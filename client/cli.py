"""The command line `api-gpu`. What a command needs is imported by the command, so that `--help` is quick.

Exit codes: 0; 1 a job or a call failed; 2 the command or a setting is wrong; 130 ended by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from client.datadir import DataDir
from client.options import (
    Anywhere,
    CaOption,
    CertKeyOption,
    CertOption,
    DataDirOption,
    KeyOption,
    PortOption,
    ServerOption,
    Where,
)
from client.status import Status

if TYPE_CHECKING:
    from client.api import Client
    from client.job import Clip, Job

FAILED = 1
USAGE = 2
INTERRUPTED = 130

OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="File to write.")]

app = typer.Typer(
    cls=Anywhere,
    help="Captions, Ken Burns clips and soundtracks, made by a pair of gRPC services.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    context: typer.Context,
    data_dir: DataDirOption = Path(".api-gpu"),
    server: ServerOption = None,
    grpc_port: PortOption = None,
    key: KeyOption = None,
    ca: CaOption = None,
    cert: CertOption = None,
    cert_key: CertKeyOption = None,
) -> None:
    """Options that every command takes."""
    target = server or (f"localhost:{grpc_port}" if grpc_port else None)
    context.obj = Where(DataDir(data_dir), target, key, ca, cert, cert_key)


@app.command()
def up(context: typer.Context) -> None:
    """Serve on this machine, in the foreground: a gateway and an encoder, with certificates and a key of their own."""
    from client.up import UpSettings, serve

    raise typer.Exit(serve(UpSettings.load(data_dir=context.obj.folder.root)))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def gateway(context: typer.Context) -> None:
    """Serve as a gateway alone; settings come from the environment."""
    become("gateway", context.args)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def encoder(context: typer.Context) -> None:
    """Serve as an encoder alone; settings come from the environment."""
    become("encoder", context.args)


@app.command()
def caption(context: typer.Context, video: str, subtitles: str, out: OutOption = None) -> None:
    """Burn subtitles (.srt) into a video. Files, URLs or asset names."""
    one_result(context.obj, [video, subtitles], out, lambda client: client.caption)


@app.command()
def addaudio(context: typer.Context, video: str, audio: str, out: OutOption = None) -> None:
    """Put a soundtrack on a video. Files, URLs or asset names."""
    one_result(context.obj, [video, audio], out, lambda client: client.addaudio)


@app.command()
def img2vid(
    context: typer.Context,
    images: list[str],
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds of every clip.")] = 5.0,
    fps: Annotated[float | None, typer.Option(min=1, max=60, help="Frames a second; 24 when not given.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; of one image also a file.")] = Path(),
) -> None:
    """Make a clip with a slow zoom from every image. Files, URLs or asset names."""
    from client.api import stems
    from client.display import display
    from client.errand import Errand

    names = stems(images)
    targets = clip_targets(out, names)
    with context.obj.client() as client, display() as shown:
        errand = Errand(client, shown)
        job = errand.run(images, lambda sources: client.img2vid(dict(zip(names, sources, strict=True)), seconds, fps))
        for clip in job.checked().clips:
            if clip.error is None:
                errand.fetch(clip.asset, targets[clip.id])
    failed = told_clips(job.clips, targets)
    raise typer.Exit(FAILED if failed else 0)


@app.command()
def jobs(
    context: typer.Context,
    status: Annotated[Status | None, typer.Option(help="Only jobs that stand there.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Jobs to show.")] = 20,
) -> None:
    """List jobs, the newest first."""
    from itertools import islice

    from client.listing import show

    with context.obj.client() as client:
        show(islice(client.jobs(status), limit))


@app.command()
def watch(context: typer.Context, job: str) -> None:
    """Follow a job to its end, and print the links of its results."""
    from client.display import display
    from client.errand import Errand

    with context.obj.client() as client, display() as shown:
        ended = Errand(client, shown).follow(client.get(job)).checked()
    for link in [ended.video_url] if ended.video_url else [clip.video_url for clip in ended.clips]:
        print(link)


@app.command()
def cancel(context: typer.Context, job: str) -> None:
    """Cancel a job."""
    with context.obj.client() as client:
        client.cancel(job)
    print(f"job {job} is cancelled")


@app.command()
def certs(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Option("--dir", help="Folder to write to; certs in the data folder.")] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address of the services, beside this machine's.")
    ] = None,
) -> None:
    """Make a set of certificates for a pair and a client. An existing set is kept."""
    from client.certs import make_set

    target = folder or context.obj.folder.certificates
    made = make_set(target, host or [])
    print(f"certificates are in {target}" if made else f"{target} has a set already; it is kept")


@app.command()
def doctor(context: typer.Context) -> None:
    """Tell what this machine can encode, and whether the gateway answers."""
    from client.doctor import encoder_report, gateway_report, show
    from rpc.errors import ServiceError

    try:
        with context.obj.client() as client:
            answer = gateway_report(client, context.obj.target)
    except ServiceError as error:
        answer = f"not asked: {error.message}"
    show(encoder_report(context.obj.folder), answer)


def become(module: str, arguments: list[str]) -> NoReturn:
    """Run a service in place of this process."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def one_result(
    where: Where, sources: list[str], out: Path | None, operation: Callable[[Client], Callable[..., Job]]
) -> None:
    """Run an operation that makes one video of `sources`, and write it."""
    from client.api import stems
    from client.display import display
    from client.errand import Errand

    with where.client() as client, display() as shown:
        submit = operation(client)
        target = file_target(out or Path(f"{stems(sources)[0]}-{submit.__name__}.mp4"))
        errand = Errand(client, shown)
        job = errand.run(sources, lambda given: submit(*given)).checked()
        errand.fetch(job.asset, target)
    for text in job.warnings:
        print(f"warning: {text}", file=sys.stderr)
    print(target)


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
    out.mkdir(parents=True, exist_ok=True)
    return {name: out / f"{name}.mp4" for name in names}


def told_clips(clips: tuple[Clip, ...], targets: dict[str, Path]) -> int:
    """Print the files that were written and the images that failed; how many failed."""
    failed = [clip for clip in clips if clip.error]
    for clip in clips:
        if clip.error:
            print(f"api-gpu: {clip.id}: {clip.error.message}", file=sys.stderr)
        else:
            print(targets[clip.id])
    return len(failed)


def exit_code(error: Exception) -> int | None:
    """The exit code of an error, once it is told; None for what nobody foresaw."""
    from client.errand import Interrupted
    from rpc.config import ConfigError
    from rpc.errors import ServiceError

    for kind, code in ((Interrupted, INTERRUPTED), (ServiceError, FAILED), (ConfigError, USAGE)):
        if isinstance(error, kind):
            print(f"api-gpu: {error}", file=sys.stderr)
            return code
    return None


def main() -> None:
    """Entry point."""
    try:
        app()
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        sys.exit(code)


if __name__ == "__main__":
    main()
