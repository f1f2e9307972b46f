"""The command that serves language models: the operations as tools."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

INSTALL = 'what speaks to language models is not installed; pip install "api-gpu[mcp]"'
USAGE = 2
FOLDER_HELP = "Files in it, and no others, are uploaded when they are named; results are written to it."
FolderOption = Annotated[Path, typer.Option("--folder", exists=True, file_okay=False, help=FOLDER_HELP)]
LinksOption = Annotated[bool, typer.Option("--links", help="Tell results as links, and write none to the folder.")]


def mcp(context: typer.Context, folder: FolderOption = Path(), links: LinksOption = False) -> None:
    """Serve the operations as tools for language models (Model Context Protocol), over standard input and output."""
    if find_spec("mcp") is None:
        print(f"api-gpu: {INSTALL}", file=sys.stderr)
        raise typer.Exit(USAGE)
    import anyio

    from api_gpu.mcp.calls import Files
    from api_gpu.mcp.server import serve

    with context.obj.client() as client:
        anyio.run(serve, client, Files(folder.resolve(), is_fetching=not links))
