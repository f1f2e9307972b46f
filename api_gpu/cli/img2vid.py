"""The command `img2vid`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api_gpu.cli.output import ContainerOption, CostOption, clips
from api_gpu.options import Easing, Fit, Motion, Pan

if TYPE_CHECKING:
    from api_gpu.client import Client
    from api_gpu.job import Job

ImagesArgument = Annotated[list[str], typer.Argument(metavar="IMAGE", help="The stills; a clip of each.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; of one image also a file.")]


def clip(text: str, **more: Any) -> Any:
    """An option of the panel Clip."""
    return typer.Option(help=text, rich_help_panel="Clip", **more)


def camera(text: str, *names: str, **more: Any) -> Any:
    """An option of the panel Camera."""
    return typer.Option(*names, help=text, rich_help_panel="Camera", **more)


def img2vid(
    context: typer.Context,
    images: ImagesArgument,
    seconds: Annotated[float, clip("Seconds of every clip.", min=0.1, max=600)] = 5.0,
    fps: Annotated[float | None, clip("Frames a second.", show_default="24", min=1, max=60)] = None,
    out: OutOption = Path(),
    container: ContainerOption = None,
    max_cost_usd: CostOption = None,
    width: Annotated[int | None, clip("Pixels across, even.", show_default="1920", min=16, max=3840)] = None,
    height: Annotated[int | None, clip("Pixels down, even.", show_default="1080", min=16, max=3840)] = None,
    fit: Annotated[Fit | None, clip("What becomes of stills of another shape.", show_default="cover")] = None,
    background: Annotated[
        str | None, clip("Color of bars and behind transparent stills.", show_default="#000000", metavar="COLOR")
    ] = None,
    start_zoom: Annotated[float | None, camera("Zoom of the first frame.", show_default="1", min=1, max=10)] = None,
    end_zoom: Annotated[
        float | None, camera("Zoom that the last one comes up to.", show_default="1.324", min=1, max=10)
    ] = None,
    zoom_out: Annotated[bool, camera("The two change places.", "--zoom-out")] = False,
    pan: Annotated[Pan | None, camera("Where the camera travels.")] = None,
    focus_x: Annotated[
        float | None, camera("What stays in its place, from 0, left, to 1, right.", show_default="0.5", min=0, max=1)
    ] = None,
    focus_y: Annotated[
        float | None, camera("What stays in its place, from 0, top, to 1, bottom.", show_default="0.5", min=0, max=1)
    ] = None,
    easing: Annotated[Easing | None, camera("in-out is slow at both ends.", show_default="linear")] = None,
) -> None:
    """Make a clip with a slow zoom from every image.

    Images are files, URLs or names of assets.
    A COLOR is '#RRGGBB', in quotes.
    """
    motion = Motion(
        start_zoom=start_zoom,
        end_zoom=end_zoom,
        zoom_out=zoom_out,
        pan=pan,
        focus_x=focus_x,
        focus_y=focus_y,
        easing=easing,
    )
    given = None if motion == Motion() else motion
    pixels = size(width, height)

    def submit(client: Client, stills: dict[str, str]) -> Job:
        return client.img2vid(
            stills,
            seconds,
            fps,
            size=pixels,
            fit=fit,
            background=background,
            motion=given,
            container=container,
            max_cost_usd=max_cost_usd,
        )

    clips(context.obj, images, out, submit)


def size(width: int | None, height: int | None) -> tuple[int, int] | None:
    """The two, or None for none. Raises BadParameter for one alone."""
    if width is None and height is None:
        return None
    if width is None or height is None:
        raise typer.BadParameter("--width and --height go together", param_hint="--height" if width else "--width")
    return width, height
