"""The command `caption`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api_gpu.cli.output import ContainerOption, CostOption, OutOption, one_video
from api_gpu.options import CaptionStyle, Position, Preset, Word

if TYPE_CHECKING:
    from api_gpu.client import Client
    from api_gpu.job import Job

VideoArgument = Annotated[str, typer.Argument(metavar="VIDEO", help="The video.")]
SubtitlesArgument = Annotated[str, typer.Argument(metavar="SUBTITLES", help="Its subtitles: .srt, .vtt, .ass or .ssa.")]
WORDS = """When each word is said, for karaoke: a JSON list of {"text", "start", "end"}, in seconds; every word of the
subtitles, in order."""
WordsOption = Annotated[Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help=WORDS)]
COLOR = "COLOR"


def look(text: str, *names: str, **more: Any) -> Any:
    """An option of the panel Style."""
    return typer.Option(*names, help=text, rich_help_panel="Style", **more)


def place(text: str, **more: Any) -> Any:
    """An option of the panel Place."""
    return typer.Option(help=text, rich_help_panel="Place", **more)


def caption(
    context: typer.Context,
    video: VideoArgument,
    subtitles: SubtitlesArgument,
    out: OutOption = None,
    words: WordsOption = None,
    container: ContainerOption = None,
    max_cost_usd: CostOption = None,
    preset: Annotated[Preset | None, look("A look to begin with.", show_default="classic")] = None,
    font: Annotated[str | None, look("A font to draw in, TrueType or OpenType.", metavar="FILE")] = None,
    family: Annotated[
        str | None, look("Its family, or that of a font of the encoder.", "--font-family", metavar="NAME")
    ] = None,
    size: Annotated[float | None, look("Height of a line of letters.", min=1, max=40)] = None,
    color: Annotated[str | None, look("Color of the letters.", metavar=COLOR)] = None,
    outline_color: Annotated[str | None, look("Color of their outline.", metavar=COLOR)] = None,
    outline: Annotated[float | None, look("Thickness of the outline.", min=0, max=5)] = None,
    box_color: Annotated[str | None, look("Color of a box behind the lines.", metavar=COLOR)] = None,
    highlight_color: Annotated[str | None, look("Color of a word while it is said: karaoke.", metavar=COLOR)] = None,
    bold: Annotated[bool | None, look("Heavy letters.", "--bold/--no-bold")] = None,
    italic: Annotated[bool | None, look("Slanted letters.", "--italic/--no-italic")] = None,
    capitals: Annotated[bool | None, look("Capitals only.", "--capitals/--no-capitals")] = None,
    position: Annotated[Position | None, place("Where captions stand.", show_default="bottom")] = None,
    x: Annotated[float | None, place("Their centre, from 0, left, to 1, right; with --y.", min=0, max=1)] = None,
    y: Annotated[float | None, place("Their centre, from 0, top, to 1, bottom; with --x.", min=0, max=1)] = None,
    margin_x: Annotated[float | None, place("Percent of the width kept free.", show_default="5", min=0, max=45)] = None,
    margin_y: Annotated[
        float | None, place("Percent of the height kept free.", show_default="5", min=0, max=45)
    ] = None,
) -> None:
    """Burn subtitles (.srt, .vtt, .ass) into a video.

    VIDEO, SUBTITLES and --font are files, URLs or names of assets.
    --size and --outline are percent of the smaller side of the picture.
    A COLOR is '#RRGGBB' or '#RRGGBBAA' (AA is opacity), in quotes.
    What is not given follows from the preset; .ass and .ssa keep their own look.
    """
    style = CaptionStyle(
        preset=preset,
        font=family,
        size=size,
        color=color,
        outline_color=outline_color,
        outline=outline,
        box_color=box_color,
        highlight_color=highlight_color,
        bold=bold,
        italic=italic,
        capitals=capitals,
        position=position,
        x=x,
        y=y,
        margin_x=margin_x,
        margin_y=margin_y,
    )
    given_style = None if style == CaptionStyle() else style
    given_words = words_in(words) if words else None

    def submit(client: Client, video: str, subtitles: str, font: str | None = None) -> Job:
        return client.caption(
            video,
            subtitles,
            style=given_style,
            font=font,
            words=given_words,
            container=container,
            max_cost_usd=max_cost_usd,
        )

    one_video(context.obj, "caption", [video, subtitles, *([font] if font else [])], out, submit)


def words_in(path: Path) -> list[Word]:
    """The words of a JSON file. Raises BadParameter."""
    try:
        entries = json.loads(path.read_bytes())
        return [Word(str(entry["text"]), float(entry["start"]), float(entry["end"])) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError) as error:
        text = f'{path} must hold a list of {{"text": "Hello", "start": 0.0, "end": 0.4}}, in JSON'
        raise typer.BadParameter(text, param_hint="--words") from error
